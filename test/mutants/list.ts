/** All mutants. */
import { balance } from "./list/balance.ts"
import { connection } from "./list/connection.ts"
import { consume } from "./list/consume.ts"
import { engine } from "./list/engine.ts"
import { fetch } from "./list/fetch.ts"
import { group } from "./list/group.ts"
import { metadata } from "./list/metadata.ts"
import { produce } from "./list/produce.ts"
import { transact } from "./list/transact.ts"
import type { Mutant } from "./Mutant.ts"

export const mutants: ReadonlyArray<Mutant> = [
  ...produce,
  ...fetch,
  ...consume,
  ...group,
  ...connection,
  ...metadata,
  ...engine,
  ...transact,
  ...balance
]
