/**
 * Signatures of messages, by which a node that did not get a message from its sender knows that it is the sender's, and as
 * the sender made it: docs/PROTOCOL.md, section 9.
 *
 * @since 0.1.0
 */
import canonicalize from "canonicalize"
import * as Either from "effect/Either"
import * as Encoding from "effect/Encoding"
import type { Credentials, PublicKey } from "./Credentials.js"
import type { Envelope } from "./Message.js"

const encoder = new TextEncoder()

/**
 * The bytes that are signed: what the message is, the network, so that no message of one network is one of another, and
 * the RFC 8785 form of the envelope without what relays change (`ttl`) and the signature itself. Unknown members are
 * signed too. Throws where the envelope holds what JSON cannot carry.
 *
 * @since 0.1.0
 * @category encoding
 */
export const signedBytes = (network: string, envelope: Envelope): Uint8Array => {
  const { signature: _, ttl: __, ...rest } = envelope
  return encoder.encode(`synapse-p2p/1 message\n${network}\n${canonicalize(rest)}`)
}

// With the bits that are left over zero: whoever passes a message on could write it otherwise, else.
const base64 = /^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/][AQgw]==|[A-Za-z0-9+/]{2}[AEIMQUYcgkosw048]=)?$/

/** Longer than any key or signature that is valid. */
const maxText = 1024

/** Standard and padded; undefined where it is not. */
const decodeBase64 = (text: string): Uint8Array | undefined =>
  text.length <= maxText && base64.test(text) ? Either.getOrUndefined(Encoding.decodeBase64(text)) : undefined

/** Keys that are remembered as read, those unused for longest forgotten first: reading one costs as much as using it. */
const maxKeys = 1024

/**
 * Signs and checks messages of one network.
 *
 * @since 0.1.0
 * @category models
 */
export interface Signatures {
  /** The message with this node's signature. */
  readonly sign: (envelope: Envelope) => Envelope
  /** What is wrong with the signature of a message, or with its absence, as `member: what is wrong`. */
  readonly fault: (envelope: Envelope) => string | undefined
}

/**
 * Signatures by these credentials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (credentials: Credentials, network: string): Signatures => {
  const own = Encoding.encodeBase64(credentials.publicKey)
  const keys = new Map<string, PublicKey | undefined>()

  const keyOf = (text: string): PublicKey | undefined => {
    const known = keys.get(text)
    if (known !== undefined) {
      keys.delete(text)
      keys.set(text, known)
      return known
    }
    const info = decodeBase64(text)
    const key = info === undefined ? undefined : credentials.publicKeyOf(info)
    // What is no key is not worth a place.
    if (key === undefined) return undefined
    keys.set(text, key)
    if (keys.size > maxKeys) {
      const oldest = keys.keys().next()
      if (oldest.done !== true) keys.delete(oldest.value)
    }
    return key
  }

  return {
    sign: (envelope) => ({
      ...envelope,
      signature: {
        key: own,
        value: Encoding.encodeBase64(credentials.sign(signedBytes(network, envelope)))
      }
    }),
    fault: (envelope) => {
      const { sender, signature } = envelope
      if (signature === undefined) return "signature: missing on a message that came over another node"
      const key = keyOf(signature.key)
      if (key === undefined) return "signature: key is not an Ed25519 or P-256 key in base64"
      if (key.id !== sender) return "signature: key is not the sender's"
      const value = decodeBase64(signature.value)
      const isValid = value !== undefined && key.verify(signedBytes(network, envelope), value)
      return isValid ? undefined : "signature: value does not fit the message"
    }
  }
}
