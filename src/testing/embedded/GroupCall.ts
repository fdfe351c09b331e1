/** What every request to a group coordinator is asked first. */
import * as Code from "./Code.ts"
import type { Call } from "./Handler.ts"
import type { Profile } from "./Profile.ts"
import { misdirected } from "./WrongBroker.ts"

/** What may be done with a group, as bits: read, delete, describe; from 4.0 on describe and alter its settings, too. */
export const operationsOf = (profile: Profile): number => (profile.since("4.0") ? 0b1101_0100_1000 : 0b1_0100_1000)

/** Why this broker does not serve the group; 0 where it does. Commits and admin requests may be about the group "". */
export const refusal = (call: Call<any, any>, group: string, named: "named" | "join" | "empty" = "named"): number => {
  const injected = call.injected()
  if (injected !== Code.none) return injected
  const denied = call.denied(group)
  if (denied !== Code.none) return denied
  if (group === "" && named !== "empty") {
    // before 2.x only JoinGroup looked at the name
    return named === "join" || call.cluster.settings.profile.since("2.8") ? Code.invalidGroupId : Code.unknownMemberId
  }
  const coordinator = call.cluster.coordinator("group", group)
  if (coordinator === undefined) return Code.coordinatorNotAvailable
  if (coordinator.id === call.node.id) return Code.none
  misdirected(call, "group", group)
  return Code.notCoordinator
}
