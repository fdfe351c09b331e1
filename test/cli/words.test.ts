import { assert, describe, it } from "@effect/vitest"
import { Result } from "effect"
import * as Output from "../../src/cli/Output.ts"
import * as Positions from "../../src/cli/positions.ts"
import * as Properties from "../../src/cli/Properties.ts"
import * as Records from "../../src/cli/records.ts"
import * as Offset from "../../src/Offset.ts"

describe("positions", () => {
  it("are words, offsets, times and durations", () => {
    for (const [text, wanted] of [
      ["earliest", "earliest"],
      ["LATEST", "latest"],
      ["42", Offset.at(42)],
      ["90m", { ago: 5_400_000 }],
      ["2026-01-31T12:00:00", Offset.atTime(Date.UTC(2026, 0, 31, 12))],
      ["2026-01-31T12:00:00+01:00", Offset.atTime(Date.UTC(2026, 0, 31, 11))],
      ["2026-01-31", Offset.atTime(Date.UTC(2026, 0, 31))],
      ["middle", undefined],
      ["-1", undefined],
      ["2026-13-31", undefined],
      ["99999999999999999999", undefined]
    ] as const)
      assert.deepStrictEqual(Positions.position(text), wanted, text)
    assert.deepStrictEqual(Positions.reset("-10"), { shift: -10 })
    assert.deepStrictEqual(Positions.reset("+10"), { shift: 10 })
    assert.deepStrictEqual(Positions.reset("10"), Offset.at(10))
  })
})

describe("records", () => {
  const bytes = (text: string) => new TextEncoder().encode(text)
  const record: Records.Read = {
    topic: "t",
    partition: 1,
    offset: 2,
    timestamp: 3,
    key: null,
    value: bytes("é"),
    headers: [
      ["h", bytes("x")],
      ["n", null]
    ]
  }

  it("are formatted as kcat's are", () => {
    const of = (format: string, encoding: Records.Encoding = "utf8") =>
      Records.formatter(format, encoding, "NULL")(record)
    assert.strictEqual(of("%t[%p] %o %T %k=%s %K %S %h 100%% %x"), "t[1] 2 3 NULL=é -1 2 h=x,n=NULL 100% %x")
    assert.strictEqual(of("a\\tb\\n\\x41\\\\"), "a\tb\nA\\")
    assert.strictEqual(of("%s", "hex"), "c3a9")
    assert.strictEqual(of("%s", "base64"), "w6k=")
  })

  it("go to JSON and back", () => {
    for (const encoding of ["utf8", "hex", "base64"] as const) {
      const line = JSON.stringify(Records.object(record, encoding))
      const read = Records.ofJson(line, encoding)
      if (Result.isFailure(read)) assert.fail(read.failure)
      assert.deepStrictEqual(read.success, {
        key: null,
        value: record.value,
        headers: record.headers,
        partition: 1,
        timestamp: 3
      })
    }
  })

  it("that are none are told", () => {
    for (const line of [
      "",
      "{",
      "1",
      "{}",
      '{"value":1}',
      '{"value":"a","partition":0.5}',
      '{"value":"a","headers":[1]}'
    ])
      assert.isTrue(Result.isFailure(Records.ofJson(line, "utf8")), line)
  })

  it("of lines have keys and tombstones where that is asked for", () => {
    const read = (line: string, separator?: string, emptyIsNull = false) =>
      Records.ofLine(line, { encoding: "utf8", separator, emptyIsNull })
    assert.deepStrictEqual(read("a:b:c", ":"), { key: bytes("a"), value: bytes("b:c") })
    assert.deepStrictEqual(read("a:b"), { key: null, value: bytes("a:b") })
    assert.deepStrictEqual(read("a:", ":", true), { key: bytes("a"), value: null })
    assert.deepStrictEqual(read("a:", ":"), { key: bytes("a"), value: bytes("") })
  })
})

describe("properties", () => {
  it("of Java's clients and of librdkafka are read", () => {
    const java = Properties.read(`
# a comment
bootstrap.servers = b1:9092,\\
    b2:9092
security.protocol=SASL_SSL
sasl.mechanism=SCRAM-SHA-512
sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="al\\\\"ice" password='p;w';
ssl.truststore.type=PEM
ssl.truststore.location=/etc/ca.pem
max.poll.records=5
`)
    assert.deepStrictEqual(java.mistakes, [])
    assert.deepStrictEqual(java.values, {
      BOOTSTRAP: "b1:9092,b2:9092",
      SASL_MECHANISM: "SCRAM-SHA-512",
      TLS: "true",
      SASL_USERNAME: 'al"ice',
      SASL_PASSWORD: "p;w",
      TLS_CA_FILE: "/etc/ca.pem"
    })
    const kcat = Properties.read("metadata.broker.list=b:1\nsasl.username=u\nsasl.password=p\nssl.ca.location=/ca")
    assert.deepStrictEqual(kcat.values, {
      BOOTSTRAP: "b:1",
      SASL_USERNAME: "u",
      SASL_PASSWORD: "p",
      TLS_CA_FILE: "/ca"
    })
  })

  it("that cannot be are told", () => {
    const { mistakes } = Properties.read("security.protocol=TLS\nssl.truststore.location=/a.jks")
    assert.strictEqual(mistakes.length, 2)
  })
})

describe("tables", () => {
  it("have numbers to the right, and a dash for nothing", () => {
    assert.strictEqual(
      Output.table(
        ["NAME", "N"],
        [
          ["a", 1],
          ["long name", 23],
          ["b", undefined]
        ]
      ),
      ["NAME        N", "a           1", "long name  23", "b           -"].join("\n")
    )
    assert.strictEqual(Output.bytes(512), "512 B")
    assert.strictEqual(Output.bytes(1536), "1.5 KiB")
  })
})
