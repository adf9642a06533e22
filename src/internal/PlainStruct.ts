/**
 * Structs of strings, numbers and booleans, the most common of payloads, told by hand: what has exactly the members of such
 * a schema is decoded and encoded to its equal, and Schema need not make that. It takes a twentieth of the time of a short
 * message at either end. All else, and whatever is wrong, is left to Schema.
 *
 * @internal
 */
import * as SchemaAST from "effect/SchemaAST"
import { hasLoneSurrogate } from "./Json.js"

interface Member {
  readonly name: string
  readonly type: "string" | "number" | "boolean"
}

const typeOf = (ast: SchemaAST.AST): Member["type"] | undefined => {
  switch (ast) {
    case SchemaAST.stringKeyword:
      return "string"
    case SchemaAST.numberKeyword:
      return "number"
    case SchemaAST.booleanKeyword:
      return "boolean"
    default:
      return undefined
  }
}

/** Options and fall-backs are annotations. */
const hasAnnotations = ({ annotations }: SchemaAST.Annotated): boolean => Reflect.ownKeys(annotations).length > 0

/** The members of a struct of nothing else. */
const membersOf = (ast: SchemaAST.AST): ReadonlyArray<Member> | undefined => {
  if (!SchemaAST.isTypeLiteral(ast) || ast.indexSignatures.length > 0 || hasAnnotations(ast)) return undefined
  const members: Array<Member> = []
  for (const property of ast.propertySignatures) {
    const { isOptional, isReadonly, name } = property
    const type = typeOf(property.type)
    // What an application may change is its own, and not also the message's.
    if (type === undefined || isOptional || !isReadonly || typeof name !== "string" || hasAnnotations(property)) {
      return undefined
    }
    if (hasLoneSurrogate(name)) return undefined
    members.push({ name, type })
  }
  return members.length > 0 ? members : undefined
}

/**
 * A test for what a schema decodes and encodes to its equal, if there is one: a plain object with the members of the schema
 * and no others. What does not pass may still be of the schema.
 */
export const sameBothWays = (ast: SchemaAST.AST): ((value: unknown) => boolean) | undefined => {
  const members = membersOf(ast)
  return members && ((value) => hasExactly(value, members, isAny))
}

/** The same for what JSON carries to the other end as it is, besides. */
export const sameAndCarried = (ast: SchemaAST.AST): ((value: unknown) => boolean) | undefined => {
  const members = membersOf(ast)
  return members && ((value) => hasExactly(value, members, isCarried))
}

const isAny = (): boolean => true

const isCarried = (member: unknown): boolean =>
  typeof member === "string" ? !hasLoneSurrogate(member) : typeof member !== "number" || Number.isFinite(member)

const hasExactly = (value: unknown, members: ReadonlyArray<Member>, isRight: (member: unknown) => boolean): boolean => {
  if (typeof value !== "object" || value === null || Object.getPrototypeOf(value) !== Object.prototype) return false
  let count = 0
  for (const _ in value) count++
  if (count !== members.length) return false
  for (const { name, type } of members) {
    const member = (value as { readonly [member: string]: unknown })[name]
    if (typeof member !== type || !Object.hasOwn(value, name) || !isRight(member)) return false
  }
  return true
}
