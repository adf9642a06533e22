/** Whole nodes, one of which an attacker with many identities wants to have for itself. */
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import { ConnectionPool } from "../../src/ConnectionPool.js"
import * as Handler from "../../src/Handler.js"
import * as MessageType from "../../src/MessageType.js"
import type { SimulatedNode } from "../../src/testing/SimulatedNetwork.js"
import { simulate } from "../utils/simulated.js"
import { attack, isHostile } from "./support/Sybils.js"

const News = MessageType.make("NEWS", Schema.Struct({ text: Schema.String }))

const count = 20
const nameOf = (n: number): string => `10.${n}.0.1`
const victimName = nameOf(count - 1)
/** Of discovery at the victim, milliseconds; it heals every second one. */
const round = 30_000
/** Rounds before it restarts, and after. */
const half = 40
/** Each takes some 15 seconds of processor time. */
const seeds = [1]
/** Of `maxPeers`. */
const maxInbound = 48

const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

/** Whom the node has dialed itself, and how many have dialed it. */
const dialedBy = (node: SimulatedNode) => {
  const parts = node.parts()
  const all = parts === undefined ? [] : [...Context.get(parts, ConnectionPool).unsafeLive().values()]
  const own = all.filter(({ direction }) => direction === "outbound").map(({ remote }) => remote.host)
  return {
    inbound: all.length - own.length,
    hostile: own.filter(isHostile).length,
    honest: own.filter((host) => !isHostile(host)).length
  }
}

/** The course of it, and what of the news did not arrive. */
const play = (seed: number) =>
  simulate(
    (simulated) =>
      Effect.gen(function* () {
        const heard = new Map<string, Set<string>>()
        const start = (nodeId: string) => {
          const own = new Set<string>()
          heard.set(nodeId, own)
          const isVictim = nodeId === victimName
          return simulated.node({
            nodeId,
            ...(nodeId === nameOf(0) ? {} : { bootstrap: [`${nameOf(0)}:9470`] }),
            maxPeers: 64,
            maxInbound,
            targetPeers: isVictim ? 32 : 12,
            // Heartbeats, and what those do that are not looked at, are rare: so more rounds pass in a test.
            discoveryInterval: isVictim ? round : "10 minutes",
            healingInterval: isVictim ? 2 * round : "10 minutes",
            heartbeatInterval: "5 minutes",
            heartbeatTimeout: "15 minutes",
            handlers: [Handler.make(News, ({ payload }) => Effect.sync(() => void own.add(payload.text)))]
          })
        }
        const nodes: Array<SimulatedNode> = []
        for (let n = 0; n < count; n++) nodes.push(yield* start(nameOf(n)))
        const victim = nodes[count - 1] as SimulatedNode
        yield* Effect.sleep("1 minute")
        // Where all of them met is gone: nothing but what they know themselves helps them.
        yield* simulated.begin({ _tag: "Crash", host: nameOf(0), keepState: false })
        yield* attack(simulated, { parts, identities, ghosts: 150, victim: victimName, random: seeded(seed) })

        const course: Array<ReturnType<typeof dialedBy>> = []
        const missed: Array<string> = []
        for (let n = 0; n < 2 * half; n++) {
          if (n === half) yield* simulated.during("1 second", { _tag: "Crash", host: victimName, keepState: true })
          yield* Effect.sleep(round)
          course.push(dialedBy(victim))
          if (n % 6 !== 5) continue
          const other = nodes[1 + (n % (count - 2))] as SimulatedNode
          yield* Effect.orDie(victim.network.broadcast(News, { text: `of the victim ${n}` }))
          yield* Effect.orDie(other.network.broadcast(News, { text: `of another ${n}` }))
          yield* Effect.sleep("1 second")
          for (const { id } of nodes.slice(1)) {
            const news = id === victimName ? `of another ${n}` : `of the victim ${n}`
            if (heard.get(id)?.has(news) !== true) missed.push(`${news} at ${id}`)
          }
        }
        return { course, missed }
      }),
    { seed }
  )

const identities = 90
const parts = 3

describe("A node that an attacker with 90 identities in three parts of the network wants for itself", () => {
  for (const seed of seeds) {
    it(
      `goes on dialing honest nodes, round after round and over a restart, and misses no news, with seed ${seed}`,
      { timeout: 180_000 },
      () =>
        Effect.gen(function* () {
          const { course, missed } = yield* play(seed)
          assert.deepStrictEqual(missed, [])
          for (const [n, { honest, hostile, inbound }] of course.entries()) {
            const when = `in round ${n}: ${honest} honest, ${hostile} hostile`
            assert.isAtLeast(honest, 1, when)
            assert.isAtMost(hostile, 2 * parts, `two in each part of the network, ${when}`)
            // The attack begins with the first round, and anew with the restart.
            if (n % half < 20) continue
            // One of them makes room from time to time, for another.
            assert.isAtLeast(inbound, maxInbound - 1, when)
            assert.isAbove(honest, hostile, when)
          }
        }).pipe(Effect.runPromise)
    )
  }
})
