/** Two nodes that reach each other only over somebody who delays, stalls and breaks what passes. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { HostNode, port } from "../support/HostNode.js"
import * as Network from "../support/network.js"
import type { Forwarder, Side } from "../support/programs.js"
import * as Programs from "../support/programs.js"
import * as Switch from "../support/Switch.js"
import { askUntil, now, until, watchDelays } from "../support/waiting.js"

const { complaints, firstSaid, idOf, interval, mesh, repeated, seconds, timeout } = Network

const delay = 200
const jitter = 50
/** Longer than half of the time-out, so that the silence is seen. */
const stall = 4000

/** Two nodes, connected over the forwarder. `prepare` comes before they start. */
const make = <E, R>(
  prepare: (forwarder: Forwarder, hosts: ReadonlyArray<Switch.Host>) => Effect.Effect<void, E, R>,
  more: Readonly<Record<string, string>> = {}
) =>
  Effect.gen(function* () {
    const hub = yield* Switch.make
    const [one, two, middle] = yield* Effect.all([hub.host(1), hub.host(2), hub.host(3)])
    const folder = Network.newFolder()
    const [a, b] = [new HostNode(one, folder), new HostNode(two, folder)]
    const forwarder = yield* Programs.forward(middle, [
      { port: 9001, to: { host: one.address, port }, towards: "a" },
      { port: 9002, to: { host: two.address, port }, towards: "b" }
    ])
    yield* prepare(forwarder, [one, two])
    const env = { ...Network.env, ...more }
    const at = (number: number) => `${middle.address}:${number}`
    yield* a.start({ env: { ...env, SYNAPSE_ADVERTISE: at(9001) } })
    yield* b.start({ env: { ...env, SYNAPSE_ADVERTISE: at(9002) }, bootstrap: [at(9001)] })
    yield* mesh([a, b])
    return { a, b, forwarder }
  })

const undisturbed = make(() => Effect.void)

/** Sends numbered messages, a pause after each, and waits until all are handed over. */
const sendAll = (from: HostNode, to: HostNode, count: number, pause: number) =>
  Effect.forEach(inOrder(count), (n) =>
    Effect.zipLeft(
      Effect.fork(from.ask({ command: "send", to: idOf(to), type: "NUMBER", payload: { n } })),
      Effect.sleep(pause)
    )
  ).pipe(Effect.flatMap(Fiber.joinAll))

const numbersFrom = (to: HostNode, from: HostNode): ReadonlyArray<unknown> =>
  to.arrivals.filter(({ sender }) => sender === from.id).map(({ n }) => n)

const inOrder = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

export const delayed = Effect.gen(function* () {
  let isByKernel = true
  const { a, b } = yield* make((forwarder, hosts) =>
    Effect.gen(function* () {
      const done = yield* Effect.forEach(hosts, (host) => host.delay(delay, jitter))
      isByKernel = done.every((one) => one)
      if (!isByKernel) yield* forwarder.order({ delay, jitter })
    })
  )
  const slack = watchDelays()
  yield* sendAll(b, a, 100, 10)
  yield* until(
    () => numbersFrom(a, b).length === 100,
    30,
    () => "all numbers"
  )
  assert.deepStrictEqual(numbersFrom(a, b), inOrder(100))
  yield* Effect.sleep(3 * interval)
  const shown = yield* b.peer(a.id)
  const trip = shown?.roundTrip?.meanMs ?? 0
  assert.isAtLeast(trip, 2 * (delay - jitter), "round trip, ms")
  assert.isAtMost(trip, 2 * (delay + jitter) + slack(), "round trip, ms")
  assert.deepStrictEqual(complaints([a, b], 0, ["suspect", "dead"]), [])
  return `by ${isByKernel ? "the kernel" : "the forwarder"}; round trips shown as ${Math.round(trip)} ms; 100 messages in order`
})

/** A stall towards these sides, shorter than the time-out, while both send to each other all the time. */
const stalled = (held: ReadonlyArray<Side>) =>
  Effect.gen(function* () {
    const { a, b, forwarder } = yield* undisturbed
    const count = 300
    const all = yield* Effect.fork(
      Effect.all([sendAll(a, b, count, 20), sendAll(b, a, count, 20)], { concurrency: 2, discard: true })
    )
    yield* Effect.sleep(1000)
    const begun = now()
    yield* forwarder.order({ held })
    yield* Effect.sleep(stall)
    const during = a.arrivals.filter(({ at }) => at > begun + 1000 && at < begun + stall).length
    yield* forwarder.order({ held: [] })
    yield* Fiber.join(all)
    yield* until(
      () => [numbersFrom(a, b), numbersFrom(b, a)].every(({ length }) => length >= count),
      30,
      () => "all numbers"
    )
    yield* mesh([a, b])
    // Whoever is to be declared dead for that silence is by now.
    yield* Effect.sleep(interval + 500)
    assert.deepStrictEqual(numbersFrom(a, b), inOrder(count))
    assert.deepStrictEqual(numbersFrom(b, a), inOrder(count))
    assert.deepStrictEqual([...a.lost, ...b.lost], [])
    assert.deepStrictEqual(complaints([a, b], begun, ["dead", "disconnected"]), [])
    const suspects = complaints([a, b], begun, ["suspect"]).length
    return { during, measured: `suspect to ${suspects}, dead to none; ${2 * count} messages in order, none lost` }
  })

