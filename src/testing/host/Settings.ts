/** The settings of an embedded cluster, from the options that it is asked for. */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Compression from "../../Compression.ts"
import * as KafkaError from "../../KafkaError.ts"
import type { Settings } from "../embedded/ClusterState.ts"
import { served } from "../embedded/handlers.ts"
import * as Profile from "../embedded/Profile.ts"
import { Users } from "../embedded/Users.ts"
import type { Options } from "./Contract.ts"
import * as Telemetry from "./Telemetry.ts"

const millis = (input: Duration.Input | undefined, byDefault: number): number =>
  input === undefined ? byDefault : Duration.toMillis(Duration.fromInputUnsafe(input))

/** Fails with `Misconfigured` where the release that is played has not what is asked for. */
export const of = (
  options: Options,
  compression: Compression.Registry
): Effect.Effect<Settings, KafkaError.KafkaError> => {
  const { asVersion } = options
  if (asVersion !== undefined && !Profile.releases.includes(asVersion))
    return Effect.fail(
      KafkaError.make({
        _tag: "Misconfigured",
        mistakes: [`asVersion "${asVersion}" is none of the releases that are played: ${Profile.releases.join(", ")}`]
      })
    )
  const handlers = served(options.telemetry !== undefined && options.telemetry !== false)
  const profile = asVersion === undefined ? Profile.everything(handlers) : Profile.asVersion(asVersion, handlers)
  const groupVersion = options.groupVersion ?? profile.groupVersion
  const protocols =
    options.groupRebalanceProtocols ?? (profile.consumerProtocol === "default" ? ["consumer"] : ["classic"])
  const mistakes = [
    ...(groupVersion > profile.groupVersion ? [`this release has no groupVersion ${groupVersion}`] : []),
    ...(protocols.includes("consumer") && profile.consumerProtocol === "never"
      ? ["this release has no groups of the consumer protocol"]
      : [])
  ]
  if (mistakes.length > 0) return Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes }))
  const settings: Settings = {
    profile,
    raised: (release) => raised(settings, Profile.asVersion(release, handlers)),
    profileOf: (release) => Profile.asVersion(release, handlers),
    coldStart: options.coldStart ?? false,
    autoCreate: options.autoCreate ?? true,
    defaultPartitions: options.defaultPartitions ?? 1,
    replicationFactor: options.replicationFactor ?? 3,
    groupInitialRebalanceDelay: millis(options.groupInitialRebalanceDelay, 0),
    groupMinSessionTimeout: millis(options.groupMinSessionTimeout, 6000),
    groupMaxSessionTimeout: millis(options.groupMaxSessionTimeout, profile.maxSessionTimeout),
    groupMaxSize: options.groupMaxSize ?? Number.MAX_SAFE_INTEGER,
    groupVersion,
    consumerProtocol: protocols.includes("consumer") && groupVersion >= profile.groupVersion,
    consumerGroups: {
      sessionTimeout: millis(options.groupConsumerSessionTimeout, 45_000),
      heartbeatInterval: millis(options.groupConsumerHeartbeatInterval, 5000),
      maxSize: options.groupConsumerMaxSize ?? Number.MAX_SAFE_INTEGER,
      classicMaxSize: options.groupMaxSize ?? Number.MAX_SAFE_INTEGER,
      ...ofGroups(profile),
      ...(options.groupConsumerMigrationPolicy === undefined
        ? {}
        : { migration: options.groupConsumerMigrationPolicy }),
      assignmentInterval: millis(options.groupConsumerAssignmentInterval, 0),
      regexRefreshInterval: millis(options.groupConsumerRegexRefreshInterval, 600_000)
    },
    selectsByRack: options.racks !== undefined,
    maxFrameBytes: options.maxRequestBytes ?? 104_857_600,
    compression,
    sasl:
      options.sasl === undefined
        ? undefined
        : {
            mechanisms: options.sasl.mechanisms ?? ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"],
            users: new Users(new Map(Object.entries(options.sasl.users))),
            sessionLifetime: millis(options.sasl.sessionLifetime, 0),
            failureDelay: profile.failureDelay
          },
    transactionVersion: Math.min(options.transactionVersion ?? 2, profile.transactionVersion),
    clientMetrics: Telemetry.receiver(options.telemetry),
    clusterId: options.clusterId,
    superUsers: options.superUsers ?? ["User:ANONYMOUS"]
  }
  return Effect.succeed(settings)
}

/** What a group of the consumer protocol does by its release. */
const ofGroups = (profile: Profile.Profile) => ({
  migration: profile.since("4.0") ? ("bidirectional" as const) : ("disabled" as const),
  modern: profile.since("4.4"),
  patterns: profile.since("4.0")
})

/** `transaction.version` is raised by itself. */
const raised = (settings: Settings, profile: Profile.Profile): Settings => ({
  ...settings,
  raised: (release) => raised(settings, settings.profileOf(release)),
  profile,
  groupVersion: profile.groupVersion,
  consumerProtocol: profile.consumerProtocol === "default",
  consumerGroups: { ...settings.consumerGroups, ...ofGroups(profile) }
})
