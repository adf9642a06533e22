import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as fc from "fast-check"
import net from "node:net"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as Hellos from "../../src/node/Hellos.js"
import { rounds, until } from "../utils/links.js"

/** What Node's TLS reads of a socket that it is given, in the next tick. */
const readAll = (socket: net.Socket, take: (piece: Buffer) => void): void =>
  process.nextTick(() => {
    for (let piece; (piece = socket.read() as Buffer | null) !== null;) take(piece)
  })

/** A listener whose sockets wait for their turn, and in which order they got it. Scope: closes both. */
const listening = Effect.gen(function* () {
  const mayNot = new Set<number | undefined>()
  const begun: Array<{ readonly said: Buffer; readonly at: number }> = []
  const pieces: Array<Buffer> = []
  let turns = 0
  const next = (): void => {
    turns++
    immediate = setImmediate(next)
  }
  let immediate = setImmediate(next)
  const accepted = new Set<net.Socket>()
  const isTaken = yield* Hellos.make(
    (socket) => {
      const at = turns
      const first = pieces.length
      readAll(socket, (piece) => pieces.push(piece))
      process.nextTick(() => begun.push({ said: Buffer.concat(pieces.slice(first)), at }))
    },
    ({ remotePort }) => !mayNot.has(remotePort)
  )
  const server = yield* Effect.acquireRelease(
    Effect.async<net.Server>((resume) => {
      const made = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
        accepted.add(socket)
        socket.on("error", () => {}).once("close", () => accepted.delete(socket))
        isTaken(socket)
      })
      made.listen(0, "127.0.0.1", () => resume(Effect.succeed(made)))
    }),
    (made) =>
      Effect.sync(() => {
        made.close()
        for (const socket of accepted) socket.destroy()
        clearImmediate(immediate)
      })
  )
  const { port } = server.address() as net.AddressInfo
  const dial = Effect.acquireRelease(
    Effect.async<net.Socket>((resume) => {
      const socket = net.connect({ host: "127.0.0.1", port, noDelay: true }, () => resume(Effect.succeed(socket)))
      socket.on("error", () => {})
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )
  return { accepted, begun, dial, mayNot, pieces }
})

const collect = (): void => {
  setFlagsFromString("--expose-gc")
  const gc = runInNewContext("gc") as () => void
  gc()
}

/** A first record of that many bytes. */
const record = (bytes: number, fill = 1): Buffer =>
  Buffer.concat([Buffer.from([0x16, 3, 1, bytes >> 8, bytes & 255]), Buffer.alloc(bytes, fill)])

/** How many bytes are waited for. */
const wanted = (bytes: Uint8Array): number => {
  const [type, , , high = 0, low = 0] = bytes
  if (type !== 0x16) return 1
  const length = high * 256 + low
  return bytes.length < 5 || length > 16_384 ? 5 : 5 + length
}

