/**
 * How a node proves over one link that it has the network's key, without telling it: docs/PROTOCOL.md, section 9. The proof
 * is worth nothing on any other link, nor from any other node.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import type * as Redacted from "effect/Redacted"
import type { Credentials } from "./Credentials.js"
import type { NodeId } from "./NodeId.js"

const encoder = new TextEncoder()

/** What is authenticated: this link, and who says so. */
const messageOf = (exporter: Uint8Array, prover: NodeId): Uint8Array => {
  const id = encoder.encode(prover)
  const message = new Uint8Array(exporter.length + id.length)
  message.set(exporter)
  message.set(id, exporter.length)
  return message
}

type Mac = Pick<Credentials, "authenticate" | "isEqual">

/**
 * The proof of the node `prover` for the link with that exporter: base64.
 *
 * @since 0.1.0
 * @category constructors
 */
export const prove = (credentials: Mac, key: Redacted.Redacted<string>, exporter: Uint8Array, prover: NodeId): string =>
  Encoding.encodeBase64(credentials.authenticate(key, messageOf(exporter, prover)))

/**
 * Whether the proof was made with one of the keys. All of them are tried, and each comparison takes the same time: how long
 * it takes tells nothing.
 *
 * @since 0.1.0
 * @category guards
 */
export const isProven = (
  credentials: Mac,
  keys: ReadonlyArray<Redacted.Redacted<string>>,
  exporter: Uint8Array,
  prover: NodeId,
  proof: string
): boolean => {
  const given = Either.getOrUndefined(Encoding.decodeBase64(proof))
  if (given === undefined) return false
  const message = messageOf(exporter, prover)
  let isOne = false
  for (const key of keys) isOne = credentials.isEqual(credentials.authenticate(key, message), given) || isOne
  return isOne
}
