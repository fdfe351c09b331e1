/** AWS Signature Version 4, of a request whose query is signed: what a token for Amazon MSK is. */
import * as Crypto from "node:crypto"

const hmac = (key: Uint8Array | string, text: string): Buffer => Crypto.createHmac("sha256", key).update(text).digest()
const sha256 = (text: string): string => Crypto.createHash("sha256").update(text).digest("hex")

/** RFC 3986: what is not unreserved is escaped. */
const escape = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`)

/** What a signature is for. */
export interface Scope {
  /** `20130524T000000Z`. */
  readonly date: string
  readonly region: string
  readonly service: string
}

const scopeOf = ({ date, region, service }: Scope): string => `${date.slice(0, 8)}/${region}/${service}/aws4_request`

/** The time as AWS writes it. */
const dateOf = (millis: number): string => new Date(millis).toISOString().replace(/[-:]|\.\d{3}/g, "")

/** The signature of a canonical request. */
export const signature = (secretAccessKey: string, scope: Scope, canonicalRequest: string): string => {
  const key = [scope.date.slice(0, 8), scope.region, scope.service, "aws4_request"].reduce<Uint8Array | string>(
    hmac,
    `AWS4${secretAccessKey}`
  )
  const text = ["AWS4-HMAC-SHA256", scope.date, scopeOf(scope), sha256(canonicalRequest)].join("\n")
  return hmac(key, text).toString("hex")
}

/** A GET request that bears its signature in its query. */
interface Presigned {
  readonly host: string
  readonly path: string
  readonly query: { readonly [name: string]: string }
  readonly scope: Scope
  readonly expiresSeconds: number
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string | undefined
  /** The hash of the body. Default: that of none. */
  readonly payloadHash?: string | undefined
}

/** The URL of the request, signed. */
export const presign = (request: Presigned): string => {
  const { accessKeyId, expiresSeconds, host, path, scope, secretAccessKey, sessionToken } = request
  const fields = {
    ...request.query,
    "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
    "X-Amz-Credential": `${accessKeyId}/${scopeOf(scope)}`,
    "X-Amz-Date": scope.date,
    "X-Amz-Expires": String(expiresSeconds),
    "X-Amz-SignedHeaders": "host",
    ...(sessionToken === undefined ? {} : { "X-Amz-Security-Token": sessionToken })
  }
  const query = Object.entries(fields)
    .map(([name, value]) => `${escape(name)}=${escape(value)}`)
    .sort()
    .join("&")
  const canonical = ["GET", path, query, `host:${host}`, "", "host", request.payloadHash ?? sha256("")].join("\n")
  return `https://${host}${path}?${query}&X-Amz-Signature=${signature(secretAccessKey, scope, canonical)}`
}

/** A token by which Amazon MSK knows who we are, for a quarter of an hour. */
export const mskToken = (
  credentials: Pick<Presigned, "accessKeyId" | "secretAccessKey" | "sessionToken">,
  region: string,
  millis: number
): string => {
  const url = presign({
    ...credentials,
    host: `kafka.${region}.amazonaws.com`,
    path: "/",
    query: { Action: "kafka-cluster:Connect" },
    scope: { date: dateOf(millis), region, service: "kafka-cluster" },
    expiresSeconds: 900
  })
  return Buffer.from(`${url}&User-Agent=samsa`).toString("base64url")
}
