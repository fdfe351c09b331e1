/** Pure. The addresses of brokers that responses tell, and what they are told as in their place. */
import * as DescribeCluster from "../../protocol/messages/DescribeCluster.ts"
import * as Fetch from "../../protocol/messages/Fetch.ts"
import * as FindCoordinator from "../../protocol/messages/FindCoordinator.ts"
import * as Metadata from "../../protocol/messages/Metadata.ts"
import * as Produce from "../../protocol/messages/Produce.ts"

/** A broker, and where it can be reached. */
export interface Place {
  readonly id: number
  readonly host: string
  readonly port: number
}

const telling: ReadonlySet<number> = new Set(
  [Metadata, FindCoordinator, DescribeCluster, Produce, Fetch].map((api) => api.Request.key)
)

/** Whether responses of an API tell addresses. */
export const tells = (apiKey: number): boolean => telling.has(apiKey)

interface Told {
  readonly nodeId?: number
  readonly brokerId?: number
  readonly host: string
  readonly port: number
}

/** Where responses list brokers; FindCoordinator before v4 tells one at its top. */
const lists = ["brokers", "coordinators", "nodeEndpoints"] as const

const placeOf = ({ brokerId, host, nodeId, port }: Told): Place => ({ id: nodeId ?? brokerId ?? -1, host, port })

/** A broker that can be reached; where there is an error, the address is an empty one. */
const isPlace = ({ host, id, port }: Place): boolean => id >= 0 && host !== "" && port > 0

const toldIn = (response: object): ReadonlyArray<Told> => [
  ...("host" in response && "port" in response ? [response as Told] : []),
  ...lists.flatMap((list) => (response as { readonly [L in typeof list]?: ReadonlyArray<Told> })[list] ?? [])
]

/** The brokers that a response tells. */
export const placesIn = (response: object): ReadonlyArray<Place> => toldIn(response).map(placeOf).filter(isPlace)

/** A copy of the response, in which each of these brokers has another address. */
export const replaced = (
  response: object,
  other: (place: Place) => { readonly host: string; readonly port: number }
): object => {
  const told = <T extends Told>(each: T): T => {
    const place = placeOf(each)
    return isPlace(place) ? { ...each, ...other(place) } : each
  }
  const copy: Record<string, unknown> = {
    ...("host" in response && "port" in response ? told(response as Told) : response)
  }
  for (const list of lists) {
    const all = copy[list] as ReadonlyArray<Told> | undefined
    if (all !== undefined) copy[list] = all.map(told)
  }
  return copy
}
