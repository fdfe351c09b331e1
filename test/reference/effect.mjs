/**
 * For TypeDoc, which knows nothing of Effect. A service is a class that extends `Context.Service<Self, { … }>`, whose
 * members stand in a type argument: they become the class's own, with their comments. An inner module's type or function
 * that a public one exports again has no @category: it gets that of its kind. What stands at the head of a file, before
 * its imports, is what its page begins with.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Comment, CommentTag, Converter, ReflectionKind } from "typedoc"

const shapeOf = (service) => {
  for (const type of service.extendedTypes ?? []) {
    if (type.type !== "reference") continue
    const shape = type.typeArguments?.find((argument) => argument.type === "reflection")
    if (shape?.declaration.children !== undefined) return shape.declaration
  }
  return undefined
}

const membersOwn = (project, service) => {
  const shape = shapeOf(service)
  if (shape === undefined) {
    // The whole call that made the class, with its comments, stands there.
    for (const child of service.children ?? []) {
      child.inheritedFrom = undefined
      for (const signature of child.signatures ?? []) signature.inheritedFrom = undefined
    }
    return
  }
  // a copy: removing one takes it out of the list
  const inherited = service.children?.slice() ?? []
  for (const child of inherited) project.removeReflection(child)
  service.children = shape.children
  for (const child of service.children) child.parent = service
  shape.children = undefined
  service.extendedTypes = undefined
}

const isCategorized = (one) =>
  [one, ...(one.signatures ?? [])].some(({ comment }) => comment?.getTag("@category") !== undefined)

const categorize = (one) => {
  if (isCategorized(one) || one.kindOf(ReflectionKind.Reference)) return
  const category = one.kindOf([ReflectionKind.Function, ReflectionKind.Variable]) ? "utils" : "models"
  for (const commented of one.signatures ?? [one]) {
    commented.comment ??= new Comment()
    commented.comment.blockTags.push(new CommentTag("@category", [{ kind: "text", text: category }]))
  }
}

const src = Path.join(import.meta.dirname, "../../src")

const headOf = (module) => {
  const file = Path.join(src, `${module.name}.ts`)
  if (module.comment !== undefined || !Fs.existsSync(file)) return
  const head = /^\/\*\*((?:(?!\*\/)[\s\S])*)\*\//.exec(Fs.readFileSync(file, "utf8"))
  const text = head?.[1]
    .replaceAll(/^ *\* ?/gm, "")
    .replace(/^@since .*$/m, "")
    .trim()
  if (text) module.comment = new Comment([{ kind: "text", text }])
}

/** Called by TypeDoc. */
export const load = (app) => {
  app.converter.on(Converter.EVENT_RESOLVE_BEGIN, ({ project }) => {
    for (const service of project.getReflectionsByKind(ReflectionKind.Class)) membersOwn(project, service)
    for (const module of project.getReflectionsByKind(ReflectionKind.Module)) {
      module.children?.forEach(categorize)
      headOf(module)
    }
  })
}
