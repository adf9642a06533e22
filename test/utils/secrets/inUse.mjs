// Notes each secret that this process comes to have, in the file that TEST_SECRETS names: whatever is made Redacted, private
// keys that are made or read, and keys of HMACs. Loaded before anything else, in tests and in the programs they start. Plain
// JavaScript, since those programs are run by Node alone.
import crypto from "node:crypto"
import { appendFileSync } from "node:fs"
import { syncBuiltinESMExports } from "node:module"

const file = process.env.TEST_SECRETS
const noted = new Set()

const note = (secret) => {
  if (!file || typeof secret !== "string" || noted.has(secret)) return
  noted.add(secret)
  appendFileSync(file, `${JSON.stringify(secret)}\n`)
}

const noteKey = (key) => {
  if (typeof key === "string" || Buffer.isBuffer(key)) note(key.toString())
  else if (key?.type === "private") note(key.export({ type: "pkcs8", format: "pem" }))
  else if (key?.type === "secret") note(key.export().toString())
  else if (key?.key !== undefined) noteKey(key.key)
}

const { createHmac, createPrivateKey, generateKeyPairSync } = crypto

crypto.createPrivateKey = (...args) => {
  const key = createPrivateKey(...args)
  noteKey(key)
  return key
}
crypto.generateKeyPairSync = (...args) => {
  const pair = generateKeyPairSync(...args)
  noteKey(pair.privateKey)
  return pair
}
crypto.createHmac = (algorithm, key, options) => {
  noteKey(key)
  return createHmac(algorithm, key, options)
}
syncBuiltinESMExports()

// Where Effect keeps what it shares among its copies: this is how a bundled one is reached too.
const shared = (globalThis["effect/GlobalValue"] ??= new Map())
const registryName = "effect/Redacted/redactedRegistry"
if (!shared.has(registryName)) shared.set(registryName, new WeakMap())
const registry = shared.get(registryName)
registry.set = (redacted, value) => {
  note(value)
  return WeakMap.prototype.set.call(registry, redacted, value)
}
