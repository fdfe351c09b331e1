/** AlterConfigs, v0–v2: all settings of a topic or broker at once; what is left out has its default again. */
import * as Api from "../../protocol/messages/AlterConfigs.ts"
import * as Code from "./Code.ts"
import * as Config from "./Config.ts"
import { handler } from "./Handler.ts"

export const alterConfigs = handler("AlterConfigs", Api, (call) => {
  const { cluster, node, request } = call
  call.answer({
    responses: request.resources.map(({ configs, resourceName, resourceType }) => {
      const injected = call.injected(resourceType === Config.resource.topic ? resourceName : undefined)
      const [errorCode, errorMessage] =
        injected !== Code.none
          ? ([injected, null] as const)
          : Config.alter(cluster, node, resourceType, resourceName, request.validateOnly, () => {
              const wrong = configs
                .map(({ name, value }) => Config.check(cluster, resourceType, name, value))
                .find((w) => w !== undefined)
              if (wrong !== undefined) return wrong
              return new Map(configs.flatMap(({ name, value }) => (value === null ? [] : [[name, value] as const])))
            })
      return { errorCode, errorMessage, resourceType, resourceName }
    })
  })
})
