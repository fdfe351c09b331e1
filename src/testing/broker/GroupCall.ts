/** What every request to a group coordinator is asked first. */
import * as Code from "./Code.ts"
import type { Call } from "./Handler.ts"

/** Why this broker does not serve the group; 0 where it does. */
export const refusal = (call: Call<any, any>, group: string): number => {
  const injected = call.injected()
  if (injected !== Code.none) return injected
  if (group === "") return Code.invalidGroupId
  const coordinator = call.cluster.coordinator("group", group)
  if (coordinator === undefined) return Code.coordinatorNotAvailable
  return coordinator.id === call.node.id ? Code.none : Code.notCoordinator
}
