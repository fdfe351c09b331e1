/** AlterUserScramCredentials, v0: gives and takes away what users log in by. A user is answered for as a whole. */
import * as Api from "../../protocol/messages/AlterUserScramCredentials.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { mechanisms } from "./Users.ts"

const iterations = {
  least: new Map([
    [1, 4096],
    [2, 4096]
  ]),
  most: 16_384
}

export const alterUserScramCredentials = handler("AlterUserScramCredentials", Api, (call) => {
  const { cluster, node, request } = call
  const { deletions, upsertions } = request
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  const named = [...deletions, ...upsertions]
  const wrong = (user: string): readonly [errorCode: number, errorMessage: string | null] => {
    if (refused !== Code.none) return [refused, null]
    if (user === "") return [Code.unacceptableCredential, "Username must not be empty"]
    const his = named.filter(({ name }) => name === user)
    if (his.some(({ mechanism }) => !mechanisms.has(mechanism)))
      return [Code.unsupportedSaslMechanism, "Unknown SCRAM mechanism"]
    for (const each of upsertions) {
      if (each.name !== user) continue
      if (each.iterations < iterations.least.get(each.mechanism)!)
        return [Code.unacceptableCredential, "Too few iterations"]
      if (each.iterations > iterations.most) return [Code.unacceptableCredential, "Too many iterations"]
    }
    const missing = deletions.some(
      ({ mechanism, name }) => name === user && !cluster.users.of(user).has(mechanisms.get(mechanism)!)
    )
    // 2.x looks for the same mechanism twice, and first; later ones for the same user.
    const perUser = cluster.settings.profile.since("3.9")
    const twice = his.length > (perUser ? 1 : new Set(his.map(({ mechanism }) => mechanism)).size)
    const duplicate = [Code.duplicateResource, "A user credential cannot be altered twice in the same request"] as const
    if (twice && !perUser) return duplicate
    if (missing) return [Code.resourceNotFound, "Attempt to delete a user credential that does not exist"]
    return twice ? duplicate : [Code.none, null]
  }
  const results = Array.from(new Set(named.map(({ name }) => name)), (user) => {
    const [errorCode, errorMessage] = wrong(user)
    return { user, errorCode, errorMessage }
  })
  const taken = new Set(results.filter(({ errorCode }) => errorCode === Code.none).map(({ user }) => user))
  for (const { mechanism, name } of deletions)
    if (taken.has(name)) cluster.users.remove(name, mechanisms.get(mechanism)!)
  for (const { iterations, mechanism, name, salt, saltedPassword } of upsertions) {
    if (!taken.has(name)) continue
    const salted = Uint8Array.from(saltedPassword)
    cluster.users.set(name, mechanisms.get(mechanism)!, {
      iterations,
      salt: Uint8Array.from(salt),
      salted: () => salted
    })
  }
  call.answer({ results })
})
