/** Whether a secret stands in what was said, in any form that it may have got into. */
import * as crypto from "node:crypto"

/** Shorter texts stand in anything. */
const shortest = 8

/** The base64 of bytes wherever they stand among others: what surrounds them decides which of three it is. */
const base64Of = (bytes: Uint8Array): ReadonlyArray<string> =>
  [0, 1, 2].map((before) => {
    const all = Buffer.concat([Buffer.alloc(before), bytes])
    const text = all.toString("base64")
    return text.slice([0, 2, 3][before], Math.floor(all.length / 3) * 4)
  })

/** No more of it is shown of a `Buffer` that is inspected. */
const shownBytes = 48

/** Hexadecimal, a list of numbers, base64 and base64url. */
const formsOfBytes = (all: Uint8Array): ReadonlyArray<string> => {
  const bytes = all.subarray(0, shownBytes)
  const hex = Buffer.from(bytes).toString("hex")
  const base64 = base64Of(bytes)
  return [
    hex,
    hex.toUpperCase(),
    bytes.join(","),
    ...base64,
    ...base64.map((text) => text.replaceAll("+", "-").replaceAll("/", "_"))
  ]
}

const bodyOf = (pem: string): ReadonlyArray<string> =>
  pem
    .replaceAll("\\n", "\n")
    .split("\n")
    .filter((line) => line.length >= 16 && !line.startsWith("-----"))

/** The part of a private key that nobody else knows; undefined where the text is none. */
const privatePart = (pem: string): Uint8Array | undefined => {
  try {
    const { d } = crypto.createPrivateKey(pem.replaceAll("\\n", "\n")).export({ format: "jwk" })
    return d === undefined ? undefined : Buffer.from(d, "base64url")
  } catch {
    return undefined
  }
}

/** All that must not be said where this is a secret: of a PEM text the lines of its key, and its private part. */
export const formsOf = (secret: string): ReadonlyArray<string> => {
  if (secret.length < shortest) return []
  if (secret.includes("-----BEGIN ")) {
    const part = privatePart(secret)
    // Further lines of a whole key hold what is public.
    return part === undefined ? bodyOf(secret) : [...bodyOf(secret).slice(0, 1), ...formsOfBytes(part)]
  }
  return [
    ...new Set([
      secret,
      JSON.stringify(secret).slice(1, -1),
      encodeURIComponent(secret),
      ...formsOfBytes(Buffer.from(secret))
    ])
  ]
}

/** The lines in which a secret stands, with the form in which it does. */
export const leaks = (
  lines: Iterable<string>,
  secrets: Iterable<string>
): ReadonlyArray<{ readonly line: string; readonly form: string }> => {
  const all = [...lines]
  const text = all.join("\n")
  // What is inspected is set in columns.
  const squeezed = text.replaceAll(/\s+/g, "")
  return [...new Set([...secrets].flatMap(formsOf))]
    .filter((form) => text.includes(form) || squeezed.includes(form))
    .map((form) => ({ form, line: all.find((line) => line.includes(form)) ?? form }))
}
