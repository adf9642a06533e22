import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import * as P2PNetworkMemory from "../../src/testing/P2PNetworkMemory.js"
import { type Link, Transport } from "../../src/Transport.js"
import { transportContract } from "../contract/Transport.js"
import { assertText, dial, record, rounds, text, until, write } from "../utils/links.js"

const silentAddress = PeerAddress.make("memory-9", 9_470)

/** A transport of a network with a host that answers nothing. */
const withSilence = (options: MemoryTransport.LinkOptions = {}): Layer.Layer<Transport> =>
  Layer.effect(
    Transport,
    Effect.suspend(() => {
      const network = MemoryTransport.makeNetwork(options)
      return Effect.as(network.silence(silentAddress.host), network.transport())
    })
  )

transportContract("MemoryTransport", withSilence(), { silentAddress })

transportContract(
  "MemoryTransport with small buffers and bytes cut at random",
  Layer.suspend(() => withSilence({ capacity: 5_000, cut: MemoryTransport.seededCut(7) })),
  { silentAddress, address: PeerAddress.make("memory-1", 0) }
)

class Five extends Context.Tag("test/Five")<Five, Transport["Type"]>() {}
class Six extends Context.Tag("test/Six")<Six, Transport["Type"]>() {}

const at = (host: string, port: number): PeerAddress.PeerAddress => PeerAddress.make(host, port)

const on = (network: MemoryTransport.MemoryNetwork["Type"], host?: string): Layer.Layer<Transport> =>
  Layer.succeed(Transport, network.transport(host))

const listen = (address: PeerAddress.PeerAddress, onLink: (link: Link) => void = () => {}) =>
  Effect.flatMap(Transport, (transport) => transport.listen(address, onLink))

const cuts = (seed: number): ReadonlyArray<number> => {
  const cut = MemoryTransport.seededCut(seed)
  return Array.from({ length: 200 }, () => cut(1_000))
}

