import { assert, describe, it } from "@effect/vitest"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import * as crypto from "node:crypto"
import {
  chmodSync,
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  statSync,
  writeFileSync
} from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import type * as NetworkConfig from "../../src/NetworkConfig.js"
import * as Identity from "../../src/node/Identity.js"
import * as Keys from "../../src/node/Keys.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import { NodeIdentity } from "../../src/NodeIdentity.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import { namesIn, temporary } from "../utils/stateFolder.js"
import { idOf } from "../utils/tlsPeer.js"

const inFolder = (path: string) =>
  Effect.map(Layer.build(Identity.layerFile(path)), Context.get(NodeIdentity)).pipe(Effect.provide(NodeContext.layer))

const create = (path: string) => Effect.provide(Identity.create(path), NodeContext.layer)
const show = (path: string) => Effect.provide(Identity.show(path), NodeContext.layer)

const pemOf = (key: crypto.KeyObject): string => key.export({ type: "pkcs8", format: "pem" }).toString()

const node = (settings: NetworkConfig.Input) =>
  Effect.map(Layer.build(P2PNetworkNode.layer({ autoStart: false, ...settings })), Context.get(P2PNetwork)).pipe(
    Effect.provide(Logger.remove(Logger.defaultLogger))
  )

describe("Keys", () => {
  it("have the id that the protocol makes of them, Ed25519 and P-256", () => {
    for (const pair of [
      crypto.generateKeyPairSync("ed25519"),
      crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    ]) {
      const info = pair.publicKey.export({ type: "spki", format: "der" })
      const credentials = Either.getOrThrow(Keys.fromPem(Redacted.make(pemOf(pair.privateKey))))
      assert.strictEqual(String(credentials.id), idOf(info))
      assert.match(credentials.id, /^[a-z2-7]{52}$/)
      assert.strictEqual(Keys.publicKeyOf(info)?.id, credentials.id)
      const said = new TextEncoder().encode("said")
      const signature = credentials.sign(said)
      assert.isTrue(credentials.verify(said, signature))
      assert.isFalse(credentials.verify(said, signature.subarray(1)))
      assert.isFalse(credentials.verify(new TextEncoder().encode("Said"), signature))
      assert.isFalse(Keys.generate().verify(said, signature))
    }
  })

  it("of other kinds, and what is no key, are refused without a word of them", () => {
    const others = [
      crypto.generateKeyPairSync("rsa", { modulusLength: 1024 }).privateKey,
      crypto.generateKeyPairSync("ec", { namedCurve: "P-384" }).privateKey,
      crypto.generateKeyPairSync("x25519").privateKey
    ].map(pemOf)
    for (const text of [...others, "", "s3cret-value", "x".repeat(100_000)]) {
      const result = Keys.fromPem(Redacted.make(text))
      assert.isTrue(Either.isLeft(result))
      if (text !== "") assert.notInclude(String(Either.getOrElse(Either.flip(result), () => "")), text)
    }
    for (const info of [new Uint8Array(), new Uint8Array(44), new Uint8Array(100_000)]) {
      assert.isUndefined(Keys.publicKeyOf(info))
    }
  })

  it("have one id each: a public key written otherwise than in DER is none", () => {
    for (const pair of [
      crypto.generateKeyPairSync("ed25519"),
      crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    ]) {
      const info = pair.publicKey.export({ type: "spki", format: "der" })
      assert.isDefined(Keys.publicKeyOf(info))
      const longLength = Buffer.concat([Buffer.from([0x30, 0x81]), info.subarray(1)])
      for (const other of [Buffer.concat([info, Buffer.from([0])]), longLength]) {
        assert.isUndefined(Keys.publicKeyOf(other))
      }
    }
  })

  it("are read from one line as well, and are shown nowhere", () => {
    const { id, privateKey } = Keys.generate()
    const pem = Redacted.value(privateKey)
    const again = Either.getOrThrow(Keys.fromPem(Redacted.make(pem.replaceAll("\n", "\\n"))))
    assert.strictEqual(again.id, id)
    const secret = pem.split("\n")[1] ?? ""
    for (const text of [inspect(again, { depth: 9 }), JSON.stringify(again), String(again.privateKey)]) {
      assert.notInclude(text, secret)
    }
  })
})

