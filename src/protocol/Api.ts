/**
 * Pure. Every API that this library knows, by key. It imports all of `messages`, some 20 ms: code that speaks a few APIs
 * imports those instead.
 */
import type * as Schema from "effect/Schema"
import * as messages from "./messages/index.ts"
import type * as Wire from "./Wire.ts"

export interface Api {
  readonly key: number
  /** As the protocol spells it: `OffsetCommit`. */
  readonly name: string
  readonly Request: Wire.Message<Schema.Top>
  readonly Response: Wire.Message<Schema.Top>
}

const { ConsumerProtocol: _consumerProtocol, Header: _header, ...modules } = messages

/** All of them, in the order of their keys. */
export const all: ReadonlyArray<Api> = Object.entries(modules)
  .map(([name, { Request, Response }]): Api => ({ key: Request.key, name, Request, Response }))
  .sort((a, b) => a.key - b.key)

const keys = new Map(all.map((api) => [api.key, api]))

/** The API of a key, or undefined for one that is not known. */
export const byKey = (key: number): Api | undefined => keys.get(key)
