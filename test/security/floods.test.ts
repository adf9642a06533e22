/** Thousands of handshakes that are begun and never ended, while honest peers keep talking. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import net from "node:net"
import { assertServes, startNode } from "../utils/hostileNode.js"
import type { RawPeer } from "../utils/rawPeer.js"
import * as Tls from "../utils/tlsPeer.js"

const half = 5_000

/** The start of a TLS handshake that says that more is to come. */
const beginning = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])

/** Pings for ever, and notes how long each takes, milliseconds. */
const talk = (peer: RawPeer, times: Array<number>) =>
  Effect.forever(
    Effect.gen(function* () {
      const begun = performance.now()
      yield* peer.pong(peer.ping(times.length), 10)
      times.push(performance.now() - begun)
      yield* Effect.sleep(20)
    })
  )

/** Connections opened a hundred at a time. Scope: destroys them. */
const flood = (port: number) =>
  Effect.acquireRelease(
    Effect.sync(() => new Set<net.Socket>()),
    (sockets) => Effect.sync(() => sockets.forEach((socket) => socket.destroy()))
  ).pipe(
    Effect.tap((sockets) =>
      Effect.iterate(0, {
        while: (made) => made < half,
        body: (made) =>
          Effect.as(
            Effect.async<void>((resume) => {
              let left = 100
              for (let n = 0; n < 100; n++) {
                const socket = net.connect({ host: "127.0.0.1", port })
                sockets.add(socket)
                socket.on("error", () => {})
                socket.once("close", () => sockets.delete(socket))
                socket.once("connect", () => {
                  // Half of them say nothing at all.
                  if (n % 2 === 0) socket.write(beginning)
                  if (--left === 0) resume(Effect.void)
                })
              }
            }),
            made + 100
          )
      })
    )
  )

describe("A flood of TLS handshakes", () => {
  it.live(
    `${half} of them half open, are bounded, and neither those connected nor those who come are kept out`,
    () =>
      Effect.gen(function* () {
        const node = yield* startNode({ encryption: "tls", nodeId: undefined, maxPendingHandshakes: 200 })
        const honest = yield* Effect.forEach(Array.from({ length: 10 }), () => Tls.join(node.port, Tls.identity()))
        const times: Array<number> = []
        const talking = yield* Effect.fork(
          Effect.forEach(honest, (peer) => talk(peer, times), { concurrency: "unbounded" })
        )
        const sockets = yield* flood(node.port)
        yield* Fiber.interrupt(talking)
        assert.isAbove(times.length, 10 * 10, "pongs while it lasted")
        assert.isBelow(Math.max(...times), 5_000, "milliseconds, of the slowest pong")
        const { connections, peers } = yield* node.network.status
        assert.isAtMost(connections.handshaking, 200)
        assert.strictEqual(peers.connected, honest.length)
        // Most were sent away already.
        yield* Effect.sleep(50).pipe(
          Effect.repeat({ until: () => sockets.size <= 200 }),
          Effect.timeoutFail({ duration: "30 seconds", onTimeout: () => new Error(`${sockets.size} are left`) }),
          Effect.orDie
        )
        const late = yield* Tls.join(node.port, Tls.identity())
        for (const peer of [...honest, late]) yield* assertServes(peer)
      }).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger))),
    120_000
  )
})