describe("Identity", () => {
  it.scopedLive("of a folder is made at the first start, for this user alone, and stays the same", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const first = yield* inFolder(path)
      const file = join(path, "identity.pem")
      assert.strictEqual(statSync(file).mode & 0o777, 0o600)
      assert.match(readFileSync(file, "utf8"), /^-----BEGIN PRIVATE KEY-----\n/)
      assert.deepStrictEqual(namesIn(path), ["identity.pem"])
      const before = readFileSync(file)
      assert.strictEqual((yield* inFolder(path)).id, first.id)
      assert.deepStrictEqual(readFileSync(file), before)
    })
  )

  it.scopedLive("that others may read, or that is damaged, is not used, and never overwritten", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const file = join(path, "identity.pem")
      yield* inFolder(path)
      for (const mode of [0o640, 0o604, 0o660]) {
        chmodSync(file, mode)
        assert.deepInclude(yield* Effect.flip(inFolder(path)), { _tag: "IdentityFailed", reason: "ReadableByOthers" })
      }
      chmodSync(file, 0o600)
      for (const content of ["", "nonsense", readFileSync(file, "utf8").slice(0, 60), "x".repeat(20_000)]) {
        writeFileSync(file, content)
        const error = yield* Effect.flip(inFolder(path))
        assert.deepInclude(error, { _tag: "IdentityFailed", reason: "Damaged" })
        if (content !== "") assert.notInclude(error.message, content)
        assert.strictEqual(readFileSync(file, "utf8"), content)
        assert.strictEqual((yield* Effect.flip(create(path))).reason, "Exists")
        assert.strictEqual(readFileSync(file, "utf8"), content)
      }
      const other = yield* temporary
      mkdirSync(join(other, "identity.pem"))
      assert.strictEqual((yield* Effect.flip(inFolder(other))).reason, "Damaged")
    })
  )

  it.scopedLive("is read from the file that was checked, whatever takes its name meanwhile", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const file = join(path, "identity.pem")
      const other = yield* temporary
      const first = (yield* inFolder(path)).id
      yield* inFolder(other)
      const files = yield* Effect.provide(FileSystem.FileSystem, NodeContext.layer)
      const withFiles = (given: Partial<FileSystem.FileSystem>) =>
        Identity.show(path).pipe(
          Effect.provideService(FileSystem.FileSystem, { ...files, ...given }),
          Effect.provide(Path.layer)
        )
      const replace = Effect.sync(() => {
        renameSync(file, join(path, "old.pem"))
        copyFileSync(join(other, "identity.pem"), file)
        chmodSync(file, 0o644)
      })
      const checkedBefore = withFiles({ stat: (asked) => Effect.zipLeft(files.stat(asked), replace) })
      assert.strictEqual((yield* Effect.flip(checkedBefore)).reason, "ReadableByOthers")
      renameSync(join(path, "old.pem"), file)
      const openedBefore = withFiles({ open: (...asked) => Effect.zipLeft(files.open(...asked), replace) })
      assert.strictEqual(yield* openedBefore, first)
    })
  )

  it.scopedLive("is made and shown as asked; of two that are made at once one stands", () =>
    Effect.gen(function* () {
      const path = join(yield* temporary, "deep", "state")
      assert.strictEqual((yield* Effect.flip(show(path))).reason, "Missing")
      const made = yield* create(path)
      assert.strictEqual(yield* show(path), made)
      const contested = yield* temporary
      const results = yield* Effect.all(
        Array.from({ length: 8 }, () => Effect.either(create(contested))),
        { concurrency: "unbounded" }
      )
      assert.strictEqual(results.filter(Either.isRight).length, 1)
      assert.deepStrictEqual(namesIn(contested), ["identity.pem"])
    })
  )

  it.scopedLive("of a node follows from its folder, or from its settings, and is not a name of one's choice", () =>
    Effect.gen(function* () {
      const stateDir = yield* temporary
      const { nodeId } = yield* Effect.scoped(node({ stateDir }))
      assert.strictEqual(yield* show(stateDir), nodeId)
      assert.isFalse(existsSync(join(stateDir, "identity.json")))
      assert.strictEqual((yield* Effect.scoped(node({ stateDir }))).nodeId, nodeId)
      assert.strictEqual((yield* Effect.scoped(node({ stateDir, nodeId }))).nodeId, nodeId)

      const { id, privateKey } = Keys.generate()
      assert.strictEqual((yield* Effect.scoped(node({ identityKey: privateKey }))).nodeId, id)
      assert.strictEqual((yield* Effect.scoped(node({ identityKey: privateKey, stateDir }))).nodeId, id)
      assert.strictEqual(yield* show(stateDir), nodeId, "the key of the folder is as it was")

      const named = yield* Effect.flip(Effect.scoped(node({ nodeId: "alice" })))
      assert.deepInclude(named, { _tag: "IdentityFailed", reason: "OtherNodeId" })
      const broken = yield* Effect.flip(Effect.scoped(node({ identityKey: "s3cret-value" })))
      assert.deepInclude(broken, { _tag: "IdentityFailed", reason: "KeyInvalid" })
      assert.notInclude(String(broken), "s3cret-value")
      chmodSync(join(stateDir, "identity.pem"), 0o644)
      const open = yield* Effect.flip(Effect.scoped(node({ stateDir })))
      assert.deepInclude(open, { _tag: "IdentityFailed", reason: "ReadableByOthers" })
    })
  )
})
