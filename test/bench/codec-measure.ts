/**
 * The clock of the codec bench: CPU time of the whole process, garbage collection and all, so that other work of the
 * machine counts as little as can be. Contenders of one case run in turns, each for a while before its time is taken, so
 * that nobody pays for the garbage of another; the faster quartile of their rounds counts.
 */

/** One contender: does `units` of work a call, such as the records of some batches. */
export interface Contender {
  readonly name: string
  readonly run: () => unknown
}

export interface Result {
  readonly name: string
  /** Units a second of CPU, at the faster quartile of the rounds. */
  readonly rate: number
  /** How much longer the median round took, as a share. */
  readonly spread: number
}

const quantile = (sorted: ReadonlyArray<number>, q: number): number => sorted[Math.floor((sorted.length - 1) * q)]!

const perCall = async (contender: Contender, millis: number): Promise<number> => {
  let calls = 0
  const cpu = process.cpuUsage()
  const start = performance.now()
  do {
    const result = contender.run()
    if (result instanceof Promise) await result
    calls++
  } while (performance.now() - start < millis)
  const { system, user } = process.cpuUsage(cpu)
  return (user + system) / 1000 / calls
}

/** Runs the contenders in turns: warm-up, then `rounds` of `millis` each. */
export const measure = async (
  contenders: ReadonlyArray<Contender>,
  units: number,
  { millis, rounds, warmUp }: { readonly rounds: number; readonly millis: number; readonly warmUp: number }
): Promise<ReadonlyArray<Result>> => {
  const samples = contenders.map((): Array<number> => [])
  for (const contender of contenders) await perCall(contender, warmUp)
  for (let round = 0; round < rounds; round++)
    for (let i = 0; i < contenders.length; i++) {
      await perCall(contenders[i]!, millis / 2)
      samples[i]!.push(await perCall(contenders[i]!, millis))
    }
  return contenders.map(({ name }, i) => {
    const sorted = samples[i]!.toSorted((a, b) => a - b)
    const fast = quantile(sorted, 0.25)
    return { name, rate: (units / fast) * 1000, spread: quantile(sorted, 0.5) / fast - 1 }
  })
}
