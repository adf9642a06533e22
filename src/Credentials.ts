/**
 * What a node proves its identity with, and checks that of others (docs/PROTOCOL.md, section 9): a key pair and the few
 * operations on it. Synchronous, since messages are checked in the callback that read them. The implementation stands in
 * `synapse-p2p/node`.
 *
 * @since 0.1.0
 */
import type * as Redacted from "effect/Redacted"
import type { NodeId } from "./NodeId.js"

/**
 * The public key of some node, Ed25519 or ECDSA P-256.
 *
 * @since 0.1.0
 * @category models
 */
export interface PublicKey {
  /** Lower-case unpadded base32 of the SHA-256 of the key's SubjectPublicKeyInfo. */
  readonly id: NodeId
  /** Whether the signature of the message was made with the private key that belongs to this one. Never throws. */
  readonly verify: (message: Uint8Array, signature: Uint8Array) => boolean
}

/**
 * The key pair of this node, and the cryptography that section 9 of the protocol asks for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Credentials extends PublicKey {
  /** The public key as SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array
  /** The private key as PKCS#8, PEM: for a transport to prove the identity with, and for nothing else. */
  readonly privateKey: Redacted.Redacted<string>
  readonly sign: (message: Uint8Array) => Uint8Array
  /** The key in a SubjectPublicKeyInfo, DER; undefined where it is none, or of a kind that no node has. */
  readonly publicKeyOf: (info: Uint8Array) => PublicKey | undefined
  /** HMAC-SHA-256 of the message with the UTF-8 bytes of the secret. */
  readonly authenticate: (secret: Redacted.Redacted<string>, message: Uint8Array) => Uint8Array
  /** Whether both are the same bytes; how long that takes does not tell where they differ. */
  readonly isEqual: (a: Uint8Array, b: Uint8Array) => boolean
}
