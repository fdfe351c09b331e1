/** The partitions of a consumer, and how it stands with them. No fibers: what is told of them is kept here. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { effectOf } from "../Abandon.ts"
import * as KafkaError from "../KafkaError.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { Partition } from "./AssignedPartition.ts"
import { AtWork } from "./AtWork.ts"
import type { ConsumerEvent } from "./Events.ts"
import type { Host } from "./Host.ts"
import { Reading } from "./Reading.ts"
import type { Settings } from "./Settings.ts"
import type { KnownTopic } from "./StartPositions.ts"
import * as TopicDecoder from "./TopicDecoder.ts"

export class ConsumerState {
  readonly partitions = new Map<string, Partition>()
  readonly paused = new Set<string>()
  readonly knownTopics = new Map<string, KnownTopic>()
  readonly atWork: AtWork
  readonly reading: Reading
  readonly firstAssignment = Deferred.makeUnsafe<void>()
  readonly settings: Settings
  readonly now: () => number
  readonly publish: (event: ConsumerEvent) => void
  /** How it ended before its time: what reads it, or asks something of it, ends so too. */
  failure: Effect.Effect<never, KafkaError.KafkaError> | undefined = undefined
  /** Why it cannot start. */
  trouble: KafkaError.KafkaError | undefined = undefined
  /** Somebody was warned that it waits. */
  warned = false
  everMarked = false
  closing = false
  stopped = false
  /** Partitions of a bounded read are still to come. */
  expectsMore = false
  private unfinished = 0
  private isFirst = true

  constructor(settings: Settings, now: () => number, publish: (event: ConsumerEvent) => void) {
    this.settings = settings
    this.now = now
    this.publish = publish
    this.atWork = new AtWork(now)
    this.reading = new Reading(this.partitions, this.atWork, () => this.everMarked)
  }

  readonly fail = (error: KafkaError.KafkaError): void => this.end(Effect.fail(error))

  /** A mistake of the library's own. */
  readonly die = (defect: unknown): void => this.end(Effect.die(defect))

  private end(failure: Effect.Effect<never, KafkaError.KafkaError>): void {
    if (this.failure !== undefined) return
    this.failure = failure
    this.reading.fail(failure)
    for (const partition of this.partitions.values()) partition.fail(failure)
    Deferred.doneUnsafe(this.firstAssignment, Exit.void)
  }

  /** A bounded read has ended; the last one ends the stream. */
  finished(): void {
    if (--this.unfinished === 0 && !this.expectsMore) this.reading.merged.end()
  }

  stopReading(): void {
    this.reading.end()
    Deferred.doneUnsafe(this.firstAssignment, Exit.void)
  }

  /** Takes partitions in, each once, but those that are ours already; gives those that are to be opened. */
  add(
    list: ReadonlyArray<TopicPartition.TopicPartition>,
    host: Host<Partition>,
    ends: ReadonlyMap<string, number> | undefined
  ): ReadonlyArray<Partition> {
    if (this.closing || this.failure !== undefined) return []
    const { maxPartitions, onUndecodable } = this.settings
    const others = new Set(list.map(TopicPartition.key).filter((key) => !this.partitions.has(key)))
    const count = this.partitions.size + others.size
    if (count > maxPartitions) {
      const mistakes = [`maxPartitions is ${maxPartitions}, and ${count} are assigned`]
      this.fail(KafkaError.make({ _tag: "Misconfigured", mistakes, group: this.settings.group }))
      return []
    }
    const fresh = list.flatMap((place) => {
      if (this.partitions.get(TopicPartition.key(place))?.isLive === true) return []
      const partition = new Partition(place, host, TopicDecoder.compile(this.settings.topic(place.topic)))
      partition.isDrained = () => this.reading.isDrained(partition)
      partition.isAwaited = () => this.reading.isAwaited(partition)
      partition.bound.until = ends?.get(partition.key)
      partition.paused = this.paused.has(partition.key)
      partition.progressedAt = this.now()
      if (onUndecodable !== "fail") {
        partition.onUndecodable = (record, error) => {
          const told = Effect.sync(() =>
            this.publish({ _tag: "Skipped", partition: place, offset: record.offset, error })
          )
          return onUndecodable === "skip"
            ? told
            : Effect.andThen(
                host.provide(
                  Effect.suspend(() => effectOf(onUndecodable({ ...place, record, error }), "what onUndecodable gives"))
                ),
                told
              )
        }
      }
      this.partitions.set(partition.key, partition)
      return [partition]
    })
    this.unfinished += fresh.length
    this.trouble = undefined
    Deferred.doneUnsafe(this.firstAssignment, Exit.void)
    if (fresh.length > 0 || this.isFirst) {
      this.publish({ _tag: "Assigned", partitions: fresh.map((partition) => partition.place) })
    }
    this.isFirst = false
    if (this.stopped) return []
    for (const partition of fresh) this.reading.assignments.offer(partition)
    return fresh
  }

  held(list: ReadonlyArray<TopicPartition.TopicPartition>): ReadonlyArray<Partition> {
    return list.flatMap((place) => this.partitions.get(TopicPartition.key(place)) ?? [])
  }
}
