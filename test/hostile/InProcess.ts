/** A client over a broker of `Answers`, in process, on the test's clock. */
import { Effect, Layer } from "effect"
import * as Kafka from "../../src/Kafka.ts"
import { Network } from "../../src/Network.ts"
import { fake } from "../connection/Fakes.ts"
import * as Answers from "./Answers.ts"

/** The broker, and the Layer of a client that knows it. */
export const make = <R = never>(
  options: Answers.Options = {},
  client: Partial<Kafka.Options<R>> = {},
  through: (network: Network["Service"]) => Network["Service"] = (network) => network
) =>
  Effect.gen(function* () {
    const broker = Answers.make(options)
    const network = yield* fake((peer, { port }) => (request) => {
      const response = broker.answer(request, { host: "b", port })
      if (response !== undefined) peer.send(response)
    })
    const layer = Layer.provide(
      Kafka.layerWithoutNetwork({ bootstrap: ["b:9092"], ...client }),
      Layer.succeed(Network, through(network.network))
    )
    return { broker, network, layer }
  })
