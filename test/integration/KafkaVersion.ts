/** The versions of Apache Kafka that the tests run on, and what they are made of on Maven Central. */

export const versions = [
  "0.8.2.2",
  "0.9.0.1",
  "0.10.0.1",
  "0.10.2.2",
  "0.11.0.3",
  "1.1.1",
  "2.8.2",
  "3.9.2",
  "4.0.2",
  "4.4.0"
] as const
export type Version = (typeof versions)[number]

/** How a cluster keeps its state. */
export type Mode = "zookeeper" | "kraft"

/** Every version in every mode that the tests run it in. */
export const matrix: ReadonlyArray<{ readonly version: Version; readonly mode: Mode }> = [
  { version: "0.8.2.2", mode: "zookeeper" },
  { version: "0.9.0.1", mode: "zookeeper" },
  { version: "0.10.2.2", mode: "zookeeper" },
  { version: "0.11.0.3", mode: "zookeeper" },
  { version: "1.1.1", mode: "zookeeper" },
  { version: "2.8.2", mode: "zookeeper" },
  { version: "3.9.2", mode: "zookeeper" },
  { version: "3.9.2", mode: "kraft" },
  { version: "4.0.2", mode: "kraft" },
  { version: "4.4.0", mode: "kraft" }
]

/** Whether a version is at least another: `atLeast("2.8.2", 2, 4)`. */
export const atLeast = (version: Version, ...other: ReadonlyArray<number>): boolean => {
  const own = version.split(".").map(Number)
  for (let i = 0; i < other.length; i++) {
    const difference = (own[i] ?? 0) - other[i]!
    if (difference !== 0) return difference > 0
  }
  return true
}

export const defaultMode = (version: Version): Mode => (atLeast(version, 3, 3) ? "kraft" : "zookeeper")

/** SASL mechanisms that a broker of the version has, Kerberos aside. */
export const mechanisms = (version: Version): ReadonlyArray<string> => [
  ...(atLeast(version, 0, 10) ? ["PLAIN"] : []),
  ...(atLeast(version, 0, 10, 2) ? ["SCRAM-SHA-256", "SCRAM-SHA-512"] : []),
  ...(atLeast(version, 2, 0) ? ["OAUTHBEARER"] : [])
]

const dependency = (group: string, artifact: string, version: string): string =>
  `<dependency><groupId>${group}</groupId><artifactId>${artifact}</artifactId><version>${version}</version></dependency>`

/** A project for Maven whose runtime dependencies are the broker. */
export const pom = (version: Version): string => {
  const parts = [dependency("org.apache.kafka", atLeast(version, 2, 4) ? "kafka_2.13" : "kafka_2.11", version)]
  // javax.xml.bind left the JDK in 11; these die without it
  if (atLeast(version, 0, 10, 1) && !atLeast(version, 1)) parts.push(dependency("javax.xml.bind", "jaxb-api", "2.3.1"))
  // from 1.0 on the broker's own pom names no logging binding
  if (atLeast(version, 4)) parts.push(dependency("org.slf4j", "slf4j-simple", "1.7.36"))
  else if (atLeast(version, 1)) parts.push(dependency("org.slf4j", "slf4j-reload4j", "1.7.36"))
  return `<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>
<groupId>samsa</groupId><artifactId>kafka</artifactId><version>${version}</version><packaging>pom</packaging>
<dependencies>${parts.join("\n")}</dependencies></project>
`
}
