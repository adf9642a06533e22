/**
 * An attacker with many identities on a simulated network: each at an address of its own, all in a few parts of the
 * network. They dial a node until it has no room left, come again and again under other names, answer whoever dials them,
 * and tell of nobody but each other, and of nodes that are not there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as PeerAddress from "../../../src/PeerAddress.js"
import type { SimulatedNetwork } from "../../../src/testing/SimulatedNetwork.js"
import type { Link } from "../../../src/Transport.js"
import { MemoryPeer } from "../../utils/memoryPeer.js"
import type { Message } from "../../utils/rawPeer.js"

export interface Attack {
  /** Parts of the network, of 65,536 addresses each, in which it has its addresses. */
  readonly parts: number
  readonly identities: number
  /** Nodes that it tells of, one in a part of the network each, which nobody hears of when dialing them. */
  readonly ghosts: number
  readonly victim: string
  readonly random: () => number
}

export const isHostile = (host: string): boolean => host.startsWith("66.")

const ghost = (n: number): string => `77.${n}.0.1`

/** Entries of a list, as many as are asked for. */
const told = 32

const entryOf = (host: string) => ({ id: host, addresses: [{ host, port: 9470 }] })

/** Hello, pongs and lists, over a link that was dialed or accepted. */
const play = (link: Link, host: string, attack: { readonly entries: () => ReadonlyArray<unknown> }): MemoryPeer => {
  const peer = new MemoryPeer(link, host)
  peer.answersPings = true
  const lie = (kind: string, more: Partial<Message> = {}): void => {
    peer.say("PEER_LIST", { kind, peers: attack.entries() }, more)
  }
  let isMet = false
  peer.onMessage = ({ id, payload, replyTo, type }) => {
    peer.received.length = 0
    if (type === "HELLO" && !isMet) {
      isMet = true
      if (replyTo === undefined) peer.hello(listening(host), { replyTo: id })
      lie("announce")
    }
    if (type === "PEER_LIST" && payload["kind"] === "request") lie("response", { replyTo: id })
  }
  return peer
}

const listening = (host: string) => ({ session: `session-${host}`, listen: [{ host, port: 9470 }] })

/** Goes on until its scope is closed. */
export const attack = (
  simulated: SimulatedNetwork["Type"],
  { ghosts, identities, parts, random, victim }: Attack
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.gen(function* () {
    const hosts = Array.from({ length: identities }, (_, n) => `66.${n % parts}.${n >> 8}.${n & 255}`)
    const absent = Array.from({ length: ghosts }, (_, n) => ghost(n))
    yield* simulated.begin({ _tag: "Partition", groups: [absent] })
    const liars = [...hosts, ...absent]
    const entries = () =>
      Array.from({ length: told }, () => entryOf(liars[Math.floor(random() * liars.length)] ?? victim))
    const inside = new Set<MemoryPeer>()

    for (const host of hosts) {
      const transport = simulated.transport(host)
      yield* Effect.orDie(transport.listen(PeerAddress.make(host, 9470), (link) => void play(link, host, { entries })))
      const come = Effect.gen(function* () {
        const link = yield* transport.dial(PeerAddress.make(victim, 9470))
        const peer = play(link, host, { entries })
        peer.hello(listening(host))
        const over = Effect.async<void>((resume) => {
          peer.onOver = () => resume(Effect.void)
        })
        const isIn = Option.isNone(yield* Effect.timeoutOption(over, "1 second"))
        if (isIn) {
          inside.add(peer)
          yield* over
          inside.delete(peer)
        }
        link.destroy()
        // Once turned away for want of a place it takes its time; one that was in comes back at once.
        return isIn ? 0 : 180_000 + random() * 180_000
      }).pipe(Effect.orElseSucceed(() => 200))
      yield* come.pipe(Effect.flatMap(Effect.sleep), Effect.forever, Effect.forkScoped)
    }
    // One makes room for the next, so that the victim meets them all.
    yield* Effect.sleep("20 seconds").pipe(
      Effect.zipRight(
        Effect.sync(() => {
          const [first] = inside
          first?.link.end()
        })
      ),
      Effect.forever,
      Effect.forkScoped
    )
  })
