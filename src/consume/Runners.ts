/**
 * Whose fibers handle what is taken of a stream: the one that pulls, and the one that has begun the stream, and runs it.
 * Where an operator pulls in a fiber of its own, that is another one.
 */
import type * as Fiber from "effect/Fiber"

type AnyFiber = Fiber.Fiber<unknown, unknown>

export class Runners {
  private beginner: AnyFiber | undefined = undefined
  private outer: AnyFiber | undefined = undefined
  private last: ReadonlyArray<AnyFiber> = []

  /** A fiber has begun the stream. */
  begun(fiber: AnyFiber): void {
    this.beginner = fiber
  }

  /** Others pull for a fiber; where several are told, they do so for the first of those that live. */
  readonly pulledFor = (fiber: AnyFiber): void => {
    if (this.outer !== undefined && this.outer.pollUnsafe() === undefined) return
    this.outer = fiber
    this.last = []
  }

  /** All of them, where this one pulls. */
  with(puller: AnyFiber): ReadonlyArray<AnyFiber> {
    if (this.last[0] === puller) return this.last
    const others = [this.beginner, this.outer].flatMap((fiber) =>
      fiber === undefined || fiber === puller ? [] : fiber
    )
    return (this.last = [puller, ...others])
  }
}
