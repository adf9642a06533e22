/**
 * What JSON text and values may hold on this wire (docs/PROTOCOL.md, section 1).
 *
 * @internal
 */

/** How deep a message may nest; the envelope is level 1. */
export const maxDepth = 64

/** How deep a payload may: it is level 2. */
const maxPayloadDepth = maxDepth - 1

const quote = 0x22
const backslash = 0x5c

/** How often the character stands in the text, counted up to `limit`. */
const occurrences = (text: string, character: string, limit: number): number => {
  let count = 0
  for (let at = text.indexOf(character); at !== -1 && count < limit; at = text.indexOf(character, at + 1)) count++
  return count
}

/** Whether there are brackets enough, those in strings included, to nest deeper than that. */
const hasManyBrackets = (text: string, levels: number): boolean => {
  if (text.length <= levels) return false
  const braces = occurrences(text, "{", levels + 1)
  return braces > levels || braces + occurrences(text, "[", levels + 1) > levels
}

/**
 * Whether brackets outside strings nest deeper than {@link maxDepth}, seen without parsing: in linear time and without
 * a stack. Says something of any text, JSON or not.
 */
export const isTooDeep = (text: string): boolean => isDeeper(text, maxDepth)

/** The same of a payload alone, which stands in an envelope, and is JSON: each level is opened and closed. */
export const isPayloadTooDeep = (text: string): boolean =>
  text.length > 2 * maxPayloadDepth && isDeeper(text, maxPayloadDepth)

const isDeeper = (text: string, levels: number): boolean => {
  if (!hasManyBrackets(text, levels)) return false
  let depth = 0
  let inString = false
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i)
    if (inString) {
      if (unit === backslash) i++
      else if (unit === quote) inString = false
    } else if (unit === quote) inString = true
    // [ and { differ in one bit, as ] and } do.
    else if ((unit | 0x20) === 0x7b) {
      if (++depth > levels) return true
    } else if ((unit | 0x20) === 0x7d) depth--
  }
  return false
}

/** Whether the value is an object and no array: of parsed JSON, an object. */
export const isObject = (u: unknown): u is { readonly [member: string]: unknown } =>
  typeof u === "object" && u !== null && !Array.isArray(u)

/** Whether half of a surrogate pair stands alone in the text. */
export const hasLoneSurrogate = (text: string): boolean => !text.isWellFormed()

const outOfRange = "a number outside the double range"
const badUnicode = "a lone surrogate"

/**
 * What in a parsed JSON value is no I-JSON: a number outside the double range (read as an infinity), or, where
 * `escapes` says that the text had any, a lone surrogate. The value's depth must be known to be within bounds.
 */
export const iJsonFault = (value: unknown, escapes: boolean): string | undefined => {
  if (typeof value === "number") return Number.isFinite(value) ? undefined : outOfRange
  if (typeof value === "string") return escapes && hasLoneSurrogate(value) ? badUnicode : undefined
  if (isObject(value)) {
    for (const name of Object.keys(value)) {
      if (escapes && hasLoneSurrogate(name)) return badUnicode
      const fault = iJsonFault(value[name], escapes)
      if (fault !== undefined) return fault
    }
  } else if (Array.isArray(value)) {
    for (const item of value) {
      const fault = iJsonFault(item, escapes)
      if (fault !== undefined) return fault
    }
  }
  return undefined
}

/** A fault and where it is: the path is written only once there is one. */
interface Found {
  path: string
  readonly what: string
}

const found = (what: string): Found => ({ path: "", what })

const isPlain = (value: object): boolean => {
  const prototype: unknown = Object.getPrototypeOf(value)
  return prototype === Object.prototype || prototype === null
}

const className = (value: object): string => {
  const constructor: unknown = (value as { readonly constructor?: unknown }).constructor
  return typeof constructor === "function" ? constructor.name : ""
}

const find = (value: unknown, ancestors: Array<object>): Found | undefined => {
  switch (typeof value) {
    case "string":
      return hasLoneSurrogate(value) ? found("a string with a lone surrogate") : undefined
    case "number":
      return Number.isFinite(value) ? undefined : found(String(value))
    case "boolean":
      return undefined
    case "object":
      return value === null ? undefined : findInObject(value, ancestors)
    default:
      return found(typeof value === "undefined" ? "undefined" : `a ${typeof value}`)
  }
}

const findInObject = (value: object, ancestors: Array<object>): Found | undefined => {
  if (ancestors.includes(value)) return found("a reference back to what holds it")
  if (ancestors.length === maxPayloadDepth) return found(`nested deeper than ${maxDepth} levels`)
  if (!Array.isArray(value) && !isPlain(value)) return found(`not a plain object (${className(value)})`)
  ancestors.push(value)
  const fault = isObject(value) ? findInMembers(value, ancestors) : findInItems(value as Array<unknown>, ancestors)
  ancestors.pop()
  return fault
}

const findInItems = (items: ReadonlyArray<unknown>, ancestors: Array<object>): Found | undefined => {
  for (let i = 0; i < items.length; i++) {
    const fault = find(items[i], ancestors)
    if (fault !== undefined) {
      fault.path = `[${i}]${fault.path}`
      return fault
    }
  }
  return undefined
}

const findInMembers = (value: { readonly [member: string]: unknown }, ancestors: Array<object>): Found | undefined => {
  for (const name of Object.keys(value)) {
    const member = value[name]
    if (member === undefined) continue
    const fault = hasLoneSurrogate(name) ? found("a name with a lone surrogate") : find(member, ancestors)
    if (fault !== undefined) {
      fault.path = `.${name}${fault.path}`
      return fault
    }
  }
  return undefined
}

/**
 * What in a payload JSON cannot carry to the other end as it is, as `path: what`; `undefined`: nothing. A member whose
 * value is `undefined` counts as absent. Stops at the level that no message may reach, so cycles and any depth are safe.
 */
export const payloadFault = (payload: unknown): string | undefined => {
  if (!isObject(payload)) return "not an object"
  const fault = findInObject(payload, [])
  if (fault === undefined) return undefined
  return fault.path === "" ? fault.what : `${fault.path.slice(1)}: ${fault.what}`
}
