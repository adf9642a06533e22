/** No key is ever shown: in no line of log, no status, no event, no error, and not by looking at a value. */
import { assert, describe, it } from "@effect/vitest"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Redacted from "effect/Redacted"
import * as Stream from "effect/Stream"
import { writeFileSync } from "node:fs"
import { join } from "node:path"
import { inspect } from "node:util"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as Keys from "../../src/node/Keys.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import { Chat } from "../utils/hostileNode.js"
import { temporary } from "../utils/stateFolder.js"
import * as Tls from "../utils/tlsPeer.js"

const networkKey = "n3twork-s3cret-of-more-than-32-bytes"
const otherKey = "0ther-s3cret-of-more-than-thirty-two-bytes"

const start = (settings: NetworkConfig.Input) =>
  Effect.map(
    Layer.build(P2PNetworkNode.layer({ port: 0, networkKey: [networkKey, otherKey], ...settings })),
    Context.get(P2PNetwork)
  )

describe("Secrets", () => {
  it.scopedLive("are in nothing that a node says, whatever goes well or wrong", () =>
    Effect.gen(function* () {
      const said: Array<string> = []
      const note = (...values: ReadonlyArray<unknown>): void => {
        for (const value of values) said.push(inspect(value, { depth: 12, showHidden: true }), String(value))
        for (const value of values) said.push(JSON.stringify(value) ?? "")
      }
      const logger = Logger.make(({ annotations, cause, message }) => {
        said.push(Cause.pretty(cause))
        note(message, Object.fromEntries(HashMap.toEntries(annotations)))
      })
      const identity = Keys.generate()
      const pem = Redacted.value(identity.privateKey)
      const stateDir = yield* temporary
      const fails = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
        Effect.map(Effect.exit(effect), (exit) => note(exit, exit._tag === "Failure" ? Cause.pretty(exit.cause) : ""))

      yield* Effect.gen(function* () {
        const one = yield* start({ identityKey: identity.privateKey })
        const other = yield* start({ stateDir })
        yield* Effect.forkScoped(Stream.runForEach(one.events, (event) => Effect.sync(() => note(event))))
        const { address } = yield* one.status
        const peer = yield* other.connect(String(address))
        yield* other.sendMessage(peer.id, Chat, { text: "hello" })
        yield* other.broadcast(Chat, { text: "hello all" })
        note(one, other, yield* one.status, yield* other.status, yield* one.peers(), yield* one.access)
        // A stranger, one with a wrong proof, one that is not TLS, and settings that are wrong.
        for (const hello of [{}, { proof: "s3cret?" }]) {
          note(yield* Tls.answerTo(yield* Tls.dial(address?.port ?? 0, Tls.identity()), hello))
        }
        const stranger = yield* start({ networkKey: "an0ther-s3cret-of-more-than-32-bytes" })
        yield* fails(stranger.connect(String(address), { retryFor: 0 }))
        yield* fails(start({ networkKey: "sh0rt-s3cret" }))
        yield* fails(start({ identityKey: pem.slice(0, 80) }))
        yield* fails(start({ encryption: "none", identityKey: identity.privateKey }))
        yield* fails(start({ identityKey: pem, nodeId: "another" }))
        const damaged = yield* temporary
        writeFileSync(join(damaged, "identity.pem"), pem.slice(0, 90), { mode: 0o600 })
        yield* fails(start({ stateDir: damaged }))
        const settings = yield* NetworkConfig.NetworkConfig
        note(settings, settings.networkKey, settings.identityKey, identity)
        yield* Effect.sleep(50)
      }).pipe(
        Effect.provide(NetworkConfig.layer({ networkKey: [networkKey, otherKey], identityKey: identity.privateKey })),
        Effect.provide(Logger.replace(Logger.defaultLogger, logger)),
        Logger.withMinimumLogLevel(LogLevel.All)
      )

      const all = said.join("\n")
      assert.isAbove(all.length, 10_000)
      assert.include(all, String(identity.id))
      const secrets = [
        networkKey,
        otherKey,
        "an0ther-s3cret",
        "sh0rt-s3cret",
        pem.split("\n")[1] ?? "",
        Buffer.from(networkKey).toString("base64"),
        Buffer.from(networkKey).toString("hex")
      ]
      for (const secret of secrets) assert.notInclude(all, secret)
    })
  )
})
