/**
 * RFC 3339 date-times, as strict as docs/PROTOCOL.md, section 2, has them.
 *
 * @internal
 */

let lastMillis = NaN
let lastText = ""

/** The time, milliseconds since the epoch, as the wire has it. Many are asked for in one millisecond, by many nodes. */
export const timestampOf = (millis: number): string => {
  if (millis !== lastMillis) {
    lastText = new Date(millis).toISOString()
    lastMillis = millis
  }
  return lastText
}

const daysInMonth = [0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]

const isLeapYear = (year: number): boolean => year % 4 === 0 && (year % 100 !== 0 || year % 400 === 0)

/** The number of two digits at `at`, or NaN. */
const twoDigits = (text: string, at: number): number => {
  const tens = text.charCodeAt(at) - 48
  const ones = text.charCodeAt(at + 1) - 48
  return tens >= 0 && tens <= 9 && ones >= 0 && ones <= 9 ? tens * 10 + ones : Number.NaN
}

/**
 * Whether the text is an RFC 3339 date-time with offset: capital `T` and `Z`, seconds 00 to 59, a fraction of any
 * length, and a date that exists.
 */
export const isTimestamp = (text: string): boolean => {
  const units = text.length
  if (units < 20 || text[4] !== "-" || text[7] !== "-" || text[10] !== "T" || text[13] !== ":" || text[16] !== ":") {
    return false
  }
  const year = twoDigits(text, 0) * 100 + twoDigits(text, 2)
  const month = twoDigits(text, 5)
  const day = twoDigits(text, 8)
  const days = (daysInMonth[month] ?? 0) + (month === 2 && isLeapYear(year) ? 1 : 0)
  if (!(year >= 0 && day >= 1 && day <= days)) return false
  if (!(twoDigits(text, 11) <= 23 && twoDigits(text, 14) <= 59 && twoDigits(text, 17) <= 59)) return false
  let at = 19
  if (text[at] === ".") {
    at++
    const first = at
    while (text.charCodeAt(at) >= 48 && text.charCodeAt(at) <= 57) at++
    if (at === first) return false
  }
  if (text[at] === "Z") return at + 1 === units
  return (
    (text[at] === "+" || text[at] === "-") &&
    at + 6 === units &&
    text[at + 3] === ":" &&
    twoDigits(text, at + 1) <= 23 &&
    twoDigits(text, at + 4) <= 59
  )
}

/**
 * The same as one pattern, for schemas.
 */
export const timestampPattern =
  /^(?:\d{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12]\d|3[01])|(?:0[469]|11)-(?:0[1-9]|[12]\d|30)|02-(?:0[1-9]|1\d|2[0-8]))|(?:\d\d(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)T(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)$/
