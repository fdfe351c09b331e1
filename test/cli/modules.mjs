// Preloaded into a process: writes which modules of the package it has loaded, a line each, when it ends.
import { writeFileSync } from "node:fs"
import { registerHooks } from "node:module"

const loaded = new Set()
registerHooks({
  load: (url, context, next) => {
    const at = url.indexOf("/src/")
    if (at >= 0 && !url.includes("/node_modules/")) loaded.add(url.slice(at + 5))
    else if (url.includes("/node_modules/")) loaded.add(url.slice(url.lastIndexOf("/node_modules/") + 14))
    return next(url, context)
  }
})
process.on("exit", () => writeFileSync(process.env["MODULES_FILE"], [...loaded].join("\n")))
