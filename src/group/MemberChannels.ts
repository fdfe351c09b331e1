/**
 * Connections to the coordinator that are one member's own. A connection is given up where one answer is late, and all
 * that waits there fails with it: what one member calls late, by the third of a short session, is not to cut off the
 * heartbeats of another, whose session is long.
 */
import type { Broker, Channel } from "../Broker.ts"

export interface MemberChannels {
  /** Where a JoinGroup may be held, and with it all that follows. */
  readonly held: Channel
  /** Where nothing is ever held. */
  readonly beats: Channel
  /** Goes on at this broker, which it gives: connections to another are closed. */
  readonly at: (broker: Broker) => Broker
  readonly hangUp: () => void
}

let members = 0

export const make = (): MemberChannels => {
  const held = `group-${++members}`
  const beats = `${held}-beats`
  let last: Broker | undefined
  const hangUp = () => {
    last?.hangUp(held)
    last?.hangUp(beats)
  }
  return {
    held,
    beats,
    at: (broker) => {
      if (broker !== last) hangUp()
      return (last = broker)
    },
    hangUp
  }
}
