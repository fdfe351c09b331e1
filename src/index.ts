/**
 * Samsa, a Kafka client for Effect: each module under its own name, `import { Consumer, Kafka, Producer } from "samsa"`.
 */
export * as Broker from "./Broker.ts"
export * as Cluster from "./Cluster.ts"
export * as Compression from "./Compression.ts"
export * as ErrorCode from "./ErrorCode.ts"
export * as Kafka from "./Kafka.ts"
export * as KafkaConfig from "./KafkaConfig.ts"
export * as KafkaError from "./KafkaError.ts"
export * as Network from "./Network.ts"
export * as Offset from "./Offset.ts"
export * as Partitioner from "./Partitioner.ts"
export * as Producer from "./Producer.ts"
export * as Record from "./Record.ts"
export * as Topic from "./Topic.ts"
export * as TopicPartition from "./TopicPartition.ts"
export * as Transport from "./Transport.ts"
