/**
 * Who the broker is and who we are: TLS and SASL, as an application sets them and as connections use them. Secrets are
 * `Redacted`, and in no message.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Redacted from "effect/Redacted"
import * as Redacted_ from "effect/Redacted"
import * as Crypto from "node:crypto"
import * as Fs from "node:fs"
import * as Tls_ from "node:tls"
import { kinds, known, shown, type Table } from "./Checks.ts"
import * as KafkaError from "./KafkaError.ts"

/**
 * PEM text, or a file of it. A file is read again at each connection, so that certificates can be renewed beneath us.
 *
 * @since 0.1.0
 * @category models
 */
export type Pem = string | { readonly file: string }

/**
 * TLS. Without a `ca`, the authorities that Node.js knows are trusted.
 *
 * @since 0.1.0
 * @category models
 */
export interface Tls {
  /** The authorities that may have signed the brokers' certificates. Default: those that Node.js trusts. Java: ssl.truststore.location, .certificates. */
  readonly ca?: Pem | undefined
  /** Our certificate, and those between it and its authority. Default: none. Java: ssl.keystore.location, .certificate.chain. */
  readonly cert?: Pem | undefined
  /** Its private key. Default: none. Java: ssl.keystore.key. */
  readonly key?: Redacted.Redacted<string> | { readonly file: string } | undefined
  /** What an encrypted key is encrypted with. Default: none. Java: ssl.key.password. */
  readonly passphrase?: Redacted.Redacted<string> | undefined
  /** The name that the certificate must bear, and that is sent as SNI. Default: the host that is connected to. */
  readonly servername?: string | undefined
  /** Whether the certificate must bear the host's name. Default true. Java: ssl.endpoint.identification.algorithm. */
  readonly checkServerName?: boolean | undefined
}

/**
 * A name and a password, which the broker hears (over TLS alone nobody else does).
 *
 * @since 0.1.0
 * @category models
 */
export interface Plain {
  /** Java: sasl.mechanism. */
  readonly mechanism: "PLAIN"
  /** As the brokers know it. Java: username in sasl.jaas.config. */
  readonly username: string
  /** The broker hears it. Java: password in sasl.jaas.config. */
  readonly password: Redacted.Redacted<string>
}

/**
 * A name and a password, which the broker does not hear.
 *
 * @since 0.1.0
 * @category models
 */
export interface Scram {
  /** Java: sasl.mechanism. */
  readonly mechanism: "SCRAM-SHA-256" | "SCRAM-SHA-512"
  /** Of ASCII: Kafka's brokers read no other. Java: username in sasl.jaas.config. */
  readonly username: string
  /** Taken as it is: not prepared (RFC 4013), as Kafka's own client does not. Java: password in sasl.jaas.config. */
  readonly password: Redacted.Redacted<string>
  /** The most iterations that are done for a broker that asks for them. Default 16 384. */
  readonly maxIterations?: number | undefined
}

/**
 * SASL: by name and password, or by a token. Java: sasl.mechanism, sasl.jaas.config.
 *
 * @since 0.1.0
 * @category models
 */
export type Sasl<R = never> = Plain | Scram | MskIam<R> | OAuthBearer<R>

/**
 * A token, such as one of OAuth 2.
 *
 * @since 0.1.0
 * @category models
 */
export interface OAuthBearer<R = never> {
  /** Java: sasl.mechanism. */
  readonly mechanism: "OAUTHBEARER"
  /** Asked for at each authentication. Where it fails, the connection is tried again as if it could not be made. Java: sasl.login.callback.handler.class. */
  readonly token: Effect.Effect<Redacted.Redacted<string>, unknown, R>
  /** What is sent beside the token (KIP-342). Default: none. Java: SaslExtensionsCallback. */
  readonly extensions?: { readonly [name: string]: string } | undefined
}

/**
 * Credentials of AWS, permanent or of a session.
 *
 * @since 0.1.0
 * @category models
 */
export interface AwsCredentials {
  readonly accessKeyId: string
  readonly secretAccessKey: Redacted.Redacted<string>
  readonly sessionToken?: Redacted.Redacted<string> | undefined
}

/**
 * IAM of Amazon MSK: a token that is signed with AWS's credentials (SigV4) goes as OAUTHBEARER, as AWS's own signers do
 * it. Needs TLS; the port of the listener for IAM is 9098.
 *
 * @since 0.1.0
 * @category models
 */
