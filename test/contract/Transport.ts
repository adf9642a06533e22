/** What every transport promises (`src/Transport.ts`), tried on the one given. Called by the tests of each transport. */
import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import type * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import type { PeerAddress } from "../../src/PeerAddress.js"
import { type Link, type LinkReceiver, Transport } from "../../src/Transport.js"

// --- Helpers ---

export interface Recording {
  readonly chunks: Array<Uint8Array>
  readonly events: Array<"data" | "end" | "close">
  bytes: number
  cause: unknown
}

/** Attaches to a link and takes down all that happens on it. The receiver given is called after. */
export const record = (link: Link, receiver: Partial<LinkReceiver> = {}): Recording => {
  const recording: Recording = { chunks: [], events: [], bytes: 0, cause: undefined }
  link.attach({
    onData: (chunk) => {
      recording.chunks.push(chunk)
      recording.events.push("data")
      recording.bytes += chunk.length
      receiver.onData?.(chunk)
    },
    onEnd: () => {
      recording.events.push("end")
      receiver.onEnd?.()
    },
    onClose: (cause) => {
      recording.events.push("close")
      recording.cause = cause
      receiver.onClose?.(cause)
    }
  })
  return recording
}

/** What happened, bytes that came in several pieces counted as one. */
export const course = ({ events }: Recording): ReadonlyArray<string> =>
  events.filter((event, index) => event !== "data" || events[index - 1] !== "data")

/** Waits until it is so, one round of the event loop after the other. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    let round: NodeJS.Immediate | undefined = undefined
    const look = (): void => {
      if (condition()) resume(Effect.void)
      else round = setImmediate(look)
    }
    look()
    return Effect.sync(() => clearImmediate(round))
  })

/** Lets the event loop go round so often. */
export const rounds = (count: number): Effect.Effect<void> => {
  let left = count
  return until(() => left-- <= 0)
}

/** Waits until a number has not changed for 100 rounds of the event loop, and gives it. */
export const settled = (number: () => number): Effect.Effect<number> => {
  let last = Number.NaN
  let same = 0
  return Effect.map(
    until(() => {
      const now = number()
      same = now === last ? same + 1 : 0
      last = now
      return same >= 100
    }),
    () => last
  )
}

/** Writes and waits for the end of it: gives what `done` was called with. */
export const write = (link: Link, ...chunks: ReadonlyArray<Uint8Array>): Effect.Effect<unknown> =>
  Effect.async((resume) => link.write(chunks, (cause) => resume(Effect.succeed(cause))))

/** A part of an endless text in which every place tells its offset. */
export const text = (from: number, length: number): Uint8Array =>
  Uint8Array.from({ length }, (_, index) => ((from + index) * 7 + ((from + index) >> 8)) & 0xff)

/** Whether the chunks are that text from its beginning. */
export const assertText = (chunks: ReadonlyArray<Uint8Array>, length: number): void => {
  const all = Buffer.concat(chunks)
  assert.strictEqual(all.length, length)
  assert.isTrue(all.equals(text(0, length)), "the bytes are those written, in order")
}

// A context made after the flag is set has the garbage collector on call.
setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

/** Dials, and destroys the link in the end. */
export const dial = (address: PeerAddress) =>
  Effect.acquireRelease(
    Effect.flatMap(Transport, (transport) => transport.dial(address)),
    (link) => Effect.sync(() => link.destroy())
  )

/** Writes without end to a peer that does not read, until it is told that no more can be written. */
const flood = (link: Link) => {
  const state = { taken: 0, failure: undefined as unknown, calls: 0 }
  const more = (): void => {
    link.write([text(state.taken, 65_536)], (cause) => {
      state.calls++
      state.failure = cause
      if (cause !== undefined) return
      state.taken += 65_536
      more()
    })
  }
  more()
  return state
}

/** Whether all is over in peace. */
const peaceful = (recording: Recording): boolean => recording.events.at(-1) === "close" && recording.cause === undefined

const isClosed = (recording: Recording): boolean => recording.events.includes("close")

// --- The suite ---

