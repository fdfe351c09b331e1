/** DescribeUserScramCredentials, v0: how users may log in, of all or of some. */
import * as Api from "../../protocol/messages/DescribeUserScramCredentials.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { mechanisms } from "./Users.ts"

export const describeUserScramCredentials = handler("DescribeUserScramCredentials", Api, (call) => {
  const { cluster, node, request } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  if (refused !== Code.none) return call.answer({ errorCode: refused, errorMessage: null, results: [] })
  const asked =
    request.users === null || request.users.length === 0 ? cluster.users.names : request.users.map(({ name }) => name)
  const results = Array.from(new Set(asked), (user) => {
    const his = cluster.users.of(user)
    const twice = asked.filter((name) => name === user).length > 1
    const credentialInfos = twice
      ? []
      : Array.from(mechanisms).flatMap(([mechanism, name]) => {
          const credential = his.get(name)
          return credential === undefined ? [] : [{ mechanism, iterations: credential.iterations }]
        })
    const errorCode = twice ? Code.duplicateResource : his.size === 0 ? Code.resourceNotFound : Code.none
    const errorMessage = twice
      ? "The user is named twice"
      : errorCode === Code.none
        ? null
        : `Attempt to describe a user credential that does not exist: ${user}`
    return { user, errorCode, errorMessage, credentialInfos }
  })
  call.answer({ errorCode: Code.none, errorMessage: null, results })
})