describe("makePair", () => {
  it.effect("joins two ends that see each other, at made-up addresses unless given", () =>
    Effect.sync(() => {
      const [one, other] = MemoryTransport.makePair()
      assert.deepStrictEqual(one.remote, other.local)
      assert.deepStrictEqual(other.remote, one.local)
      assert.notDeepEqual(one.local, other.local)
      const addresses = [PeerAddress.make("10.0.0.5", 1), PeerAddress.make("10.0.0.6", 2)] as const
      const [five, six] = MemoryTransport.makePair({ addresses })
      assert.deepStrictEqual([five.local, five.remote], [...addresses])
      assert.deepStrictEqual([six.remote, six.local], [...addresses])
    })
  )

  it.live("hands over without a clock and without the event loop", () =>
    Effect.gen(function* () {
      yield* Effect.sleep(1)
      const [one, other] = MemoryTransport.makePair()
      const heard = record(other)
      one.write([text(0, 10), text(10, 10)], () => {})
      one.end()
      other.end()
      assert.deepStrictEqual(heard.events, [])
      yield* Effect.promise(async () => {
        for (let turn = 0; turn < 10; turn++) await Promise.resolve()
      })
      assert.deepStrictEqual(heard.events, ["data", "end", "close"])
      assertText(heard.chunks, 20)
      assert.isUndefined(heard.cause)
    })
  )

  it.effect("takes exactly the capacity for an end that does not read, and not a byte more", () =>
    Effect.gen(function* () {
      for (const paused of [false, true]) {
        const [one, other] = MemoryTransport.makePair({ capacity: 1_000 })
        if (paused) {
          other.pause()
          record(other)
        }
        const done: Array<string> = []
        one.write([text(0, 600)], () => done.push("600"))
        one.write([text(600, 300), text(900, 100)], () => done.push("1000"))
        one.write([text(1_000, 1)], () => done.push("1001"))
        yield* rounds(5)
        assert.deepStrictEqual(done, ["600", "1000"])
        if (paused) other.resume()
        else record(other)
        yield* rounds(5)
        assert.deepStrictEqual(done, ["600", "1000", "1001"])
      }
    })
  )

  it.effect("holds 64 KiB unless told otherwise", () =>
    Effect.gen(function* () {
      const [one] = MemoryTransport.makePair()
      const done: Array<number> = []
      one.write([text(0, 65_536)], () => done.push(65_536))
      one.write([text(0, 1)], () => done.push(1))
      yield* rounds(5)
      assert.deepStrictEqual(done, [65_536])
    })
  )

  it.effect("a destroyed end takes what was under way with it", () =>
    Effect.gen(function* () {
      const [one, other] = MemoryTransport.makePair()
      assert.isUndefined(yield* write(one, text(0, 100)))
      one.destroy()
      const heard = record(other)
      yield* rounds(5)
      assert.deepStrictEqual(heard.events, ["close"])
      assert.match(String(heard.cause), /reset/)
    })
  )

  it.effect("an end destroyed with input unread resets, though it has ended", () =>
    Effect.gen(function* () {
      const [one, other] = MemoryTransport.makePair()
      assert.isUndefined(yield* write(one, text(0, 100)))
      assert.isUndefined(yield* write(other, text(0, 100)))
      one.end()
      yield* rounds(5)
      one.destroy()
      const heard = record(other)
      yield* rounds(5)
      assert.deepStrictEqual(heard.events, ["close"])
      assert.isDefined(heard.cause)
    })
  )

  it.effect("an end destroyed after all was said is noticed by who writes to it", () =>
    Effect.gen(function* () {
      const [one, other] = MemoryTransport.makePair()
      const heard = record(other)
      assert.isUndefined(yield* write(one, text(0, 100)))
      one.end()
      yield* rounds(5)
      one.destroy()
      yield* rounds(5)
      assert.deepStrictEqual(heard.events, ["data", "end"])
      const cause = yield* write(other, text(0, 1))
      assert.match(String(cause), /reset/)
      yield* rounds(5)
      assert.deepStrictEqual(heard.events, ["data", "end", "close"])
      assert.strictEqual(heard.cause, cause)
    })
  )

  it.effect("a cut that throws destroys its link only", () =>
    Effect.gen(function* () {
      const fault = new Error("a fault of the cut")
      const [one, other] = MemoryTransport.makePair({
        cut: () => {
          throw fault
        }
      })
      const [good, far] = MemoryTransport.makePair()
      const heard = record(other)
      const others = record(far)
      one.write([text(0, 10)], () => {})
      good.write([text(0, 10)], () => {})
      yield* rounds(5)
      assert.deepStrictEqual(heard.events, ["close"])
      assert.strictEqual(heard.cause, fault)
      assert.deepStrictEqual(others.events, ["data"])
    })
  )

  it.live("two ends that answer each other for ever leave the event loop its rounds", () =>
    Effect.gen(function* () {
      const [one, other] = MemoryTransport.makePair()
      let bounces = 0
      for (const link of [one, other]) {
        record(link, {
          onData: () => {
            bounces++
            link.write([text(0, 1)], () => {})
          }
        })
      }
      one.write([text(0, 1)], () => {})
      yield* rounds(5)
      yield* Effect.sleep("1 millis")
      assert.isAbove(bounces, 1_000)
      one.destroy()
    })
  )

  it.effect("takes the same course each time", () =>
    Effect.gen(function* () {
      const course = Effect.gen(function* () {
        const log: Array<string> = []
        const cut = MemoryTransport.seededCut(42)
        const pairs = [MemoryTransport.makePair({ cut }), MemoryTransport.makePair({ cut, capacity: 300 })]
        for (const [index, ends] of pairs.entries()) {
          for (const [side, link] of ends.entries()) {
            const name = `${index}${side}`
            link.attach({
              onData: (chunk) => log.push(`${name} data ${chunk.length}`),
              onEnd: () => log.push(`${name} end`),
              onClose: () => log.push(`${name} close`)
            })
            link.write([text(0, 1_000)], () => log.push(`${name} done`))
            link.end()
          }
        }
        yield* until(() => log.filter((line) => line.endsWith("close")).length === 4)
        return log
      })
      const first = yield* course
      assert.isAbove(first.length, 20)
      assert.deepStrictEqual(yield* course, first)
    })
  )

  it("carries any bytes in any pieces through a buffer of any size", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.array(fc.integer({ min: 0, max: 400 }), { maxLength: 5 }), { maxLength: 8 }),
        fc.integer({ min: 1, max: 500 }),
        fc.integer(),
        fc.array(fc.boolean(), { maxLength: 20 }),
        async (writes, capacity, seed, pauses) => {
          const [one, other] = MemoryTransport.makePair({ capacity, cut: MemoryTransport.seededCut(seed) })
          let pieces = 0
          const heard = record(other, {
            onData: (chunk) => {
              assert.isAtLeast(chunk.length, 1)
              assert.isAtMost(chunk.length, capacity)
              if (pauses[pieces++] !== true) return
              other.pause()
              queueMicrotask(() => other.resume())
            },
            onEnd: () => other.end()
          })
          record(one)
          const told: Array<number> = []
          let sent = 0
          for (const [index, lengths] of writes.entries()) {
            const chunks = lengths.map((length) => {
              sent += length
              return text(sent - length, length)
            })
            one.write(chunks, (cause) => {
              assert.isUndefined(cause)
              told.push(index)
            })
          }
          one.end()
          await Effect.runPromise(until(() => heard.events.includes("close")))
          assertText(heard.chunks, sent)
          assert.deepStrictEqual(told, [...writes.keys()])
          assert.isUndefined(heard.cause)
        }
      ),
      { numRuns: 60 }
    )
  })
})