export interface MskIam<R = never> {
  /** Java: sasl.mechanism. */
  readonly mechanism: "AWS_MSK_IAM"
  /** Of the cluster, such as `eu-central-1`. */
  readonly region: string
  /** Asked for at each authentication; any SDK, file or instance's metadata. Where it fails, the connection is tried again. */
  readonly credentials: Effect.Effect<AwsCredentials, unknown, R>
}

/**
 * TLS settings that were checked.
 *
 * @since 0.1.0
 * @category models
 */
export interface TlsSettings {
  readonly servername: string | undefined
  readonly checkServerName: boolean
  /** Whether we have a certificate to show. */
  readonly hasCertificate: boolean
  /** What a handshake is made with. Files are read anew; while they cannot be used, what they held before is. */
  readonly context: Effect.Effect<Tls_.SecureContext, KafkaError.KafkaError>
  /** Set when a handshake has succeeded: from then on a connection that ends in one is the broker's trouble, not a wrong port. */
  proven: boolean
}

/**
 * Throws where a certificate is damaged or breaks off: OpenSSL passes over it and what is behind it, and an authority
 * would be none. One begins where a line does, behind \n alone: in a comment it is none, behind another it damages that.
 */
const readEach = (pem = ""): ReadonlyArray<Crypto.X509Certificate> =>
  pem
    .split(/(?<![^\n])(?=-----BEGIN )/)
    .filter((part) => /^-----BEGIN (X509 |TRUSTED )?CERTIFICATE-----/.test(part))
    .map((part) => new Crypto.X509Certificate(part))

/** Without the mark of the byte order that some editors begin a file with. */
const bare = (pem: string): string => (pem.startsWith("\ufeff") ? pem.slice(1) : pem)

/** What PEM text of each setting must hold. */
const holds = {
  ca: /(?<![^\n])-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/,
  cert: /(?<![^\n])-----BEGIN [A-Z0-9 ]*CERTIFICATE-----/,
  key: /(?<![^\n])-----BEGIN [A-Z0-9 ]*PRIVATE KEY-----/
}

const tlsNames: { readonly [K in keyof Required<Tls>]: true } = {
  ca: true,
  cert: true,
  key: true,
  passphrase: true,
  servername: true,
  checkServerName: true
}

/** What holds nothing by a name would be TLS with all its defaults. */
const isSettings = (value: unknown): value is object =>
  kinds.settings.holds(value) &&
  !Redacted_.isRedacted(value) &&
  !Effect.isEffect(value) &&
  !(value instanceof Promise) &&
  !(value instanceof Date)

const isSecretText = (value: unknown): value is Redacted.Redacted<string> =>
  Redacted_.isRedacted(value) && typeof Redacted_.value(value) === "string"

const text = (
  name: keyof typeof holds,
  pem: Pem | Redacted.Redacted<string> | undefined
): Effect.Effect<string | undefined, string> => {
  if (pem === undefined) return Effect.undefined
  const what = name === "key" ? "private key" : "certificate"
  if (typeof pem === "string" || isSecretText(pem)) {
    const given = bare(typeof pem === "string" ? pem : Redacted_.value(pem))
    return holds[name].test(given)
      ? Effect.succeed(given)
      : Effect.fail(
          given.includes("-----BEGIN ")
            ? `tls.${name} holds no ${what}`
            : `tls.${name} is not PEM text; a file is given as { file: "…" }`
        )
  }
  const file: unknown = (pem as { readonly file?: unknown } | null)?.file
  if (typeof file !== "string" || file.includes("\0"))
    return Effect.fail(`tls.${name} is neither PEM text nor { file: "…" }`)
  // A key would be told as the name of a file that there is none of.
  if (file.includes("-----BEGIN ")) return Effect.fail(`tls.${name}.file is PEM text, and not the name of a file`)
  return Effect.callback((resume) => {
    Fs.readFile(file, "utf8", (error, read = "") => {
      const data = bare(read)
      resume(
        error !== null
          ? Effect.fail(`tls.${name}: ${file} cannot be read (${error.code})`)
          : // Without one nobody would be trusted, or the system's authorities would be.
            !holds[name].test(data)
            ? Effect.fail(`tls.${name}: ${file} holds no ${what}`)
            : // Read while it is written: OpenSSL takes what is whole, and says nothing of the rest.
              data.split(/(?<![^\n])-----BEGIN /).length > data.split(/(?<![^\n])-----END /).length
              ? Effect.fail(`tls.${name}: ${file} breaks off`)
              : Effect.succeed(data)
      )
    })
  })
}

