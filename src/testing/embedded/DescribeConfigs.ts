/**
 * DescribeConfigs, v0–v4: of topics, and of brokers by id (asked of that broker; an empty name: the settings of all
 * brokers that were altered).
 */
import * as Api from "../../protocol/messages/DescribeConfigs.ts"
import * as Code from "./Code.ts"
import * as Config from "./Config.ts"
import { handler } from "./Handler.ts"

export const describeConfigs = handler("DescribeConfigs", Api, (call) => {
  const { cluster, node, request } = call
  call.answer({
    results: request.resources.map(({ configurationKeys, resourceName, resourceType }) => {
      const fail = (errorCode: number, errorMessage: string | null = null) => ({
        errorCode,
        errorMessage,
        resourceType,
        resourceName,
        configs: []
      })
      const injected = call.injected(resourceType === Config.resource.topic ? resourceName : undefined)
      if (injected !== Code.none) return fail(injected)
      const described = Config.describe(cluster, node, resourceType, resourceName)
      if (typeof described === "number") return fail(described)
      return {
        errorCode: Code.none,
        errorMessage: null,
        resourceType,
        resourceName,
        configs: described
          .filter(({ name }) => configurationKeys === null || configurationKeys.includes(name))
          .map(({ kind, name, readOnly, source, synonyms, value }) => ({
            name,
            value,
            readOnly,
            ...(call.version === 0 ? { isDefault: source === Config.source.default } : undefined),
            configSource: source,
            isSensitive: false,
            synonyms: request.includeSynonyms ? synonyms : [],
            configType: Config.kinds[kind],
            documentation: null
          }))
      }
    })
  })
})
