/** Pure. What an application may give for partitions and for offsets, JavaScript's callers too. */
import * as Checks from "../Checks.ts"
import type * as TopicPartition from "../TopicPartition.ts"
import { mistake } from "./StartPositions.ts"

type Place = TopicPartition.TopicPartition

/** What is wrong with a partition. */
export const placeMistake = (place: unknown): string | undefined => {
  const { partition, topic } = typeof place === "object" && place !== null ? (place as Partial<Place>) : {}
  return typeof topic === "string" && typeof partition === "number"
    ? undefined
    : `a partition is { topic: text, partition: number }, not ${Checks.shown(place)}`
}

/** A list of them, of which each is one, or what is wrong with it. */
export const placesOf = <P extends Place>(list: Iterable<P>): ReadonlyArray<P> | string => {
  if (typeof list !== "object" || typeof list?.[Symbol.iterator] !== "function")
    return `partitions are a list, not ${Checks.shown(list)}`
  const places = [...list]
  return places.map(placeMistake).find((wrong) => wrong !== undefined) ?? places
}

/** What is wrong with an offset that is to be committed. */
export const offsetMistake = ({ offset }: { readonly offset: number }): string | undefined =>
  mistake({ _tag: "At", offset })

/** A list of offsets that are to be committed, or what is wrong with one. */
export const commitsOf = <P extends Place & { readonly offset: number }>(
  list: Iterable<P>
): ReadonlyArray<P> | string => {
  const places = placesOf(list)
  return typeof places === "string"
    ? places
    : (places.map(offsetMistake).find((wrong) => wrong !== undefined) ?? places)
}
