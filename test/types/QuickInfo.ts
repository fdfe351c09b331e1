/**
 * What an editor shows: the quick info of TypeScript's language server at places of a file.
 */
import { spawn } from "node:child_process"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { pathToFileURL } from "node:url"
import * as Effect from "effect/Effect"

const root = Path.join(import.meta.dirname, "../..")

interface Message {
  readonly id?: number | string
  readonly method?: string
  readonly result?: unknown
  readonly error?: { readonly message: string }
}

/** A language server on the project, ended with the Scope. */
const start = Effect.acquireRelease(
  Effect.sync(() => {
    const tsc = Path.join(root, "node_modules/typescript/bin/tsc")
    const child = spawn(process.execPath, [tsc, "--lsp", "--stdio"], { cwd: root, stdio: ["pipe", "pipe", "ignore"] })
    const waiting = new Map<number, (message: Message) => void>()
    let buffered = Buffer.alloc(0)
    let lastId = 0
    const write = (message: object) => {
      const body = JSON.stringify({ jsonrpc: "2.0", ...message })
      child.stdin.write(`Content-Length: ${Buffer.byteLength(body)}\r\n\r\n${body}`)
    }
    child.stdout.on("data", (chunk: Buffer) => {
      buffered = Buffer.concat([buffered, chunk])
      for (;;) {
        const end = buffered.indexOf("\r\n\r\n")
        if (end < 0) return
        const length = Number(/Content-Length: (\d+)/i.exec(buffered.subarray(0, end).toString())![1])
        if (buffered.length < end + 4 + length) return
        const message: Message = JSON.parse(buffered.subarray(end + 4, end + 4 + length).toString())
        buffered = buffered.subarray(end + 4 + length)
        if (message.method === undefined) waiting.get(message.id as number)?.(message)
        // Whatever the server asks of an editor: there is none.
        else if (message.id !== undefined) write({ id: message.id, result: null })
      }
    })
    return {
      child,
      notify: (method: string, params: object) => write({ method, params }),
      request: (method: string, params: object) =>
        Effect.callback<unknown>((resume) => {
          const id = ++lastId
          waiting.set(id, ({ error, result }) =>
            resume(error === undefined ? Effect.succeed(result) : Effect.die(new Error(`${method}: ${error.message}`)))
          )
          write({ id, method, params })
        })
    }
  }),
  ({ child }) => Effect.sync(() => child.kill())
)

/** The quick info at each mark of a file, a comment of one word: of what stands right behind it. */
export const at = (file: string) =>
  Effect.gen(function* () {
    const server = yield* start
    const text = Fs.readFileSync(Path.join(root, file), "utf8")
    const uri = pathToFileURL(Path.join(root, file)).href
    yield* server.request("initialize", {
      processId: process.pid,
      rootUri: pathToFileURL(root).href,
      capabilities: { textDocument: { hover: { contentFormat: ["plaintext"] } } }
    })
    server.notify("initialized", {})
    server.notify("textDocument/didOpen", { textDocument: { uri, languageId: "typescript", version: 1, text } })
    const found = new Map<string, string>()
    for (const mark of text.matchAll(/\/\*(\w+)\*\/ ?\.?/g)) {
      const before = text.slice(0, mark.index + mark[0].length).split("\n")
      const hover = (yield* server.request("textDocument/hover", {
        textDocument: { uri },
        position: { line: before.length - 1, character: before.at(-1)!.length }
      })) as { readonly contents: { readonly value: string } } | null
      found.set(mark[1]!, hover?.contents.value ?? "")
    }
    return found
  }).pipe(Effect.scoped)
