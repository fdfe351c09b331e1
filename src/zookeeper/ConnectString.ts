/** Pure. `zk1:2181,zk2/kafka`: where ZooKeeper listens, and below which node everything is. */
import * as KafkaConfig from "../KafkaConfig.ts"
import { isPath } from "./Path.ts"

export interface Place {
  readonly servers: ReadonlyArray<{ readonly host: string; readonly port: number }>
  /** Empty, or a path. */
  readonly chroot: string
}

/** Reads a connection string; what is wrong with it is added to the mistakes. */
export const parse = (connect: string, check: KafkaConfig.Checks): Place => {
  if (typeof connect !== "string") {
    check.mistakes.push(`connect must be a text, such as "zk1:2181,zk2:2181/kafka"`)
    return { servers: [], chroot: "" }
  }
  const slash = connect.indexOf("/")
  const hosts = slash < 0 ? connect : connect.slice(0, slash)
  const chroot = slash < 0 ? "" : connect.slice(slash).replace(/\/$/, "")
  if (chroot !== "" && !isPath(chroot)) check.mistakes.push(`connect: "${chroot}" is no path of a node`)
  const servers: Array<{ readonly host: string; readonly port: number }> = []
  for (const text of hosts.split(",").map((host) => host.trim())) {
    const address = KafkaConfig.parseAddress(/^\[.*\]$|^[^:]*$/.test(text) ? `${text}:2181` : text)
    // What stands before an "@" may be a password.
    if (text.includes("@")) check.mistakes.push(`connect holds an "@": who we are is told by auth`)
    else if (address === undefined) check.mistakes.push(`connect: "${text}" is not host:port`)
    else servers.push(address)
  }
  return { servers, chroot }
}
