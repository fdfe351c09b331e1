/** `JSON.parse` of each value, and nothing else: what of the work of decoding JSON is nobody's choice. */
import { type Contender, json } from "./Contender.ts"

const none = () => Promise.reject(new Error("it does nothing but read JSON"))

export const contender: Contender = {
  sendAll: none,
  send: none,
  consume: (_, meter) => {
    const values = Array.from({ length: 10_000 }, (_, i) => json(i))
    while (meter.running) {
      let size = 0
      for (const value of values) size += (JSON.parse(value.toString()) as { readonly id: string }).id.length
      if (size === 0) throw new Error("records without bytes")
      meter.add(values.length)
    }
    return Promise.resolve()
  }
}