describe("Hellos", () => {
  it.scopedLive("begins nothing for one that says nothing, or half of it, and forgets it when it goes", () =>
    Effect.gen(function* () {
      const { accepted, begun, dial } = yield* listening
      const silent = yield* dial
      const half = yield* dial
      half.write(record(100).subarray(0, 50))
      yield* until(() => accepted.size === 2)
      yield* rounds(50)
      assert.lengthOf(begun, 0)
      silent.end()
      half.end()
      yield* until(() => accepted.size === 0)
      assert.lengthOf(begun, 0)
    })
  )

  it.scopedLive("gives back all that was said, however it was cut", () =>
    Effect.gen(function* () {
      const { begun, dial } = yield* listening
      const hello = record(40)
      const socket = yield* dial
      for (const byte of hello) {
        socket.write(Buffer.from([byte]))
        yield* rounds(2)
      }
      yield* until(() => begun.length === 1)
      assert.deepStrictEqual(begun[0]?.said, hello)
    })
  )

  it.scopedLive("gives a long one back in pieces that fit into the kilobyte that TLS has for them", () =>
    Effect.gen(function* () {
      const { begun, dial, pieces } = yield* listening
      const hello = record(2_500)
      const socket = yield* dial
      socket.write(hello)
      yield* until(() => begun.length === 1)
      assert.deepStrictEqual(begun[0]?.said, hello)
      assert.isAbove(pieces.length, 2)
      for (const piece of pieces) assert.isBelow(piece.length, 1_024)
    })
  )

  it.scopedLive("keeps nothing of a socket that has begun, and nothing of what it said", () =>
    Effect.gen(function* () {
      const { accepted, begun, dial, pieces } = yield* listening
      const socket = yield* dial
      yield* until(() => accepted.size === 1)
      const [taken] = accepted
      assert.isDefined(taken)
      assert.strictEqual(taken.listenerCount("data"), 1)
      socket.write(record(1_500))
      yield* until(() => begun.length === 1)
      const said = pieces.map(({ buffer }) => new WeakRef(buffer))
      pieces.length = 0
      yield* until(() => {
        collect()
        return said.every((one) => one.deref() === undefined)
      })
      assert.isTrue(accepted.has(taken))
      assert.strictEqual(taken.listenerCount("data"), 0)
      // The test's own.
      assert.strictEqual(taken.listenerCount("close"), 1)
    })
  )

  it.scopedLive("begins at once with what is no TLS, which can then be told", () =>
    Effect.gen(function* () {
      const { begun, dial } = yield* listening
      const socket = yield* dial
      socket.write("{")
      yield* until(() => begun.length === 1)
      const long = yield* dial
      long.write(Buffer.from([0x16, 3, 1, 0xff, 0xff]))
      yield* until(() => begun.length === 2)
    })
  )

  it.scopedLive("begins one at a time, with a turn of the event loop in between", () =>
    Effect.gen(function* () {
      const { begun, dial } = yield* listening
      const sockets = yield* Effect.forEach(Array.from({ length: 30 }), () => dial)
      for (const [n, socket] of sockets.entries()) socket.write(record(10, n))
      yield* until(() => begun.length === 30)
      for (const [n, { at }] of begun.entries()) if (n > 0) assert.isAbove(at, begun[n - 1]?.at ?? Infinity)
      assert.sameMembers(
        begun.map(({ said }) => said.at(-1)),
        Array.from({ length: 30 }, (_, n) => n)
      )
    })
  )

  it.scopedLive("lets others go first while one may not begin", () =>
    Effect.gen(function* () {
      const { begun, dial, mayNot } = yield* listening
      const first = yield* dial
      const second = yield* dial
      mayNot.add(first.localPort)
      first.write(record(10, 1))
      yield* rounds(10)
      second.write(record(10, 2))
      yield* until(() => begun.length === 1)
      yield* rounds(10)
      mayNot.clear()
      yield* until(() => begun.length === 2)
      assert.deepStrictEqual(
        begun.map(({ said }) => said.at(-1)),
        [2, 1]
      )
    })
  )

  it.scopedLive(
    "begins with any bytes that are a record or can be none, gives them back, and waits for what may be one",
    () =>
      Effect.gen(function* () {
        const { begun, dial } = yield* listening
        const header = fc.tuple(
          fc.constantFrom(0x16, 0x16, 0x16, 0x15, 0x7b),
          fc.nat(255),
          fc.nat(255),
          fc.constantFrom(0, 0, 1, 64, 255),
          fc.nat(255)
        )
        const said = fc.oneof(
          fc.uint8Array({ minLength: 1, maxLength: 20 }),
          fc
            .tuple(header, fc.nat(900))
            .map(([first, rest]) => Uint8Array.from([...first, ...Array<number>(rest).fill(7)]))
        )
        const cases = fc.sample(fc.tuple(said, fc.nat(8), fc.nat(600)), { numRuns: 200, seed: 11 })
        for (const [bytes, first, second] of cases) {
          const before = begun.length
          const socket = yield* dial
          const cuts = [0, first, first + second, bytes.length].map((at) => Math.min(at, bytes.length))
          for (let n = 1; n < cuts.length; n++) {
            if (cuts[n]! > cuts[n - 1]!) socket.write(bytes.subarray(cuts[n - 1], cuts[n]))
            yield* rounds(1)
          }
          if (bytes.length >= wanted(bytes)) {
            yield* until(() => begun.length > before)
            const given = begun[before]?.said ?? Buffer.alloc(0)
            assert.isAtLeast(given.length, wanted(bytes))
            assert.deepStrictEqual(given, Buffer.from(bytes).subarray(0, given.length))
          } else {
            yield* rounds(5)
            assert.lengthOf(begun, before)
          }
          socket.destroy()
        }
      })
  )
})