/**
 * Checks TLS settings, and says each mistake that it finds.
 *
 * @since 0.1.0
 * @category checks
 */
export const checkTls = (
  options: boolean | Tls | undefined,
  mistake: (text: string) => void
): Effect.Effect<TlsSettings | undefined> => {
  if (options === undefined || options === false) return Effect.undefined
  if (options !== true && !isSettings(options)) {
    mistake("tls is neither true nor false nor settings of TLS")
    return Effect.undefined
  }
  const tls: Tls = options === true ? {} : options
  known(tls, tlsNames, mistake, "tls.")
  if (tls.cert !== undefined && tls.key === undefined) mistake("tls.cert needs tls.key")
  if (tls.key !== undefined && tls.cert === undefined) mistake("tls.key needs tls.cert")
  if (tls.passphrase !== undefined && tls.key === undefined) mistake("tls.passphrase needs tls.key")
  if (tls.passphrase !== undefined && !isSecretText(tls.passphrase)) mistake("tls.passphrase is not a Redacted text")
  // A servername goes into the handshake, and into what compares it.
  const { servername } = tls
  if (servername !== undefined && !(typeof servername === "string" && /^[\x21-\x7e]{1,255}$/.test(servername)))
    mistake("tls.servername is no name of a host: up to 255 characters of ASCII, without blanks")
  if (tls.checkServerName !== undefined && typeof tls.checkServerName !== "boolean")
    mistake("tls.checkServerName is neither true nor false")

  let last: { readonly key: string; readonly context: Tls_.SecureContext } | undefined
  const context = Effect.gen(function* () {
    const ca = yield* text("ca", tls.ca)
    const cert = yield* text("cert", tls.cert)
    const key = yield* text("key", tls.key)
    const identity = [ca, cert, key].join("\0")
    // Parsing certificates takes milliseconds: once, as long as they are the same.
    if (last?.key === identity) return last.context
    const context = yield* Effect.try({
      try: () => {
        const passphrase = tls.passphrase && Redacted_.value(tls.passphrase)
        readEach(ca)
        const [ours] = readEach(cert)
        const made = Tls_.createSecureContext({ ca, cert, key, passphrase })
        // A key of another algorithm stands beside the certificate, and OpenSSL says nothing: none would be shown.
        const isOurs = key === undefined || ours?.checkPrivateKey(Crypto.createPrivateKey({ key, passphrase }))
        if (isOurs === false) throw Object.assign(new Error("another key"), { code: mismatch })
        return made
      },
      catch: (error) => `tls: ${explain(error, tls.passphrase !== undefined)}`
    })
    last = { key: identity, context }
    return context
  })
  const settings: TlsSettings = {
    servername: tls.servername,
    checkServerName: tls.checkServerName ?? true,
    hasCertificate: tls.cert !== undefined,
    proven: false,
    context: Effect.catch(context, (problem) =>
      last === undefined
        ? Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: [problem] }))
        : Effect.succeed(last.context)
    )
  }
  // Each text by itself, so that all that cannot be read are told at once.
  const parts = [text("ca", tls.ca), text("cert", tls.cert), text("key", tls.key)]
  return Effect.forEach(parts, (part) =>
    Effect.match(part, { onFailure: (problem) => [problem], onSuccess: () => [] })
  ).pipe(
    Effect.flatMap((found) => {
      const problems = found.flat()
      for (const problem of problems) mistake(problem)
      return problems.length > 0
        ? Effect.void
        : Effect.catch(Effect.asVoid(context), (problem) => Effect.sync(() => mistake(problem)))
    }),
    Effect.as(settings)
  )
}

const mismatch = "ERR_OSSL_X509_KEY_VALUES_MISMATCH"

/** What OpenSSL says of a key or certificate, in words. */
const explain = (error: unknown, withPassphrase: boolean): string => {
  const { code, message } = error as NodeJS.ErrnoException
  switch (code) {
    case mismatch:
      return "the key is not that of the certificate"
    case "ERR_OSSL_BAD_DECRYPT":
    case "ERR_OSSL_EVP_BAD_DECRYPT":
    case "ERR_OSSL_CRYPTO_INTERRUPTED_OR_CANCELLED":
    case "ERR_MISSING_PASSPHRASE":
      return withPassphrase
        ? "the passphrase does not decrypt the key"
        : "the key is encrypted and needs tls.passphrase"
    default:
      return `${message} (${code ?? "unknown"})`
  }
}