describe("seededCut", () => {
  it("gives from one byte to all of them, the same for the same seed, others for another", () => {
    fc.assert(
      fc.property(fc.integer(), fc.array(fc.integer({ min: 1, max: 100_000 }), { minLength: 1 }), (seed, sizes) => {
        const one = MemoryTransport.seededCut(seed)
        const other = MemoryTransport.seededCut(seed)
        for (const bytes of sizes) {
          const cut = one(bytes)
          assert.isAtLeast(cut, 1)
          assert.isTrue(Number.isInteger(cut))
          assert.strictEqual(other(bytes), cut)
        }
      }),
      { numRuns: 100 }
    )
    assert.notDeepEqual(cuts(1), cuts(2))
    assert.include(cuts(1), 1)
    assert.isTrue(
      cuts(1).some((cut) => cut >= 1_000),
      "all of it at once, now and then"
    )
    assert.isTrue(cuts(1).some((cut) => cut > 1 && cut < 1_000))
  })
})

describe("MemoryNetwork", () => {
  it.scoped("joins transports that are built apart, each seen at its own host", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      const links: Array<Link> = []
      yield* Effect.provide(
        listen(at("10.0.0.5", 9_470), (link) => links.push(link)),
        on(network, "10.0.0.5")
      )
      const near = yield* Effect.provide(dial(at("10.0.0.5", 9_470)), on(network, "10.0.0.6"))
      assert.strictEqual(near.local.host, "10.0.0.6")
      assert.deepStrictEqual(near.remote, at("10.0.0.5", 9_470))
      assert.deepStrictEqual(links[0]?.remote, near.local)
      assert.deepStrictEqual(links[0]?.local, near.remote)
    })
  )

  it.scoped("shows a transport without a host at the one it listens at", () =>
    Effect.gen(function* () {
      const links: Array<Link> = []
      yield* listen(at("memory-1", 9_470), (link) => links.push(link))
      yield* dial(at("memory-1", 9_470))
      assert.strictEqual(links[0]?.remote.host, "memory-1")
    }).pipe(Effect.provide(MemoryTransport.layer))
  )

  it.scoped("an unspecified host is the transport's own, or any", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      const five = yield* Effect.provide(listen(at("0.0.0.0", 9_470)), on(network, "10.0.0.5"))
      assert.deepStrictEqual(five.address, at("0.0.0.0", 9_470))
      yield* Effect.provide(listen(at("::", 9_470)), on(network, "10.0.0.6"))
      const taken = yield* Effect.flip(Effect.provide(listen(at("10.0.0.6", 9_470)), on(network)))
      assert.strictEqual(taken.reason, "AddressInUse")
      for (const host of ["10.0.0.5", "10.0.0.6"]) yield* Effect.provide(dial(at(host, 9_470)), on(network))
      const refused = yield* Effect.flip(Effect.provide(dial(at("10.0.0.7", 9_470)), on(network)))
      assert.strictEqual(refused._tag, "DialRefused")
      yield* Effect.provide(listen(at("", 9_470)), on(network))
      yield* Effect.provide(dial(at("10.0.0.7", 9_470)), on(network))
    })
  )

  it.scoped("a listener that was stopped leaves its address to others for good", () =>
    Effect.gen(function* () {
      const first = yield* listen(at("memory-1", 9_470))
      yield* first.stopAccepting
      yield* listen(at("memory-1", 9_470))
      yield* first.stopAccepting
      yield* dial(at("memory-1", 9_470))
    }).pipe(Effect.provide(MemoryTransport.layer))
  )

  it.scoped("the same port is another one at another host", () =>
    Effect.gen(function* () {
      yield* listen(at("memory-1", 9_470))
      yield* listen(at("memory-2", 9_470))
      assert.strictEqual((yield* Effect.flip(listen(at("memory-2", 9_470)))).reason, "AddressInUse")
    }).pipe(Effect.provide(MemoryTransport.layer))
  )

  it.scoped("is one for all transports built with one layer of it, and none of another build", () =>
    Effect.gen(function* () {
      const nodes = Layer.mergeAll(
        Layer.effect(Five, Transport).pipe(Layer.provide(MemoryTransport.layerTransportAt("10.0.0.5"))),
        Layer.effect(Six, Transport).pipe(Layer.provide(MemoryTransport.layerTransportAt("10.0.0.6")))
      ).pipe(Layer.provide(MemoryTransport.layerNetwork))
      const here = yield* Layer.build(nodes)
      const links: Array<Link> = []
      const address = at("10.0.0.5", 9_470)
      yield* Context.get(here, Five).listen(address, (link) => links.push(link))
      const near = yield* Context.get(here, Six).dial(address)
      assert.strictEqual(links[0]?.remote.host, "10.0.0.6")
      near.destroy()
      const elsewhere = yield* Layer.build(Layer.fresh(nodes))
      const refused = yield* Effect.flip(Context.get(elsewhere, Six).dial(address))
      assert.strictEqual(refused._tag, "DialRefused")
      assert.strictEqual(links.length, 1)
    })
  )

  it.scoped("a transport's own layer makes a network each time it is built", () =>
    Effect.gen(function* () {
      const address = at("memory-1", 9_470)
      const one = Context.get(yield* Layer.build(MemoryTransport.layer), Transport)
      const other = Context.get(yield* Layer.build(MemoryTransport.layer), Transport)
      yield* one.listen(address, () => {})
      assert.strictEqual((yield* Effect.flip(other.dial(address)))._tag, "DialRefused")
      yield* other.listen(address, () => {})
    })
  )

  describe("with a host that is silent", () => {
    const silenced = Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork({ capacity: 1_000 })
      const links: Array<Link> = []
      const five = network.transport("10.0.0.5")
      const six = network.transport("10.0.0.6")
      yield* five.listen(at("10.0.0.5", 9_470), (link) => links.push(link))
      const near = yield* six.dial(at("10.0.0.5", 9_470))
      return { network, five, six, near, far: links[0] as Link, links }
    })

    it.scoped("lets a dial to it or from it wait until it is interrupted", () =>
      Effect.gen(function* () {
        const { five, links, network, six } = yield* silenced
        yield* six.listen(at("10.0.0.6", 9_470), (link) => links.push(link))
        yield* network.silence("10.0.0.5")
        const fibers = [
          yield* Effect.fork(six.dial(at("10.0.0.5", 9_470))),
          yield* Effect.fork(six.dial(at("10.0.0.5", 1))),
          yield* Effect.fork(five.dial(at("10.0.0.6", 9_470)))
        ]
        yield* rounds(5)
        for (const fiber of fibers) {
          assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
          assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
        }
        yield* network.restore("10.0.0.5")
        yield* rounds(5)
        assert.strictEqual(links.length, 1)
      })
    )

    it.scoped("answers the dials that still wait when it is back", () =>
      Effect.gen(function* () {
        const { links, network, six } = yield* silenced
        yield* network.silence("10.0.0.5")
        yield* network.silence("10.0.0.6")
        const accepted = yield* Effect.fork(six.dial(at("10.0.0.5", 9_470)))
        const refused = yield* Effect.fork(six.dial(at("10.0.0.5", 1)))
        yield* rounds(5)
        yield* network.restore("10.0.0.5")
        yield* rounds(5)
        assert.isTrue(Option.isNone(yield* Fiber.poll(accepted)))
        yield* network.restore("10.0.0.6")
        yield* Fiber.join(accepted)
        assert.strictEqual(links.length, 2)
        assert.strictEqual((yield* Effect.flip(Fiber.join(refused)))._tag, "DialRefused")
      })
    )

    it.scoped("hears and says nothing on the links it has, and goes on where it was when it is back", () =>
      Effect.gen(function* () {
        const { far, near, network } = yield* silenced
        const heard = [record(near), record(far)]
        yield* network.silence("10.0.0.5")
        const done: Array<string> = []
        for (const [name, link] of [
          ["near", near],
          ["far", far]
        ] as const) {
          link.write([text(0, 1_000)], () => done.push(name))
          link.write([text(1_000, 500)], () => done.push(name))
          link.end()
        }
        yield* rounds(5)
        assert.deepStrictEqual(done.sort(), ["far", "near"], "what fits in the buffers is taken")
        assert.deepStrictEqual(
          heard.map(({ events }) => events),
          [[], []]
        )
        yield* network.restore("10.0.0.5")
        yield* until(() => heard.every(({ events }) => events.includes("close")))
        for (const { cause, chunks } of heard) {
          assertText(chunks, 1_500)
          assert.isUndefined(cause)
        }
        assert.strictEqual(done.length, 4)
      })
    )

    it.scoped("does not notice that a link broke until it is back", () =>
      Effect.gen(function* () {
        const { far, near, network } = yield* silenced
        const heard = [record(near), record(far)]
        yield* write(near, text(0, 10))
        yield* rounds(5)
        yield* network.silence("10.0.0.6")
        yield* write(near, text(10, 10))
        near.destroy("gone")
        const told: Array<unknown> = []
        far.write([text(0, 10)], (cause) => told.push(cause))
        yield* rounds(5)
        assert.deepStrictEqual(told, [])
        assert.deepStrictEqual(
          heard.map(({ events }) => events),
          [["close"], ["data"]]
        )
        yield* network.restore("10.0.0.6")
        yield* rounds(5)
        assert.deepStrictEqual(heard[1]?.events, ["data", "close"])
        assert.match(String(heard[1]?.cause), /reset/)
        assert.deepStrictEqual(told, [heard[1]?.cause])
      })
    )

    it.scoped("still reaches itself, and leaves the others alone", () =>
      Effect.gen(function* () {
        const { five, links, network, six } = yield* silenced
        yield* six.listen(at("10.0.0.6", 9_470), () => {})
        yield* network.silence("10.0.0.5")
        yield* five.dial(at("10.0.0.5", 9_470))
        yield* network.transport("10.0.0.7").dial(at("10.0.0.6", 9_470))
        assert.strictEqual(links.length, 2)
      })
    )

    it.scoped("is dead to its peers after a while, as a host that is gone", () =>
      Effect.gen(function* () {
        const alice = yield* P2PNetworkMemory.make({ nodeId: "alice" })
        const bob = yield* P2PNetworkMemory.make({ nodeId: "bob", bootstrap: ["alice:9470"] })
        yield* alice.waitForPeers(1)
        const network = yield* MemoryTransport.MemoryNetwork
        yield* network.silence("bob")
        yield* TestClock.adjust("17 seconds")
        assert.deepStrictEqual(
          (yield* alice.peers()).map(({ status }) => status),
          ["dead"]
        )
        yield* network.restore("bob")
        const back = yield* Effect.fork(Effect.all([alice.waitForPeers(1), bob.waitForPeers(1)]))
        yield* TestClock.adjust("30 seconds")
        yield* Fiber.join(back)
      }).pipe(Effect.provide(MemoryTransport.layerNetwork))
    )
  })
})
