/**
 * DescribeConfigs, v0–v4: of topics, and of brokers by id (asked of that broker; an empty name: the settings of all
 * brokers that were altered).
 */
import * as Api from "../../protocol/messages/DescribeConfigs.ts"
import { isLegalName } from "./Cluster.ts"
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
      // An empty list of keys is one of all, from 2.8 on.
      const all = configurationKeys?.length === 0 && cluster.settings.profile.since("2.8")
      const keys = all ? null : configurationKeys
      const injected = call.injected(resourceType === Config.resource.topic ? resourceName : undefined)
      if (injected !== Code.none) return fail(injected)
      if (resourceType === Config.resource.topic && !isLegalName(resourceName))
        return fail(Code.invalidTopic, `"${resourceName}" is no legal name of a topic`)
      const described = Config.describe(cluster, node, resourceType, resourceName)
      // Where there is nothing to say it says so, from 2.8 on.
      const nothing = cluster.settings.profile.since("2.8") ? "" : null
      if (described === Code.unknownTopicOrPartition) return fail(described, nothing)
      if (typeof described === "number")
        return fail(described, `"${resourceName}" of type ${resourceType} has no settings that this broker tells`)
      return {
        errorCode: Code.none,
        errorMessage: nothing,
        resourceType,
        resourceName,
        configs: described
          .filter(({ name }) => keys === null || keys.includes(name))
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