const checkPassword = (options: Plain | Scram, mistake: (text: string) => void): void => {
  if (typeof options.username !== "string" || options.username === "") mistake("sasl.username is missing")
  else if (!options.username.isWellFormed()) mistake("sasl.username is no text: it holds half a character")
  if (!isSecretText(options.password)) mistake("sasl.password is missing, or not Redacted")
  else if (Redacted_.value(options.password) === "") mistake("sasl.password is empty")
}

const checkScram = ({ maxIterations, mechanism, username }: Scram, mistake: (text: string) => void): void => {
  // Java: ScramMessages' SASLNAME. A broker would say that the message is not valid.
  if (typeof username === "string" && (!/^\p{ASCII}*$/u.test(username) || username.includes("\0")))
    mistake(`sasl.username: Kafka reads names of ASCII alone in ${mechanism}`)
  if (maxIterations !== undefined && !(Number.isSafeInteger(maxIterations) && maxIterations >= 4096))
    mistake(`sasl.maxIterations must be a whole number from 4096 on, not ${shown(maxIterations)}`)
}

const passwordNames = { mechanism: true, username: true, password: true } as const
const scramNames = { ...passwordNames, maxIterations: true } as const

const saslNames: { readonly [K in Sasl["mechanism"]]: Table } = {
  PLAIN: passwordNames,
  "SCRAM-SHA-256": scramNames,
  "SCRAM-SHA-512": scramNames,
  OAUTHBEARER: { mechanism: true, token: true, extensions: kinds.settings },
  AWS_MSK_IAM: { mechanism: true, region: true, credentials: true }
}

/**
 * Checks SASL settings, and says each mistake that it finds.
 *
 * @since 0.1.0
 * @category checks
 */
export const checkSasl = <R>(options: Sasl<R> | undefined, mistake: (text: string) => void): void => {
  if (options === undefined) return
  if (typeof options !== "object" || options === null) return mistake("sasl holds no settings of a mechanism")
  const names =
    typeof options.mechanism === "string" && Object.hasOwn(saslNames, options.mechanism)
      ? saslNames[options.mechanism]
      : undefined
  if (names !== undefined) known(options, names, mistake, "sasl.")
  switch (options.mechanism) {
    case "SCRAM-SHA-256":
    case "SCRAM-SHA-512": {
      checkScram(options, mistake)
      return checkPassword(options, mistake)
    }
    case "PLAIN": {
      // It stands between the two.
      if (typeof options.username === "string" && options.username.includes("\0"))
        mistake("sasl.username holds a NUL, which PLAIN cannot carry")
      if (isSecretText(options.password) && Redacted_.value(options.password).includes("\0"))
        mistake("sasl.password holds a NUL, which PLAIN cannot carry")
      return checkPassword(options, mistake)
    }
    case "OAUTHBEARER": {
      if (!Effect.isEffect(options.token)) mistake("sasl.token is missing, or not an Effect")
      for (const [name, value] of Object.entries(options.extensions ?? {})) {
        // RFC 7628, 3.1; `auth` is the token itself.
        if (!/^[A-Za-z]+$/.test(name) || name === "auth") mistake(`sasl.extensions: "${name}" is no legal name`)
        if (typeof value !== "string" || !/^[\x20-\x7e\t\r\n]*$/.test(value))
          mistake(`sasl.extensions.${name} holds characters that are not allowed`)
      }
      return
    }
    case "AWS_MSK_IAM": {
      if (typeof options.region !== "string" || !/^[a-z]{2,}(-[a-z0-9]+)+$/.test(options.region))
        mistake(`sasl.region: ${shown(options.region)} is no region of AWS, such as "eu-central-1"`)
      if (!Effect.isEffect(options.credentials)) mistake("sasl.credentials is missing, or not an Effect")
      return
    }
    case "GSSAPI" as never:
      return mistake("sasl.mechanism: GSSAPI (Kerberos) is not spoken by this client")
    case undefined as never:
      return mistake("sasl.mechanism is missing")
    default:
      mistake(`sasl.mechanism: ${shown((options as { mechanism: unknown }).mechanism)} is not known`)
  }
}
