/** Kafka for tests: a cluster in memory, faults, and Layers that give a program both. */
export * as EmbeddedKafka from "./EmbeddedKafka.ts"
export * as Fault from "./Fault.ts"
export * as FaultProxy from "./FaultProxy.ts"
export * as KafkaTest from "./KafkaTest.ts"
export * as MemoryKafka from "./MemoryKafka.ts"
export * as Oracle from "./Oracle.ts"
export * as Simulation from "./Simulation.ts"
