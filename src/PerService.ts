/**
 * Layers that are built once for each of the services that they stand on. Any other Layer is built once in a program, by
 * identity, whatever it is provided with: a constant, or one that an application keeps as such, would be given to a
 * second cluster's programs as it was built over the first.
 */
import * as Config from "effect/Config"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"

/** What was made over some services, and what over more of them. */
interface Made<A> {
  layer: A | undefined
  readonly over: WeakMap<object, Made<A>>
}

const made = <A>(): Made<A> => ({ layer: undefined, over: new WeakMap() })

/**
 * The Layer that `make` gives, which gives another one each time, over the services of these keys: one for all who are
 * provided with the same, another for whoever is provided with others.
 */
export const perService = <K, A, E>(
  keys: ReadonlyArray<Context.Key<K, object>>,
  make: () => Layer.Layer<A, E, K>
): Layer.Layer<A, E, K> => {
  const root = made<Layer.Layer<A, E, K>>()
  return Layer.fromBuild((memoMap, scope) =>
    Effect.flatMap(Effect.context<K>(), (context) => {
      let at = root
      for (const key of keys) {
        const service = Context.get(context, key)
        let next = at.over.get(service)
        if (next === undefined) at.over.set(service, (next = made()))
        at = next
      }
      at.layer ??= make()
      // Without the map that it was built in, which is nobody's who is provided with it.
      const built = Layer.buildWithMemoMap(at.layer, memoMap, scope)
      return Effect.map(built, (context) => Context.omit(Layer.CurrentMemoMap)(context) as Context.Context<A>)
    })
  )
}

/** The Layer of settings that are read from Config: another one for each ConfigProvider. */
export const fromConfig = <O, A, E>(
  options: Config.Wrap<O>,
  layer: (options: O) => Layer.Layer<A, E>
): Layer.Layer<A, E | Config.ConfigError> =>
  perService([ConfigProvider.ConfigProvider], () => Layer.unwrap(Effect.map(Config.unwrap(options), layer)))
