import { assert, describe, it } from "@effect/vitest"
import { Effect, Redacted } from "effect"
import { TestClock } from "effect/testing"
import * as Crypto from "node:crypto"
import * as SigV4 from "../../src/connection/SigV4.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "../hostile/Answers.ts"
import { certificates } from "../network/Certificates.ts"
import { brokers, fake } from "./Fakes.ts"

describe("AWS Signature Version 4", () => {
  it("is that of AWS's test suite: get-vanilla", () => {
    const sha256 = (text: string) => Crypto.createHash("sha256").update(text).digest("hex")
    const canonical = [
      "GET",
      "/",
      "",
      "host:example.amazonaws.com",
      "x-amz-date:20150830T123600Z",
      "",
      "host;x-amz-date",
      sha256("")
    ]
    assert.strictEqual(
      SigV4.signature(
        "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
        { date: "20150830T123600Z", region: "us-east-1", service: "service" },
        canonical.join("\n")
      ),
      "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
    )
  })

  it("is that of AWS's example of a signed query", () => {
    const url = SigV4.presign({
      host: "examplebucket.s3.amazonaws.com",
      path: "/test.txt",
      query: {},
      scope: { date: "20130524T000000Z", region: "us-east-1", service: "s3" },
      expiresSeconds: 86_400,
      accessKeyId: "AKIAIOSFODNN7EXAMPLE",
      secretAccessKey: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
      payloadHash: "UNSIGNED-PAYLOAD"
    })
    assert.include(url, "X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20130524%2Fus-east-1%2Fs3%2Faws4_request&")
    assert.match(url, /X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404$/)
  })
})

describe("IAM of Amazon MSK", () => {
  it.effect("goes as OAUTHBEARER, with a token of the credentials of that moment", () =>
    Effect.gen(function* () {
      const tokens: Array<string> = []
      const mechanisms: Array<string> = []
      const broker = Answers.make({
        answers: {
          SaslHandshake: ({ body }, healthy) => (mechanisms.push(body.mechanism), healthy()),
          SaslAuthenticate: ({ body }) => (tokens.push(Buffer.from(body.authBytes).toString()), {})
        }
      })
      const network = yield* fake((peer, { host, port }) => (request) => {
        const response = broker.answer(request, { host, port })
        if (response !== undefined) peer.send(response)
      })
      let asked = 0
      const service = yield* brokers(network.network, {
        tls: { ca: certificates.ca },
        sasl: {
          mechanism: "AWS_MSK_IAM",
          region: "eu-central-1",
          credentials: Effect.suspend(() =>
            asked++ === 0
              ? Effect.fail("the metadata service is down")
              : Effect.succeed({
                  accessKeyId: "AKID",
                  secretAccessKey: Redacted.make("secret"),
                  sessionToken: Redacted.make("a/b+c")
                })
          )
        }
      })
      yield* TestClock.setTime(Date.UTC(2026, 10, 25, 1, 2, 3))
      const at = yield* service.at("b-1.kafka.eu-central-1.amazonaws.com", 9098)
      const error = yield* Effect.flip(at.send(Metadata, () => ({ topics: [] })))
      assert.include(error.message, "credentials of AWS could not be had")
      assert.isTrue(error.isRetryable)
      yield* at.send(Metadata, () => ({ topics: [] }))
      assert.deepStrictEqual(mechanisms, ["OAUTHBEARER"])
      const [begin, auth, ...end] = tokens[0]!.split("\u0001")
      assert.deepStrictEqual([begin, ...end], ["n,,", "", ""])
      const token = auth!.replace("auth=Bearer ", "")
      const url = new URL(Buffer.from(token, "base64url").toString())
      assert.strictEqual(url.host, "kafka.eu-central-1.amazonaws.com")
      const { "X-Amz-Signature": signature, ...rest } = Object.fromEntries(url.searchParams)
      assert.deepStrictEqual(rest, {
        Action: "kafka-cluster:Connect",
        "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
        "X-Amz-Credential": "AKID/20261125/eu-central-1/kafka-cluster/aws4_request",
        "X-Amz-Date": "20261125T010203Z",
        "X-Amz-Expires": "900",
        "X-Amz-SignedHeaders": "host",
        "X-Amz-Security-Token": "a/b+c",
        "User-Agent": "samsa"
      })
      assert.match(signature!, /^[0-9a-f]{64}$/)
    }).pipe(Effect.scoped)
  )

  it.effect("and its settings are checked; GSSAPI is said not to be spoken", () =>
    Effect.gen(function* () {
      const mistakes = (options: object) =>
        Effect.map(
          Effect.flip(KafkaConfig.make({ bootstrap: ["b"], ...options } as KafkaConfig.Options)),
          ({ message }) => message
        )
      const credentials = Effect.succeed({ accessKeyId: "a", secretAccessKey: Redacted.make("s") })
      assert.include(
        yield* mistakes({ sasl: { mechanism: "AWS_MSK_IAM", region: "eu-central-1", credentials } }),
        "needs tls"
      )
      const wrong = yield* mistakes({ tls: true, sasl: { mechanism: "AWS_MSK_IAM", region: "evil.example/" } })
      assert.include(wrong, "is no region of AWS")
      assert.include(wrong, "sasl.credentials is missing")
      assert.include(yield* mistakes({ sasl: { mechanism: "GSSAPI" } }), "not spoken")
    })
  )
})
