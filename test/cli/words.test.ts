import { assert, describe, it } from "@effect/vitest"
import { Effect, type LogLevel, References, Result } from "effect"
import { hasMembers } from "../../src/admin/Groups.ts"
import * as Bars from "../../src/cli/Bars.ts"
import * as Connection from "../../src/cli/Connection.ts"
import * as Output from "../../src/cli/Output.ts"
import * as Positions from "../../src/cli/positions.ts"
import * as Properties from "../../src/cli/Properties.ts"
import * as Records from "../../src/cli/records.ts"
import * as Show from "../../src/cli/Show.ts"
import * as Targets from "../../src/cli/targets.ts"
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
      ["2026-02-30", undefined],
      ["2028-02-29", Offset.atTime(Date.UTC(2028, 1, 29))],
      ["99999999999999999999d", undefined],
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
      Records.formatter(format, encoding, "NULL")(record).toString().slice(0, -1)
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

  it("without a timestamp, of before 0.10, get that of now", () => {
    const line = JSON.stringify(Records.object({ ...record, timestamp: -1 }, "utf8"))
    assert.notProperty(Result.getOrThrow(Records.ofJson(line, "utf8")), "timestamp")
  })

  it("that are none are told", () => {
    for (const line of [
      "",
      "{",
      "1",
      "{}",
      '{"value":1}',
      '{"value":"a","partition":0.5}',
      '{"value":"\\ud800"}',
      '{"value":"a","headers":[1]}',
      // Half a character, which was sent as U+FFFD.
      '{"value":"a","headers":{"\\ud800":"x"}}',
      '{"value":"a","headers":[["\\ud800","x"]]}'
    ])
      assert.isTrue(Result.isFailure(Records.ofJson(line, "utf8")), line)
  })

  it("of lines have keys and tombstones where that is asked for", () => {
    const read = (line: string, options: Partial<Records.LineOptions> = {}) =>
      Result.getOrThrow(Records.lineReader({ encoding: "utf8", emptyIsNull: false, ...options })(line))
    assert.deepStrictEqual(read("a:b:c", { separator: ":" }), { key: bytes("a"), value: bytes("b:c") })
    assert.deepStrictEqual(read("a\tb", { separator: "\\t" }), { key: bytes("a"), value: bytes("b") })
    assert.deepStrictEqual(read("a:b"), { key: null, value: bytes("a:b") })
    assert.deepStrictEqual(read("a:", { separator: ":", emptyIsNull: true }), { key: bytes("a"), value: null })
    assert.deepStrictEqual(read("a:", { separator: ":" }), { key: bytes("a"), value: bytes("") })
    const nullText = "NULL"
    assert.deepStrictEqual(read("NULL:NULL", { separator: ":", nullText }), { key: null, value: null })
    assert.deepStrictEqual(read("61:6", { separator: "x", encoding: "base64", nullText: "61:6" }).value, null)
    assert.isTrue(Result.isFailure(Records.lineReader({ encoding: "hex", emptyIsNull: false })("6g")))
    assert.isTrue(Result.isFailure(Records.lineReader({ encoding: "base64", emptyIsNull: false })("a")))
  })

  it("that are no text come through as they are, as lines and as JSON", () => {
    const raw = new Uint8Array([0xff, 0x00, 0xc3, 0x28])
    const odd = { ...record, value: raw }
    assert.deepStrictEqual(Records.formatter("%s|é", "utf8", "NULL")(odd), Buffer.concat([raw, Buffer.from("|é\n")]))
    const line = JSON.stringify(Records.object(odd, "utf8"))
    assert.include(line, '"encoding":"base64"')
    assert.deepStrictEqual(Result.getOrThrow(Records.ofJson(line, "utf8")).value, raw)
    const splitter = Records.lineSplitter()
    const lines = [...splitter.push(raw), ...splitter.push(Buffer.from("\r\nb\nc")), ...splitter.end()]
    const read = Records.lineReader({ encoding: "utf8", emptyIsNull: false })
    assert.deepStrictEqual(
      lines.map((one) => Result.getOrThrow(read(one)).value),
      [raw, bytes("b"), bytes("c")]
    )
  })

  it("keep the \\r that ends the input, where no \\n follows it (it was cut)", () => {
    const splitter = Records.lineSplitter()
    assert.deepStrictEqual([...splitter.push(bytes("a\r\nb\r")), ...splitter.end()], ["a", "b\r"])
  })

  it("of a line that does not end are none, however long it is (it was kept until there was no room)", () => {
    const splitter = Records.lineSplitter(10)
    assert.deepStrictEqual(splitter.push(bytes("a\n123456")), ["a"])
    assert.deepStrictEqual(splitter.push(bytes("7890")), [])
    assert.throws(() => splitter.push(bytes("1")), "a line is longer than 10 bytes, as no record is")
  })

  it("of a format that ends a line itself get no second end", () => {
    assert.strictEqual(Records.formatter("%o\\n", "utf8", "")(record).toString(), "2\n")
    assert.strictEqual(Records.formatter("%o", "utf8", "")(record).toString(), "2\n")
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
    // As java.util.Properties reads it: Java's own was asked.
    assert.deepStrictEqual(
      [
        ...Properties.parse(
          "# no \\\na=1\n  ! b=2\nb : x\\u00fc\\ty\\=z \\\n   and \\\r\n\tmore \nc\\ d\\:e=f:g\nback=C:\\\\dir\\\\\nh\ri=\\\\\\\n#j\na=2"
        )
      ],
      [
        ["a", "2"],
        ["b", "xü\ty=z and more"],
        ["c d:e", "f:g"],
        ["back", "C:\\dir\\"],
        ["h", ""],
        ["i", "\\#j"]
      ]
    )
    const { mistakes } = Properties.read("security.protocol=TLS\nssl.truststore.location=/a.jks")
    assert.strictEqual(mistakes.length, 2)
    // It was passed by: what it trusts was not trusted, without a word.
    for (const name of ["ssl.truststore.certificates", "ssl.keystore.key", "ssl.ca.pem"])
      assert.deepStrictEqual(Properties.read(`${name}=-----BEGIN`).mistakes, [`${name}: PEM is read from files alone`])
  })

  it("with PLAINTEXT have no certificates read, as Java's clients have it (a JKS truststore was refused)", () => {
    const stores = "ssl.truststore.location=/a.jks\nssl.keystore.location=/b.p12\nssl.ca.pem=-----BEGIN"
    for (const protocol of ["PLAINTEXT", "sasl_plaintext"])
      assert.deepStrictEqual(Properties.read(`security.protocol=${protocol}\n${stores}`).mistakes, [])
    for (const protocol of ["SSL", "SASL_SSL"])
      assert.strictEqual(Properties.read(`security.protocol=${protocol}\n${stores}`).mistakes.length, 3)
  })

  it("with PLAINTEXT have their certificates read beside --tls (what they trust was not trusted, without a word)", () => {
    const pem = "security.protocol=PLAINTEXT\nssl.truststore.type=PEM\nssl.truststore.location=/ca.pem"
    assert.strictEqual(Properties.read(pem, true).values["TLS_CA_FILE"], "/ca.pem")
    const stores = "ssl.truststore.location=/a.jks\nssl.ca.pem=-----BEGIN"
    assert.strictEqual(Properties.read(`security.protocol=PLAINTEXT\n${stores}`, true).mistakes.length, 2)
    assert.deepStrictEqual(Properties.read(`security.protocol=SSL\n${stores}`, false).mistakes, [])
  })

  it("without SASL in security.protocol have nobody log in, as Java's clients have it (it did)", () => {
    const credentials = "sasl.mechanism=PLAIN\nsasl.username=u\nsasl.password=p"
    const { values } = Properties.read(`security.protocol=SSL\n${credentials}`)
    const none = {
      SASL_MECHANISM: undefined,
      SASL_USERNAME: undefined,
      SASL_PASSWORD: undefined,
      SASL_TOKEN: undefined
    }
    assert.deepStrictEqual(values, { TLS: "true", ...none })
    assert.strictEqual(Properties.read(credentials).values["SASL_USERNAME"], "u")
  })

  it("name brokers with the protocol before them, too, as Java's and librdkafka's may", () => {
    const { values } = Properties.read("bootstrap.servers=PLAINTEXT://b1:9092, SASL_SSL://[::1]:9093,b2:9092")
    assert.strictEqual(values["BOOTSTRAP"], "b1:9092,[::1]:9093,b2:9092")
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

describe("lines of JSON", () => {
  it("have escapes for what would move a terminal's cursor (C1 and those of direction came out as they are)", () => {
    const group = "g\u009b31m\u001b\u007f\u202ex"
    const line = Output.json({ group })
    assert.strictEqual(line, '{"group":"g\\u009b31m\\u001b\\u007f\\u202ex"}')
    assert.deepStrictEqual(JSON.parse(line), { group })
  })
})

describe("targets", () => {
  it("are partitions, placements, quotas and plans", () => {
    assert.deepStrictEqual(Targets.partition("a-b-3"), { topic: "a-b", partition: 3 })
    assert.deepStrictEqual(Targets.placement("a=b-0=1,2"), { topic: "a=b", partition: 0, replicas: [1, 2] })
    for (const text of ["a", "a-", "-0", "a-x"]) assert.isUndefined(Targets.partition(text), text)
    for (const text of ["a-0", "a-0=", "a-0=1,", "a-0=x", "=1"]) assert.isUndefined(Targets.placement(text), text)
    assert.deepStrictEqual(Targets.quotas(["user=a=b", "client-id", "x_rate=1.5e3", "y_rate-"]), {
      entity: { user: "a=b", "client-id": null },
      set: { x_rate: 1500 },
      remove: ["y_rate"],
      mistakes: []
    })
    assert.strictEqual(Targets.quotas(["user=", "host=a", "x=y"]).mistakes.length, 3)
    assert.deepStrictEqual(Object.entries(Targets.quotas(["user", "__proto__=5", "x=1"]).set), [
      ["__proto__", 5],
      ["x", 1]
    ])
    const { set, ...changes } = Targets.changes(["__proto__=5", "a=b=c", "l+=x", "l-=y", "ssl.a-b.x-", "k.A$B-"])
    assert.deepStrictEqual(Object.entries(set), [
      ["__proto__", "5"],
      ["a", "b=c"]
    ])
    assert.deepStrictEqual(changes, {
      append: { l: "x" },
      subtract: { l: "y" },
      delete: ["ssl.a-b.x", "k.A$B"],
      mistakes: []
    })
    assert.deepStrictEqual(
      Targets.plan('{"version":1,"partitions":[{"topic":"a","partition":0,"replicas":[1],"log_dirs":["any"]}]}'),
      [{ topic: "a", partition: 0, replicas: [1] }]
    )
    for (const text of ["", "{}", "null", '{"partitions":[{"topic":"a"}]}', '{"partitions":[null]}'])
      assert.isUndefined(Targets.plan(text), text)
    // A directory that would not be taken is refused, and of what is said twice nobody's wish is dropped.
    assert.isUndefined(
      Targets.plan('{"partitions":[{"topic":"a","partition":0,"replicas":[1,2],"log_dirs":["any","/b"]}]}')
    )
    for (const words of [
      ["user=a", "user=b", "x=1"],
      ["user", "x=1", "x-"]
    ])
      assert.match(Targets.quotas(words).mistakes[0]!, /^(user|x) is given twice$/)
  })
})

describe("bars", () => {
  const seen = (at: number, lags: ReadonlyArray<number>): Bars.Seen => ({
    at,
    lags: [
      {
        group: "g",
        type: "classic" as const,
        state: "Stable",
        total: lags.reduce((sum, one) => sum + one, 0),
        partitions: lags.map((lag, partition) => ({
          topic: "t",
          partition,
          committed: 0,
          start: 0,
          end: lag,
          lag,
          member: undefined
        }))
      }
    ]
  })

  it("show what is furthest behind, how fast it goes, and when it is done", () => {
    const lines = Bars.lines(seen(2000, [10, 400]), seen(0, [10, 600]), 800, { columns: 60, rows: 24, color: false })
    assert.match(lines[1]!, /^g: Stable, 410 behind -100\/s, done in 5s$/)
    assert.match(lines[2]!, /^ {2}t-1 +█{9} +400 -100\/s$/)
    assert.match(lines[3]!, /^ {2}t-0 +▎ +10 ±0\/s$/)
    assert.strictEqual(Bars.remaining(7300, -1), "2h 1m")
    assert.strictEqual(Bars.remaining(7300, 1), "")
  })

  it("say of what nothing is committed, which is no lag of 0", () => {
    const [one] = seen(0, [3, 0]).lags
    assert.strictEqual(Bars.summary(one!), "g: Stable, 3 records behind")
    const partitions = one!.partitions.map((place) => ({ ...place, committed: undefined, lag: undefined }))
    assert.strictEqual(
      Bars.summary({ ...one!, total: 1, partitions: [one!.partitions[0]!, partitions[1]!] }),
      "g: Stable, 1 record behind; of 1 of 2 partitions nothing is committed"
    )
  })

  it("fit the screen, however many partitions there are", () => {
    const many = seen(
      0,
      Array.from({ length: 5000 }, (_, i) => i)
    )
    const lines = Bars.lines(many, undefined, 4999, { columns: 40, rows: 10, color: false })
    assert.isAtMost(lines.length, 9)
    assert.match(lines.at(-1)!, /… 4994 more/)
    for (const line of lines) assert.isAtMost(line.length, 60)
    for (const [columns, rows] of [
      [1, 1],
      [5, 2]
    ] as const)
      assert.isAtMost(Bars.lines(many, undefined, 1, { columns, rows, color: true }).length, Math.max(1, rows - 1))
  })
})

it("what is refused of each partition for the same reason is told once", () => {
  // As of a reset, whose group has got a member since it was looked at.
  const refused = Result.fail(hasMembers("g", { members: [], state: "Stable" }, "OffsetCommit"))
  const told = Show.refusal(["g", "g", "h"], [refused, refused, Result.void], String)
  assert.match(told!.message, /^g: .*it is not empty \(Stable\).*$/)
  assert.strictEqual(told!.exitCode, 1)
})

it.effect("what waits for long warns of it, unless the level of the log was chosen", () =>
  Effect.gen(function* () {
    const level = (given: LogLevel.LogLevel) =>
      Effect.provideService(Connection.warned(References.MinimumLogLevel), References.MinimumLogLevel, given)
    assert.strictEqual(yield* level("None"), "Warn")
    assert.strictEqual(yield* level("Error"), "Error")
    assert.strictEqual(yield* level("Debug"), "Debug")
  })
)
