/** One client at one work, in a process of its own: `node client.ts CLIENT WORK BOOTSTRAP TOPIC [RECORDS]`; prints its result as JSON. */
import type { Contender, How } from "./Contender.ts"
import { Meter } from "./Meter.ts"

const [client, work, bootstrap, topic, records] = process.argv.slice(2) as [string, string, string, string, string]
const { contender } = (await import(`./${client}.ts`)) as { readonly contender: Contender }
const quick = process.env.BENCH_QUICK !== undefined
const how = ({ consume: "arrays", run: "each", text: "text", json: "json" } as const satisfies Record<string, How>)[
  work
]
const meter =
  how !== undefined
    ? Meter.byCount(Number(records) / 4, Number(records))
    : work === "first"
      ? Meter.byCount(1, 60_000)
      : quick
        ? Meter.byTime(1000, 2000)
        : Meter.byTime(4000, 8000)
if (work === "idle") {
  const { idle } = await import(`./${client}.ts`)
  process.stdout.write(JSON.stringify(await idle({ bootstrap, topic })) + "\n")
} else if (how !== undefined) {
  await contender.consume({ bootstrap, topic }, meter, how)
  process.stdout.write(JSON.stringify(meter.result()) + "\n")
} else {
  const method = { sendAll1k: "sendAll", first: "send" }[work] ?? work
  await contender[method as "sendAll" | "send" | "transactions"]!({ bootstrap, topic }, meter)
  process.stdout.write(JSON.stringify(meter.result()) + "\n")
}
process.exit(0)