export const transportContract = (
  name: string,
  options: {
    readonly layer: Layer.Layer<Transport>
    /** With port 0, at a host that can be dialed. */
    readonly listenAddress: PeerAddress
  }
): void => {
  const { layer, listenAddress } = options

  const listen = (onLink: (link: Link) => void) =>
    Effect.flatMap(Transport, (transport) => transport.listen(listenAddress, onLink))

  /** The two ends of a link, and whoever listens. */
  const connected = Effect.gen(function* () {
    const accepted = yield* Deferred.make<Link>()
    const listener = yield* listen((link) => Deferred.unsafeDone(accepted, Effect.succeed(link)))
    const near = yield* dial(listener.address)
    const far = yield* Deferred.await(accepted)
    return { near, far, listener }
  })

  const test = (sentence: string, body: () => Effect.Effect<void, unknown, Transport | Scope.Scope>): void =>
    it.scopedLive(sentence, () => Effect.provide(body(), layer))

  describe(`${name} keeps the promises of a transport`, () => {
    describe("addresses", () => {
      test("listening at port 0 gives the real port, and both ends see each other's address", () =>
        Effect.gen(function* () {
          const { far, listener, near } = yield* connected
          assert.strictEqual(listener.address.host, listenAddress.host)
          assert.isAbove(listener.address.port, 0)
          assert.deepStrictEqual(near.remote, listener.address)
          assert.deepStrictEqual(far.local, listener.address)
          assert.deepStrictEqual(far.remote, near.local)
          assert.notDeepEqual(near.local, near.remote)
        }))

      test("two listeners at port 0 get different ports", () =>
        Effect.gen(function* () {
          const one = yield* listen(() => {})
          const other = yield* listen(() => {})
          assert.notStrictEqual(one.address.port, other.address.port)
        }))

      test("an address in use is not given twice", () =>
        Effect.gen(function* () {
          const transport = yield* Transport
          const { address } = yield* listen(() => {})
          const error = yield* Effect.flip(transport.listen(address, () => {}))
          assert.strictEqual(error._tag, "ListenFailed")
          assert.strictEqual(error.reason, "AddressInUse")
          assert.deepStrictEqual(error.address, address)
        }))

      test("an address that nobody listens at refuses", () =>
        Effect.gen(function* () {
          const { address } = yield* Effect.scoped(listen(() => {}))
          const error = yield* Effect.flip(dial(address))
          assert.strictEqual(error._tag, "DialRefused")
          assert.deepStrictEqual(error.address, address)
        }))

      test("an address literal resolves to itself", () =>
        Effect.gen(function* () {
          const transport = yield* Transport
          assert.deepStrictEqual(yield* transport.resolve(listenAddress), [listenAddress])
        }))
    })

    describe("bytes", () => {
      test("arrive whole and in order both ways, however they are cut, and each write is told of once and in turn", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const heard = [record(near), record(far)]
          const lengths = [1, 0, 4, 128, 5_000, 3, 70_000, 1, 200_000, 16]
          const told: Array<Array<number>> = [[], []]
          let sent = 0
          for (let turn = 0; turn < 10; turn++) {
            let from = sent
            const chunks = lengths.slice(0, turn + 1).map((length) => {
              const chunk = text(from, length)
              from += length
              return chunk
            })
            sent = from
            for (const [index, link] of [near, far].entries()) {
              link.write(chunks, (cause) => {
                assert.isUndefined(cause)
                told[index]?.push(turn)
              })
            }
          }
          yield* until(() => heard.every(({ bytes }) => bytes === sent))
          yield* until(() => told.every((turns) => turns.length === 10))
          for (const { chunks } of heard) assertText(chunks, sent)
          for (const turns of told) assert.deepStrictEqual(turns, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
        }))

      test("are the receiver's to keep, and the writer's to change once the write is done", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const heard = record(far)
          const chunk = new Uint8Array(1_000)
          for (let turn = 0; turn < 50; turn++) {
            chunk.set(text(turn * 1_000, 1_000))
            assert.isUndefined(yield* write(near, chunk))
            chunk.fill(0)
          }
          yield* until(() => heard.bytes === 50_000)
          assertText(heard.chunks, 50_000)
        }))

      test("writing nothing is done as well", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const heard = record(far)
          assert.isUndefined(yield* write(near))
          assert.isUndefined(yield* write(near, new Uint8Array(0)))
          assert.isUndefined(yield* write(near, text(0, 3), new Uint8Array(0)))
          yield* until(() => heard.bytes === 3)
          assertText(heard.chunks, 3)
        }))

      test("wait for who is not attached yet, and so do the end and the close behind them", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const sender = record(near)
          assert.isUndefined(yield* write(near, text(0, 4_000)))
          near.end()
          yield* rounds(20)
          const heard = record(far)
          yield* until(() => heard.events.includes("end"))
          assertText(heard.chunks, 4_000)
          far.end()
          yield* until(() => peaceful(heard) && peaceful(sender))
        }))

      test("are handed over while the receiver writes, pauses and resumes, never from within a call of the link's methods", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          let inside = 0
          const broken: Array<string> = []
          const call = (method: () => void): void => {
            inside++
            method()
            inside--
          }
          const told = (what: string): void => {
            if (inside > 0) broken.push(what)
          }
          const receiver = (link: Link): LinkReceiver => ({
            onData: (chunk) => {
              told("onData")
              call(() => {
                link.pause()
                if (link === far) link.write([chunk], () => told("done"))
                link.resume()
              })
            },
            onEnd: () => {
              told("onEnd")
              call(() => link.end())
            },
            onClose: () => {
              told("onClose")
              closed++
            }
          })
          let closed = 0
          call(() => near.write([text(0, 100_000)], () => told("done")))
          call(() => far.attach(receiver(far)))
          call(() => near.attach(receiver(near)))
          call(() => near.write([text(0, 1)], () => told("done")))
          call(() => near.end())
          call(() => near.write([text(0, 1)], () => told("done after end")))
          yield* until(() => closed === 2)
          call(() => near.write([text(0, 1)], () => told("done after close")))
          call(() => near.destroy())
          yield* rounds(5)
          assert.deepStrictEqual(broken, [])
        }))
    })

    describe("back-pressure", () => {
      test("a receiver that pauses gets no more than one chunk, and the rest on resuming", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          let pausing = true
          const heard = record(far, {
            onData: () => {
              if (pausing) far.pause()
            }
          })
          const total = 500_000
          let done = false
          near.write([text(0, total)], () => {
            done = true
          })
          for (let seen = 0; seen < 20 && heard.bytes < total; far.resume()) {
            yield* until(() => heard.chunks.length > seen)
            yield* rounds(5)
            assert.isAtMost(heard.chunks.length, seen + 2)
            seen = heard.chunks.length
          }
          pausing = false
          far.resume()
          yield* until(() => heard.bytes === total)
          assertText(heard.chunks, total)
          yield* until(() => done)
        }))

      test("a link paused before it is attached reads nothing until it is resumed", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          far.pause()
          const heard = record(far)
          yield* write(near, text(0, 1_000))
          yield* rounds(20)
          assert.deepStrictEqual(course(heard), [])
          far.resume()
          yield* until(() => heard.bytes === 1_000)
        }))

      test("a peer that does not read holds up its own writer only, who is told when the link is destroyed", () =>
        Effect.gen(function* () {
          const links: Array<Link> = []
          const { address } = yield* listen((link) => links.push(link))
          const slow = yield* dial(address)
          yield* until(() => links.length === 1)
          const quick = yield* dial(address)
          yield* until(() => links.length === 2)
          const [, quickFar] = links as [Link, Link]
          const closed = record(slow)
          const state = flood(slow)
          const taken = yield* settled(() => state.taken)
          const heard = record(quickFar)
          assert.isUndefined(yield* write(quick, text(0, 10_000)))
          yield* until(() => heard.bytes === 10_000)
          const calls = state.calls
          assert.strictEqual(state.taken, taken)
          slow.destroy("enough")
          yield* until(() => state.calls > calls)
          yield* until(() => isClosed(closed))
          yield* rounds(20)
          assert.strictEqual(state.calls, calls + 1)
          assert.strictEqual(state.failure, "enough")
          assert.strictEqual(closed.cause, "enough")
        }))
    })

    describe("ending", () => {
      test("either end may go on after the other has ended, and both close in peace when both have", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const nearHeard = record(near)
          const farHeard = record(far)
          yield* write(near, text(0, 1_000))
          near.end()
          near.end()
          yield* until(() => farHeard.events.includes("end"))
          assertText(farHeard.chunks, 1_000)
          assert.isUndefined(yield* write(far, text(0, 300_000)))
          yield* until(() => nearHeard.bytes === 300_000)
          assert.notInclude(nearHeard.events, "end")
          assert.isFalse(isClosed(farHeard))
          far.end()
          yield* until(() => isClosed(nearHeard) && isClosed(farHeard))
          assertText(nearHeard.chunks, 300_000)
          assert.isUndefined(nearHeard.cause)
          assert.isUndefined(farHeard.cause)
          assert.deepStrictEqual(course(nearHeard).slice(-2), ["end", "close"])
          assert.deepStrictEqual(course(farHeard).slice(-2), ["end", "close"])
        }))

      test("what is written before the end arrives though input is left unread", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          assert.isUndefined(yield* write(far, text(0, 4_000)))
          near.write([text(0, 400_000)], () => {})
          near.end()
          const heard = record(far)
          yield* until(() => heard.events.includes("end"))
          assertText(heard.chunks, 400_000)
          assert.isFalse(isClosed(heard))
          const late = record(near)
          yield* until(() => late.bytes === 4_000)
        }))

      test("a write on an ended link is told so once, and the link goes on reading", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const heard = record(near)
          near.end()
          let calls = 0
          let within = true
          let cause: unknown = undefined
          near.write([text(0, 10)], (reason) => {
            calls++
            cause = reason
            assert.isFalse(within)
          })
          within = false
          yield* until(() => calls > 0)
          assert.isDefined(cause)
          assert.isUndefined(yield* write(far, text(0, 10)))
          yield* until(() => heard.bytes === 10)
          assert.deepStrictEqual(course(heard), ["data"])
          assert.strictEqual(calls, 1)
        }))
    })

    describe("destroying", () => {
      test("closes once with the cause given, and the other end learns of it", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const nearHeard = record(near)
          const farHeard = record(far)
          yield* write(far, text(0, 10))
          yield* until(() => nearHeard.bytes === 10)
          near.destroy("the cause")
          assert.deepStrictEqual(course(nearHeard), ["data"])
          near.destroy("another")
          yield* until(() => isClosed(nearHeard))
          near.destroy("a third")
          yield* until(() => farHeard.events.length > 0)
          far.end()
          yield* until(() => isClosed(farHeard))
          yield* rounds(10)
          assert.deepStrictEqual(course(nearHeard), ["data", "close"])
          assert.strictEqual(nearHeard.cause, "the cause")
          assert.strictEqual(farHeard.events.filter((event) => event === "close").length, 1)
          assert.strictEqual(farHeard.events.at(-1), "close")
        }))

      test("without a cause closes without one", () =>
        Effect.gen(function* () {
          const { near } = yield* connected
          const heard = record(near)
          near.destroy()
          yield* until(() => isClosed(heard))
          assert.isUndefined(heard.cause)
          assert.deepStrictEqual(course(heard), ["close"])
        }))

      test("what is written to a destroyed or closed link is told so, once for each write", () =>
        Effect.gen(function* () {
          const { near } = yield* connected
          const heard = record(near)
          const causes: Array<unknown> = []
          near.destroy("gone")
          near.write([text(0, 10)], (cause) => causes.push(cause))
          near.write([text(0, 10), text(0, 10)], (cause) => causes.push(cause))
          near.write([], (cause) => causes.push(cause))
          yield* until(() => isClosed(heard))
          near.write([text(0, 10)], (cause) => causes.push(cause))
          yield* until(() => causes.length >= 4)
          yield* rounds(5)
          assert.deepStrictEqual(causes, ["gone", "gone", "gone", "gone"])
        }))

      test("a link destroyed before it is attached tells its receiver so, once, later", () =>
        Effect.gen(function* () {
          const { near } = yield* connected
          near.destroy("early")
          yield* rounds(20)
          const heard = record(near)
          assert.deepStrictEqual(course(heard), [])
          yield* until(() => isClosed(heard))
          yield* rounds(5)
          assert.deepStrictEqual(course(heard), ["close"])
          assert.strictEqual(heard.cause, "early")
        }))

      test("a link that the other end destroys before it is attached tells its receiver so", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          near.destroy()
          yield* rounds(20)
          const heard = record(far)
          yield* until(() => heard.events.length > 0)
          far.end()
          yield* until(() => isClosed(heard))
        }))

      test("after the end of all that was to be said does not take it back", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          record(near)
          assert.isUndefined(yield* write(near, text(0, 4_000)))
          near.end()
          yield* rounds(5)
          near.destroy()
          yield* rounds(20)
          const heard = record(far)
          yield* until(() => heard.events.includes("end"))
          assertText(heard.chunks, 4_000)
          far.end()
          yield* until(() => isClosed(heard))
        }))

      test("a paused link closes as well", () =>
        Effect.gen(function* () {
          const { far, near } = yield* connected
          const heard = record(far, { onData: () => far.pause() })
          near.write([text(0, 500_000)], () => {})
          yield* until(() => heard.bytes > 0)
          const { bytes } = heard
          far.destroy("paused")
          yield* until(() => isClosed(heard))
          assert.strictEqual(heard.bytes, bytes)
          assert.strictEqual(heard.cause, "paused")
        }))
    })

    describe("receivers that throw", () => {
      for (const method of ["onData", "onEnd"] as const) {
        test(`${method}: the link is destroyed with what was thrown, and no other is`, () =>
          Effect.gen(function* () {
            const links: Array<Link> = []
            const { address } = yield* listen((link) => links.push(link))
            const bad = yield* dial(address)
            yield* until(() => links.length === 1)
            const good = yield* dial(address)
            yield* until(() => links.length === 2)
            const [badFar, goodFar] = links as [Link, Link]
            const fault = new Error("a fault of the receiver")
            const heard = record(badFar, {
              [method]: () => {
                throw fault
              }
            })
            const others = record(goodFar)
            const dialer = record(bad)
            bad.write([text(0, 100_000)], () => {})
            bad.end()
            yield* until(() => isClosed(heard))
            assert.strictEqual(heard.cause, fault)
            assert.deepStrictEqual(course(heard).slice(-2), [method === "onData" ? "data" : "end", "close"])
            yield* until(() => dialer.events.length > 0)
            assert.isUndefined(yield* write(good, text(0, 1_000)))
            yield* until(() => others.bytes === 1_000)
          }))
      }

      test("a throw when a link is accepted destroys that link only", () =>
        Effect.gen(function* () {
          const links: Array<Link> = []
          const { address } = yield* listen((link) => {
            links.push(link)
            if (links.length === 1) throw new Error("not this one")
          })
          // It may end so early that the dial itself is told.
          const bad = yield* Effect.either(dial(address))
          if (Either.isRight(bad)) {
            const dialer = record(bad.right)
            yield* until(() => dialer.events.length > 0)
          }
          const good = yield* dial(address)
          yield* until(() => links.length === 2)
          const [, goodFar] = links as [Link, Link]
          const heard = record(goodFar)
          yield* write(good, text(0, 10))
          yield* until(() => heard.bytes === 10)
        }))

      test("a throw when a write is done destroys that link only", () =>
        Effect.gen(function* () {
          const { near } = yield* connected
          const heard = record(near)
          const fault = new Error("a fault of the writer")
          near.write([text(0, 10)], () => {
            throw fault
          })
          yield* until(() => isClosed(heard))
          assert.strictEqual(heard.cause, fault)
        }))
    })

    describe("listening", () => {
      test("closing its scope returns with idle and non-reading peers connected, and destroys their links", () =>
        Effect.gen(function* () {
          const links: Array<Link> = []
          const scope = yield* Scope.make()
          const { address } = yield* Scope.extend(
            listen((link) => links.push(link)),
            scope
          )
          const dialed: Array<Link> = []
          for (let count = 1; count <= 3; count++) {
            dialed.push(yield* dial(address))
            yield* until(() => links.length === count)
          }
          const [idle, reading] = dialed as [Link, Link, Link]
          const [, , flooding] = links as [Link, Link, Link]
          const heard = links.map((link) => record(link))
          const peers = [record(idle), record(reading)]
          const state = flood(flooding)
          yield* settled(() => state.taken)

          yield* Scope.close(scope, Exit.void)
          yield* until(() => heard.every(isClosed))
          for (const { cause } of heard) assert.isDefined(cause)
          yield* until(() => state.failure !== undefined)
          yield* until(() => peers.every(({ events }) => events.length > 0))
          assert.strictEqual((yield* Effect.flip(dial(address)))._tag, "DialRefused")
          const again = yield* Effect.flatMap(Transport, (transport) => transport.listen(address, () => {}))
          assert.deepStrictEqual(again.address, address)
        }))

      test("to stop accepting refuses new links and leaves the others alone", () =>
        Effect.gen(function* () {
          const { far, listener, near } = yield* connected
          const heard = [record(near), record(far)]
          yield* listener.stopAccepting
          yield* listener.stopAccepting
          assert.strictEqual((yield* Effect.flip(dial(listener.address)))._tag, "DialRefused")
          assert.isUndefined(yield* write(near, text(0, 5_000)))
          assert.isUndefined(yield* write(far, text(0, 5_000)))
          yield* until(() => heard.every(({ bytes }) => bytes === 5_000))
          assert.isFalse(heard.some(isClosed))
        }))

      test("forgets the links that are over", () =>
        Effect.gen(function* () {
          const links: Array<WeakRef<Link>> = []
          let closed = 0
          const { address } = yield* listen((link) => {
            links.push(new WeakRef(link))
            link.attach({ onData: () => {}, onEnd: () => link.end(), onClose: () => closed++ })
          })
          for (let count = 0; count < 20; count++) {
            yield* Effect.scoped(Effect.map(dial(address), (link) => record(link)))
          }
          yield* until(() => closed === links.length && closed > 10)
          yield* until(() => {
            collectGarbage()
            return links.filter((link) => link.deref() !== undefined).length < 5
          })
        }))

      test("closing its scope leaves the links of other listeners alone", () =>
        Effect.gen(function* () {
          const scope = yield* Scope.make()
          const first = yield* Scope.extend(
            listen((link) => record(link)),
            scope
          )
          const { near } = yield* connected
          const kept = record(near)
          const lost = record(yield* dial(first.address))
          yield* Scope.close(scope, Exit.void)
          yield* until(() => lost.events.length > 0)
          yield* rounds(20)
          assert.deepStrictEqual(course(kept), [])
        }))
    })

    describe("dialing", () => {
      test("abandoned at any moment, leaves no link behind", () =>
        Effect.gen(function* () {
          const transport = yield* Transport
          const accepted: Array<Recording> = []
          const { address } = yield* listen((link) => accepted.push(record(link, { onEnd: () => link.end() })))
          const kept: Array<Link> = []
          for (let turns = 0; turns < 30; turns++) {
            const fiber = yield* Effect.fork(transport.dial(address))
            yield* turns % 3 === 0
              ? rounds(turns / 3)
              : turns % 3 === 1
                ? Effect.yieldNow()
                : Effect.promise(async () => {})
            const exit = yield* Fiber.interrupt(fiber)
            if (Exit.isSuccess(exit)) kept.push(exit.value)
          }
          const last = yield* dial(address)
          const heard = record(last)
          yield* until(() => accepted.length > 0 && accepted.filter((one) => !isClosed(one)).length <= kept.length + 1)
          assert.strictEqual(accepted.filter((one) => !isClosed(one)).length, kept.length + 1)
          assert.deepStrictEqual(course(heard), [])
          for (const link of kept) link.destroy()
        }))

      test("many links at once are all kept apart", () =>
        Effect.gen(function* () {
          const { address } = yield* listen((link) => {
            link.attach({
              onData: (chunk) => link.write([chunk], () => {}),
              onEnd: () => link.end(),
              onClose: () => {}
            })
          })
          yield* Effect.forEach(
            Array.from({ length: 50 }, (_, index) => index),
            (index) =>
              Effect.gen(function* () {
                const link = yield* dial(address)
                const heard = record(link)
                link.write([text(index, 1_000)], () => {})
                link.end()
                yield* until(() => isClosed(heard))
                assert.isUndefined(heard.cause)
                assert.deepStrictEqual(Buffer.concat(heard.chunks), Buffer.from(text(index, 1_000)))
              }),
            { concurrency: 50 }
          )
        }))
    })
  })
}
