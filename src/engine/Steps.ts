/** Pure. Steps of state machines, and how they are put together. */

/** The next state, and what is to be done on the way there, in that order. */
export type Step<State, Command> = readonly [state: State, commands: ReadonlyArray<Command>]

/** Nothing is to be done. */
export const nothing = <State>(state: State): Step<State, never> => [state, []]

/** These come first. */
export const before = <State, Command>(
  commands: ReadonlyArray<Command>,
  [state, more]: Step<State, Command>
): Step<State, Command> => [state, [...commands, ...more]]

/** One step, and another from where it has led. */
export const after = <State, Command>(
  [state, commands]: Step<State, Command>,
  then: (state: State) => Step<State, Command>
): Step<State, Command> => before(commands, then(state))
