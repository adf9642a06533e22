/**
 * Key pairs by Node's cryptography: made anew, or read from PEM. Ed25519 is what a node makes for itself: small, fast to
 * sign with, and without parameters to choose. P-256 is taken too, for keys that come from elsewhere.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import * as crypto from "node:crypto"
import type { Credentials, PublicKey } from "../Credentials.js"
import * as Base32 from "../internal/Base32.js"
import * as NodeId from "../NodeId.js"

/** The longest text or key that is looked at: many times what a key takes. */
const maxKeyBytes = 16_384

/** How the two kinds of keys sign: Ed25519 has its digest built in. */
const digestOf = (key: crypto.KeyObject): "sha256" | null | undefined => {
  if (key.asymmetricKeyType === "ed25519") return null
  return key.asymmetricKeyType === "ec" && key.asymmetricKeyDetails?.namedCurve === "prime256v1" ? "sha256" : undefined
}

const infoOf = (key: crypto.KeyObject): Uint8Array => key.export({ type: "spki", format: "der" })

const idOf = (info: Uint8Array): NodeId.NodeId =>
  NodeId.make(Base32.encode(crypto.createHash("sha256").update(info).digest()))

const publicKey = (key: crypto.KeyObject, info: Uint8Array): PublicKey | undefined => {
  const digest = digestOf(key)
  if (digest === undefined) return undefined
  return {
    id: idOf(info),
    verify: (message, signature) => {
      try {
        return crypto.verify(digest, message, key, signature)
      } catch {
        // What is no signature at all.
        return false
      }
    }
  }
}

/**
 * The public key in a SubjectPublicKeyInfo, DER; undefined where it is none, or neither Ed25519 nor P-256. What OpenSSL
 * reads but would write otherwise (BER, or with bytes after it) is none: one key would have many ids.
 *
 * @since 0.1.0
 * @category constructors
 */
export const publicKeyOf = (info: Uint8Array): PublicKey | undefined => {
  if (info.length > maxKeyBytes) return undefined
  try {
    const key = crypto.createPublicKey({ key: Buffer.from(info), format: "der", type: "spki" })
    return Buffer.compare(infoOf(key), info) === 0 ? publicKey(key, info) : undefined
  } catch {
    return undefined
  }
}

const credentialsOf = (privateKey: crypto.KeyObject): Credentials | undefined => {
  const key = crypto.createPublicKey(privateKey)
  const info = infoOf(key)
  const shown = publicKey(key, info)
  const digest = digestOf(key)
  if (shown === undefined || digest === undefined) return undefined
  return {
    ...shown,
    publicKey: info,
    privateKey: Redacted.make(privateKey.export({ type: "pkcs8", format: "pem" }).toString()),
    sign: (message) => crypto.sign(digest, message, privateKey),
    publicKeyOf,
    authenticate: (secret, message) => crypto.createHmac("sha256", Redacted.value(secret)).update(message).digest(),
    isEqual: (a, b) => a.length === b.length && crypto.timingSafeEqual(a, b)
  }
}

/**
 * A new Ed25519 key pair.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate = (): Credentials => {
  const credentials = credentialsOf(crypto.generateKeyPairSync("ed25519").privateKey)
  if (credentials === undefined) throw new Error("a new Ed25519 key is not one")
  return credentials
}

/**
 * Reads a private key, PKCS#8 as PEM, Ed25519 or P-256. A `\n` written out counts as a line break, for places that hold one
 * line. The left side says what is wrong, and repeats nothing of the text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromPem = (pem: Redacted.Redacted<string>): Either.Either<Credentials, string> => {
  const text = Redacted.value(pem)
  if (text.length > maxKeyBytes) return Either.left("it is too long to be a key")
  let key: crypto.KeyObject
  try {
    key = crypto.createPrivateKey(text.replaceAll("\\n", "\n"))
  } catch {
    return Either.left("it is not a private key in PEM (PKCS#8, without a password)")
  }
  return Either.fromNullable(credentialsOf(key), () => "it is neither an Ed25519 nor a P-256 key")
}
