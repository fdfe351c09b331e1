/**
 * `Membership` as programs see it: the contract, and each way to come to partitions under its name. Imported as
 * `Membership` from the package; the contract alone, which knows none of them, is `Membership.ts`.
 *
 * @module Membership
 * @since 0.1.0
 */
export * from "./Membership.ts"
export { auto, type AutoOptions } from "./AutoGroup.ts"
export { classic, type ClassicOptions } from "./ClassicGroup.ts"
export { consumer, type ConsumerOptions } from "./ConsumerGroup.ts"
export { zooKeeper, type ZooKeeperOptions } from "./ZooKeeperGroup.ts"
