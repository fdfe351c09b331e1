/**
 * Pure. Connection settings from a file of properties, by the names of Java's clients and of librdkafka (kcat's); what
 * is not about connections is passed by.
 */

/** What a file says, as `KAFKA_*` of the environment would. */
export interface Read {
  /** What is undefined is not to be, whatever the environment says. */
  readonly values: { readonly [name: string]: string | undefined }
  /** Its `security.protocol`, where that has somebody log in. */
  readonly sasl: string | undefined
  /** What cannot be done here, in words. */
  readonly mistakes: ReadonlyArray<string>
}

const escapes: { readonly [escape: string]: string } = { n: "\n", r: "\r", t: "\t", f: "\f" }

/** What stands for others read: `\n`, `\t`, `\u00fc`; any other that `\` is before is meant itself. */
const unescaped = (text: string): string =>
  text.replace(/\\(u[0-9a-fA-F]{4}|[^])/g, (_, escape: string) =>
    escape.length === 5 ? String.fromCharCode(parseInt(escape.slice(1), 16)) : (escapes[escape] ?? escape)
  )

/** A line that is not all there: an odd number of `\` ends it. */
const goesOn = (line: string): boolean => /(?:^|[^\\])(?:\\\\)*\\$/.test(line)

/**
 * Lines as `java.util.Properties` reads them: `name=value`, `name: value` or `name value`, with `#` and `!` for comments
 * (which do not go on), `\` for a line that does, and escapes in names and values; of a name that is there twice the last.
 */
export const parse = (text: string): ReadonlyMap<string, string> => {
  const found = new Map<string, string>()
  let begun = ""
  for (const piece of `${text}\n`.split(/\r\n|\n|\r/)) {
    const line = begun + piece.replace(/^[ \t\f]+/, "")
    if (begun === "" && /^[#!]/.test(line)) continue
    if (goesOn(line)) {
      begun = line.slice(0, -1)
      continue
    }
    begun = ""
    const [, name, value] = /^((?:\\[^]|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*([^]*)$/.exec(line)!
    // Java's clients trim every value.
    if (line !== "") found.set(unescaped(name!), unescaped(value!).trim())
  }
  return found
}

/** A quoted value of `sasl.jaas.config`. */
const jaas = (config: string, name: string): string | undefined => {
  const match = new RegExp(`\\b${name}\\s*=\\s*("((?:[^"\\\\]|\\\\.)*)"|'([^']*)'|([^\\s;]+))`).exec(config)
  return match === null ? undefined : (match[2]?.replace(/\\(.)/g, "$1") ?? match[3] ?? match[4])
}

const simple: ReadonlyArray<readonly [name: string, setting: string]> = [
  ["bootstrap.servers", "BOOTSTRAP"],
  ["metadata.broker.list", "BOOTSTRAP"],
  ["client.id", "CLIENT_ID"],
  ["sasl.mechanism", "SASL_MECHANISM"],
  ["sasl.mechanisms", "SASL_MECHANISM"],
  ["sasl.username", "SASL_USERNAME"],
  ["sasl.password", "SASL_PASSWORD"],
  ["ssl.ca.location", "TLS_CA_FILE"],
  ["ssl.certificate.location", "TLS_CERT_FILE"],
  ["ssl.key.location", "TLS_KEY_FILE"],
  ["ssl.key.password", "TLS_PASSPHRASE"]
]

/** Certificates and keys in the file itself. */
const inline = [
  "ssl.truststore.certificates",
  "ssl.keystore.certificate.chain",
  "ssl.keystore.key",
  "ssl.ca.pem",
  "ssl.certificate.pem",
  "ssl.key.pem"
]

/** Settings by the names of `KafkaConfig.environment`, without `KAFKA_`; `tls`: what a flag says of it, before the file. */
export const read = (text: string, tls?: boolean): Read => {
  const properties = parse(text)
  const values: Record<string, string | undefined> = {}
  const mistakes: Array<string> = []
  for (const [name, setting] of simple) {
    const value = properties.get(name)
    if (value !== undefined && value !== "") values[setting] = value
  }
  // Before an address both Java's clients and librdkafka take the protocol of its listener.
  const { BOOTSTRAP: bootstrap } = values
  if (bootstrap !== undefined) values["BOOTSTRAP"] = bootstrap.replace(/(^|,)\s*\w+:\/\//g, "$1")
  const protocol = properties.get("security.protocol")?.toUpperCase()
  if (protocol !== undefined && !["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"].includes(protocol))
    mistakes.push(`security.protocol must be PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL, not ${protocol}`)
  const isPlain = tls === undefined ? protocol?.endsWith("PLAINTEXT") === true : !tls
  if (protocol !== undefined) values["TLS"] = String(protocol.endsWith("SSL"))
  // Certificates are nobody's then, as those of Java's clients are.
  for (const name of inline)
    if (properties.has(name) && !isPlain) mistakes.push(`${name}: PEM is read from files alone`)
  const config = properties.get("sasl.jaas.config")
  if (config !== undefined) {
    const [username, password] = [jaas(config, "username"), jaas(config, "password")]
    if (username !== undefined) values["SASL_USERNAME"] = username
    if (password !== undefined) values["SASL_PASSWORD"] = password
  }
  if (protocol !== undefined && !protocol.startsWith("SASL_"))
    for (const name of ["SASL_MECHANISM", "SASL_USERNAME", "SASL_PASSWORD", "SASL_TOKEN"]) values[name] = undefined
  for (const store of ["truststore", "keystore"]) {
    const location = properties.get(`ssl.${store}.location`)
    if (location === undefined || isPlain) continue
    const type = properties.get(`ssl.${store}.type`)
    if (type?.toUpperCase() !== "PEM")
      mistakes.push(
        `ssl.${store}.location: only files of PEM can be read (ssl.${store}.type=PEM), not ${type ?? "JKS"}`
      )
    else if (store === "truststore") values["TLS_CA_FILE"] = location
    else {
      values["TLS_CERT_FILE"] = location
      values["TLS_KEY_FILE"] = location
    }
  }
  return { values, sasl: protocol?.startsWith("SASL_") === true ? protocol : undefined, mistakes }
}