export const stalledBothWays = Effect.map(stalled(["a", "b"]), ({ during, measured }) => {
  assert.strictEqual(during, 0, "the stall is none")
  return `${seconds(stall)}: ${measured}`
})

export const stalledOneWay = Effect.gen(function* () {
  const { during, measured } = yield* Effect.scoped(stalled(["b"]))
  assert.isAbove(during, 10, "arrivals the other way during the stall")

  // Longer than the time-out.
  const { a, b, forwarder } = yield* undisturbed
  const slack = watchDelays()
  const begun = now()
  yield* forwarder.order({ held: ["b"] })
  yield* until(
    () => [firstSaid(a, b, "dead", begun), firstSaid(b, a, "dead", begun)].every((at) => at !== undefined),
    30,
    () => "both notice"
  )
  const [atA = 0, atB = 0] = [firstSaid(a, b, "dead", begun), firstSaid(b, a, "dead", begun)].map(
    (at) => (at ?? Infinity) - begun
  )
  assert.strictEqual(b.since(begun, a.id).find(({ status }) => status === "dead")?.error?._tag, "PeerSilent")
  assert.isAtLeast(atB, timeout - interval - 500, "the deaf side, ms")
  assert.isAtMost(Math.max(atA, atB), timeout + interval + slack(), "both sides, ms")
  const released = now()
  const slackAfter = watchDelays()
  yield* forwarder.order({ held: [] })
  yield* mesh([a, b])
  const back = now() - released
  assert.isAtMost(back, Network.healed + slackAfter(), "back, ms")
  return `${seconds(stall)}: ${measured}; longer: dead after ${Math.round(atB)} ms, to the other after ${Math.round(atA)} ms; back after ${seconds(back)}`
})

const bigCount = 200
const bigBytes = 131_072
/** What two operating systems and the forwarder take at most between them. */
const onTheWay = 16 * 1024 * 1024

export const resetUnderLoad = Effect.gen(function* () {
  // However long it takes to fill the queue, that is not taken for silence.
  const { a, b, forwarder } = yield* make(() => Effect.void, { SYNAPSE_HEARTBEAT_TIMEOUT: "2 minutes" })
  yield* forwarder.order({ held: ["a", "b"] })
  const text = "x".repeat(bigBytes)
  /** The number of each message by its id, and of those that were refused. */
  const numbers = new Map<string, number>()
  const refused: Array<number> = []
  const all = yield* Effect.fork(
    Effect.forEach(
      inOrder(bigCount),
      (n) =>
        a.ask({ command: "send", to: idOf(b), type: "BIG", payload: { n, text } }).pipe(
          Effect.match({
            onFailure: ({ error }) => {
              assert.include(["ConnectionLost", "SendTimeout", "PeerNotConnected", "DialReset"], error._tag)
              refused.push(n)
            },
            onSuccess: (value) => void numbers.set((value as { readonly id: string }).id, n)
          })
        ),
      { concurrency: "unbounded", discard: true }
    )
  )
  yield* askUntil(a.status, ({ queued }) => queued.outboundBytes > 7_000_000, 60, "the queue is full")
  const begun = now()
  const slack = watchDelays()
  yield* forwarder.order({ reset: true })
  yield* until(
    () => [firstSaid(a, b, "dead", begun), firstSaid(b, a, "dead", begun)].every((at) => at !== undefined),
    10,
    () => "both notice"
  )
  const noticed = now() - begun
  yield* forwarder.order({ held: [] })
  yield* mesh([a, b])
  const back = now() - begun
  assert.isAtMost(back, Network.healed + slack(), "back, ms")
  yield* Fiber.join(all)

  // One more, which comes last if all goes in order.
  yield* a.ask({ command: "send", to: idOf(b), type: "BIG", payload: { n: bigCount } })
  yield* until(
    () => numbersFrom(b, a).includes(bigCount),
    20,
    () => "the last message"
  )
  const delivered = numbersFrom(b, a).map(Number)
  const lost = a.lost.map((id) => numbers.get(id) ?? -1)
  assert.deepStrictEqual(
    delivered,
    [...delivered].sort((x, y) => x - y),
    "in order"
  )
  assert.isAbove(lost.length, 0, "reported lost")
  assert.notInclude(lost, -1, "only what was taken is reported lost")
  const told = new Set([...delivered, ...lost, ...refused])
  assert.strictEqual(told.size, delivered.length + lost.length + refused.length, "nothing came to two ends")
  // What neither came nor was reported had left the queue: it is before all that was in it.
  const silent = inOrder(bigCount).filter((n) => !told.has(n))
  assert.isBelow(Math.max(-1, ...silent), Math.min(...lost), "what was queued is reported")
  assert.isAtMost(silent.length * bigBytes, onTheWay, "bytes that the systems had taken")
  assert.deepStrictEqual(repeated([a, b]), [])
  return `noticed after ${Math.round(noticed)} ms, back after ${seconds(back)}; of ${bigCount}: ${lost.length} queued, all reported, ${refused.length} refused, ${silent.length} were on the wire`
})
