/** Tests that say secrets, each in another way: for a run that must fail. */
import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Redacted from "effect/Redacted"
import { spawn } from "node:child_process"
import { createHmac, generateKeyPairSync } from "node:crypto"
import { once } from "node:events"
import { inspect } from "node:util"
import { P2PNetwork } from "../../../src/P2PNetwork.js"
import * as MemoryTransport from "../../../src/testing/MemoryTransport.js"
import * as P2PNetworkMemory from "../../../src/testing/P2PNetworkMemory.js"

const secret = (way: string): string => Redacted.value(Redacted.make(`s3cret-of-${way}`))

const program = `import("node:crypto").then(({ generateKeyPairSync }) => {
  console.log(generateKeyPairSync("ed25519").privateKey.export({ type: "pkcs8", format: "pem" }))
})`

const ways: Readonly<Record<string, Effect.Effect<unknown, unknown>>> = {
  "on the console, as bytes": Effect.sync(() => globalThis.console.log(inspect(Buffer.from(secret("console"))))),

  "on standard output, in two parts and in base64 among other bytes": Effect.sync(() => {
    const text = Buffer.from(`..${secret("output")}..`).toString("base64")
    process.stdout.write(text.slice(0, 9))
    process.stdout.write(text.slice(9))
  }),

  "in the log, which is not shown": Effect.suspend(() =>
    Effect.logDebug("one", { two: secret("log") }).pipe(Effect.annotateLogs("three", secret("annotation")))
  ).pipe(Effect.provide(Logger.remove(Logger.defaultLogger))),

  "in an error that is caught": Effect.suspend(() =>
    Effect.ignore(Effect.fail({ error: new Error("it broke", { cause: { text: secret("failure") } }) }))
  ),

  "in a status of a node": Effect.suspend(() =>
    Effect.flatMap(P2PNetwork, ({ status }) => status).pipe(
      Effect.provide(
        P2PNetworkMemory.layer({ nodeId: secret("status") }).pipe(Layer.provide(MemoryTransport.layerNetwork))
      )
    )
  ),

  "of a private key, by its private part alone": Effect.sync(() => {
    const { d } = generateKeyPairSync("ed25519").privateKey.export({ format: "jwk" })
    globalThis.console.error(`key ${Buffer.from(String(d), "base64url").toString("hex")}`)
  }),

  "that was used, and never said to be one": Effect.sync(() => {
    const key = ["s3cret", "of", "hmac"].join("-")
    createHmac("sha256", key).update("").digest()
    globalThis.console.info(key)
  }),

  "in a program that makes a key of its own": Effect.promise(() =>
    once(spawn(process.execPath, ["-e", program], { stdio: ["ignore", "inherit", "inherit"] }), "close")
  ),

  "never said": Effect.sync(() => secret("nothing"))
}

for (const [way, said] of Object.entries(ways)) {
  it.live(`a secret ${way}`, () => Effect.map(Effect.exit(said), ({ _tag }) => assert.strictEqual(_tag, "Success")))
}
