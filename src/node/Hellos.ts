/**
 * Sockets whose other end is to begin a TLS handshake. Each is read, and nothing else is done for it, until a whole first
 * record is there: who says nothing, or half of it, costs a socket and no more. Then it waits for its turn: handshakes
 * are begun one at a time, with a turn of the event loop in between, and take a share of the time at most, so that those
 * who are connected already are served meanwhile.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type * as Net from "node:net"
import { nextTick } from "node:process"
import { TimeShare } from "../internal/TimeShare.js"

/** The part of the time in which handshakes are begun, while more of them wait than that allows. */
const share = 0.25

/** Milliseconds of that work that may be done at once. */
const mostAtOnce = 50

/** Milliseconds until it is looked again where all who wait are of addresses that have enough under way. */
const roomAgain = 5

const headerBytes = 5
const handshakeType = 0x16
const maxRecordBytes = 16_384

/**
 * The most that TLS is given of it at once. What fills the kilobyte that Node has for what comes in makes it get another
 * 16 KiB, which the connection then keeps for as long as it lasts; and a hello is longer where the two ends can agree on
 * a key that no quantum computer breaks.
 */
const pieceBytes = 1_000

/** How long the first record is, or what there is of it where that is no TLS: OpenSSL will say so at no cost. */
const lengthOf = (bytes: Buffer): number => {
  if (bytes[0] !== handshakeType) return 1
  if (bytes.length < headerBytes) return headerBytes
  const length = bytes.readUInt16BE(3)
  return length > maxRecordBytes ? headerBytes : headerBytes + length
}

/**
 * Reads a socket, and calls `isThere` when its first record is. It goes on reading, as the end of the connection would not
 * be noticed otherwise, until the function returned is called: the socket is then as if nothing had been read.
 */
const readHello = (socket: Net.Socket, isThere: () => void): (() => void) => {
  const chunks: Array<Buffer> = []
  let size = 0
  let wanted = 1
  const take = (chunk: Buffer): void => {
    const before = size
    chunks.push(chunk)
    size += chunk.length
    if (before < wanted && size >= wanted) {
      wanted = lengthOf(before === 0 ? chunk : Buffer.concat(chunks))
      if (size >= wanted) isThere()
    }
    // Nobody has more to say before an answer.
    if (size > headerBytes + 2 * maxRecordBytes) socket.pause()
  }
  socket.on("data", take).resume()
  return () => {
    socket.off("data", take).pause()
    // However it was cut: each piece costs a call of OpenSSL.
    const all = chunks.length > 1 ? Buffer.concat(chunks) : (chunks[0] ?? Buffer.alloc(0))
    const last = Math.max(0, Math.ceil(all.length / pieceBytes) - 1)
    for (let n = last; n >= 0; n--) socket.unshift(all.subarray(n * pieceBytes, (n + 1) * pieceBytes))
  }
}

/** Lets the event loop go round once. */
const turn: Effect.Effect<void> = Effect.async((resume) => {
  const immediate = setImmediate(() => resume(Effect.void))
  return Effect.sync(() => clearImmediate(immediate))
})

/**
 * Takes sockets that have not been read yet, and hands each to `begin` when it is its turn; those that are gone by then
 * are left out, and those that may not begin yet let others go first. Scope: begins no more.
 */
export const make = (
  begin: (socket: Net.Socket) => void,
  mayBegin: (socket: Net.Socket) => boolean = () => true
): Effect.Effect<(socket: Net.Socket) => void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const clock = yield* Effect.clock
    const now = (): number => Number(clock.unsafeCurrentTimeNanos()) / 1e6
    const time = new TimeShare(share, mostAtOnce, now())
    /** Those whose hello is there, in the order in which it came, and what gives it back. */
    const waiting = new Map<Net.Socket, () => void>()
    const some = yield* Effect.makeLatch(false)

    const forget = function (this: Net.Socket): void {
      waiting.delete(this)
    }

    /** Node begins with what was read in the next tick, and answers a whole hello within it. */
    const beginOne = (socket: Net.Socket, giveBack: () => void): Effect.Effect<void> =>
      Effect.async((resume) => {
        const begun = now()
        waiting.delete(socket)
        socket.off("close", forget)
        giveBack()
        // A socket that flows gives one piece at a time, any other all that it has.
        nextTick(() => socket.resume())
        begin(socket)
        nextTick(() => {
          socket.pause()
          const done = now()
          time.spend(done - begun, done)
          resume(Effect.void)
        })
      })

    const first = (): readonly [Net.Socket, () => void] | undefined => {
      for (const entry of waiting) if (mayBegin(entry[0])) return entry
      return undefined
    }

    const serve = Effect.gen(function* () {
      if (waiting.size === 0) {
        some.unsafeClose()
        return yield* some.await
      }
      const wait = time.wait(now())
      if (wait > 0) return yield* Effect.sleep(wait)
      const next = first()
      if (next === undefined) return yield* Effect.sleep(roomAgain)
      yield* beginOne(...next)
      yield* turn
    })
    yield* Effect.forever(serve).pipe(Effect.interruptible, Effect.forkScoped)

    return (socket) => {
      // Who ends the connection before its handshake is done would not be noticed otherwise.
      socket.allowHalfOpen = false
      socket.on("close", forget)
      const giveBack = readHello(socket, () => {
        waiting.set(socket, giveBack)
        some.unsafeOpen()
      })
    }
  })
