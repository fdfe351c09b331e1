/** IncrementalAlterConfigs, v0–v1: sets, deletes, appends to and subtracts from single settings (KIP-339). */
import * as Api from "../../protocol/messages/IncrementalAlterConfigs.ts"
import * as Code from "./Code.ts"
import * as Config from "./Config.ts"
import { handler } from "./Handler.ts"

const operation = { set: 0, remove: 1, append: 2, subtract: 3 } as const

const parts = (value: string | undefined): ReadonlyArray<string> =>
  value === undefined || value === "" ? [] : value.split(",")

/** What becomes of a value; a number is the error code of an operation that cannot be. */
const change = (
  current: string | undefined,
  byDefault: string | undefined,
  isList: boolean,
  how: number,
  value: string | null
): string | undefined | number => {
  switch (how) {
    case operation.set:
      return value ?? Code.invalidRequest
    case operation.remove:
      return undefined
    case operation.append:
      if (!isList || value === null) return Code.invalidConfig
      return Array.from(new Set([...parts(current ?? byDefault), ...parts(value)])).join(",")
    case operation.subtract:
      if (!isList || value === null) return Code.invalidConfig
      return parts(current ?? byDefault)
        .filter((part) => !parts(value).includes(part))
        .join(",")
    default:
      return Code.invalidRequest
  }
}

export const incrementalAlterConfigs = handler("IncrementalAlterConfigs", Api, (call) => {
  const { cluster, node, request } = call
  const { profile } = cluster.settings
  call.answer({
    responses: request.resources.map(({ configs, resourceName, resourceType }) => {
      const injected = call.injected(resourceType === Config.resource.topic ? resourceName : undefined)
      const [errorCode, errorMessage] =
        injected !== Code.none
          ? ([injected, null] as const)
          : Config.alter(cluster, node, resourceType, resourceName, request.validateOnly, (current) => {
              const names = configs.map((each) => each.name)
              if (new Set(names).size < names.length) return Code.invalidRequest
              const next = new Map(current)
              for (const { configOperation, name, value } of configs) {
                const setting = Config.find(cluster, resourceType, name)
                const made = change(
                  current.get(name),
                  setting?.byDefault,
                  setting?.kind === "list",
                  configOperation,
                  value
                )
                if (typeof made === "number")
                  return made === Code.invalidConfig && !profile.since("3.9") ? Code.invalidRequest : made
                const wrong = Config.check(cluster, resourceType, name, made ?? null)
                if (wrong !== undefined) return wrong
                if (made === undefined) next.delete(name)
                else next.set(name, made)
              }
              return next
            })
      return { errorCode, errorMessage, resourceType, resourceName }
    })
  })
})
