/** One client at one work, in a process of its own: `node client.ts CLIENT WORK BOOTSTRAP TOPIC [RECORDS]`; prints its result as JSON. */
import type { Contender } from "./Contender.ts"
import { Meter } from "./Meter.ts"

const [client, work, bootstrap, topic, records] = process.argv.slice(2) as [string, string, string, string, string]
const { contender } = (await import(`./${client}.ts`)) as { readonly contender: Contender }
const quick = process.env.BENCH_QUICK !== undefined
const meter =
  work === "consume"
    ? Meter.byCount(Number(records) / 4, Number(records))
    : work === "first"
      ? Meter.byCount(1, 60_000)
      : quick
        ? Meter.byTime(1000, 2000)
        : Meter.byTime(4000, 8000)
if (work === "idle") {
  const { idle } = await import(`./${client}.ts`)
  process.stdout.write(JSON.stringify(await idle({ bootstrap, topic })) + "\n")
} else {
  const method = { sendAll1k: "sendAll", first: "send" }[work] ?? work
  await contender[method as keyof Contender]({ bootstrap, topic }, meter)
  process.stdout.write(JSON.stringify(meter.result()) + "\n")
}
process.exit(0)
