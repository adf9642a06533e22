import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import net from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as ConnectionPool from "../../src/ConnectionPool.js"
import * as LocalNode from "../../src/LocalNode.js"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as NetworkStats from "../../src/NetworkStats.js"
import * as NodeIdentity from "../../src/NodeIdentity.js"
import * as TcpTransport from "../../src/node/TcpTransport.js"
import * as PeerBook from "../../src/PeerBook.js"
import * as Router from "../../src/Router.js"
import { frame, helloPayload, message } from "../utils/rawPeer.js"

const node = Router.layer.pipe(
  Layer.provideMerge(ConnectionPool.layer),
  Layer.provideMerge(Layer.mergeAll(PeerBook.layer, NetworkStats.layer, LocalNode.layer)),
  Layer.provide(NodeIdentity.layer),
  Layer.provide(TcpTransport.layer),
  Layer.provide(
    NetworkConfig.layer({
      nodeId: "node-a",
      host: "127.0.0.1",
      port: 0,
      banDuration: "0 seconds",
      handshakeTimeout: "100 millis",
      maxPeers: 1_000
    })
  )
)

type Ending = "polite" | "reset" | "half-closed" | "timed out" | "refused" | "no frame"

const endings: ReadonlyArray<Ending> = ["polite", "reset", "half-closed", "timed out", "refused", "no frame"]

/** One connection, from its beginning to its end. */
const visit = (port: number, id: string, ending: Ending): Promise<void> =>
  new Promise((resolve) => {
    const socket = net.connect(port, "127.0.0.1")
    let hasAnswer = false
    socket.on("error", () => {})
    socket.on("close", () => resolve())
    if (ending === "timed out") return void socket.on("data", () => {}).on("end", () => socket.end())
    const network = ending === "refused" ? "another" : "synapse"
    // Every other one can be dialed, so that the book remembers it for a while.
    const listen = id.endsWith("0") ? [{ host: "10.0.0.9", port: 9470 }] : []
    socket.write(frame(message(id, "HELLO", { ...helloPayload, network, listen, session: id })))
    socket.on("end", () => socket.end())
    socket.on("data", () => {
      if (hasAnswer) return
      hasAnswer = true
      if (ending === "reset") socket.resetAndDestroy()
      else if (ending === "half-closed") socket.end()
      else if (ending === "no frame") socket.write(Buffer.alloc(4))
      else if (ending === "polite") {
        socket.end(frame(message(id, "ERROR", { code: "SHUTTING_DOWN", message: "", fatal: true })))
      }
    })
  })

const sockets = (): number => process.getActiveResourcesInfo().filter((name) => name === "TCPSocketWrap").length

/** Kilobytes in use once the rubbish is gone. */
const heap = (): number => {
  setFlagsFromString("--expose-gc")
  const collect = runInNewContext("gc") as () => void
  collect()
  collect()
  return Math.round(process.memoryUsage().heapUsed / 1024)
}

describe("connections over TCP", () => {
  it.scopedLive(
    "10,000 of them, ended in every way, leave nothing behind",
    () =>
      Effect.gen(function* () {
        const context = yield* Layer.build(node)
        const pool = Context.get(context, ConnectionPool.ConnectionPool)
        const { deadlines } = Context.get(context, LocalNode.LocalNode)
        const book = Context.get(context, PeerBook.PeerBook)
        const { port } = yield* pool.listen
        const socketsBefore = sockets()
        const deadlinesBefore = deadlines.size
        let made = 0

        const visits = (count: number): Effect.Effect<void> =>
          Effect.forEach(
            Array.from({ length: count }, () => made++),
            (n) => Effect.promise(() => visit(port, `peer-${n % 500}`, endings[n % endings.length] ?? "reset")),
            { concurrency: 100, discard: true }
          )

        // What it tells has to be taken, as a network does.
        yield* Effect.forkScoped(Effect.forever(Effect.flatMap(pool.events.takeAll, () => Effect.sleep(10))))
        /** Waits until the last links are gone: a reset may take a moment to be seen. */
        const quiet = Effect.gen(function* () {
          for (let turn = 0; turn < 500; turn++) {
            if (Object.values(pool.counts()).every((count) => count === 0) && sockets() === socketsBefore) break
            yield* Effect.sleep(10)
          }
          assert.deepStrictEqual(pool.counts(), { inbound: 0, outbound: 0, handshaking: 0, closing: 0 })
          assert.strictEqual(sockets(), socketsBefore)
          assert.strictEqual([...pool.opened()].length, 0)
          assert.strictEqual(pool.unsafeLive().size, 0)
        })

        yield* visits(2_000)
        yield* quiet
        const early = heap()
        yield* visits(8_000)
        yield* quiet
        const late = heap()
        // Nobody waits any more for the one that stays of two.
        yield* Effect.sleep(200)
        assert.isAtMost(deadlines.size, deadlinesBefore)
        assert.isAtMost(HashMap.size(book.get().peers), 50)
        assert.isBelow(late - early, 8_192, `heap grew from ${early} to ${late} KiB`)
        yield* Effect.log(`heap after 2,000: ${early} KiB, after 10,000: ${late} KiB`)
      }),
    60_000
  )
})
