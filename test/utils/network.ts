/**
 * Whole nodes on one network in memory, joined as a test wants them, and peers on the same network that are played by
 * hand. Nothing here waits for a clock: tests of time move the test clock themselves.
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Frame from "../../src/Frame.js"
import * as MessageType from "../../src/MessageType.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import type { NetworkEvent } from "../../src/Peer.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import { MemoryNetwork } from "../../src/testing/MemoryTransport.js"
import * as P2PNetworkMemory from "../../src/testing/P2PNetworkMemory.js"
import * as TestNodes from "../../src/testing/TestNodes.js"
import type { Link } from "../../src/Transport.js"

export type Network = P2PNetwork["Type"]

export const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
export const Other = MessageType.make("OTHER", Schema.Struct({ text: Schema.String }))
export const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.String }),
  Schema.Struct({ reason: Schema.String })
)

// --- Waiting ---

/** Waits, without the clock, until it is so; dies when it does not come about. */
export const until = (what: string, condition: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let turn = 0; turn < 20_000; turn++) {
      if (condition()) return
      yield* Effect.yieldNow()
    }
    return yield* Effect.dieMessage(`waited in vain for ${what}`)
  })

/** Lets all that is under way come to rest. */
export const rest: Effect.Effect<void> = Effect.repeatN(Effect.yieldNow(), 300)

// --- Nodes ---

/** Nodes that do not look for others by themselves, and whose heartbeats are out of the way. */
export const quiet = {
  targetPeers: 1,
  heartbeatInterval: "5 minutes",
  heartbeatTimeout: "15 minutes",
  discoveryInterval: "1 hour",
  healingInterval: "1 hour"
} as const

/** A node that keeps to itself until it is told to connect. Scope: stops it. */
export const node = <R = never>(nodeId: string, options: P2PNetworkMemory.Options<R> = {}) =>
  P2PNetworkMemory.make<R>({ ...quiet, nodeId, ...options })

/** A node whose life the test ends. */
export const nodeIn = (scope: Scope.Scope, nodeId: string, options: P2PNetworkMemory.Options = {}) =>
  Effect.map(
    Layer.buildWithScope(P2PNetworkMemory.layer({ ...quiet, nodeId, ...options }), scope),
    Context.get(P2PNetwork)
  )

export const addressOf = (nodeId: string): string => `${nodeId}:9470`

export const join = (one: Network, other: Network) => one.connect(addressOf(other.nodeId))

const quietNodes =
  (topology: TestNodes.Topology) =>
  <const Names extends ReadonlyArray<string>>(names: Names, options: P2PNetworkMemory.Options = {}) =>
    TestNodes.make(names, { topology, config: { ...quiet, ...options } })

/** Nodes with these names, each connected to the next. */
export const line = quietNodes("line")

/** A line whose ends are connected too. */
export const ring = quietNodes("ring")

/** Notes the texts of all CHATs that a node gets. */
export const recordChats = (network: Network): Effect.Effect<Array<string>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const texts: Array<string> = []
    yield* network.handle(Chat, ({ payload }) => Effect.sync(() => texts.push(payload.text)))
    return texts
  }).pipe(Effect.orDie)

/** Notes what happens from now on. */
export const recordEvents = (network: Network): Effect.Effect<Array<NetworkEvent>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const events: Array<NetworkEvent> = []
    yield* Stream.runForEach(network.events, (event) => Effect.sync(() => events.push(event))).pipe(Effect.forkScoped)
    yield* rest
    return events
  })

export const countOf = (network: Network, name: string): Effect.Effect<number> =>
  Effect.map(network.status, ({ counts }) => counts[name] ?? -1)

// --- Peers played by hand ---

export interface WireMessage {
  readonly type: string
  readonly id: string
  readonly sender: string
  readonly timestamp: string
  readonly payload: Readonly<Record<string, unknown>>
  readonly recipient?: string
  readonly ttl?: number
  readonly replyTo?: string
  readonly expectsReply?: boolean
}

/** The other end of a link, which speaks the protocol as a test tells it to. Answers pings, notes all the rest. */
export interface HandPeer {
  readonly id: string
  readonly link: Link
  readonly received: Array<WireMessage>
  readonly isClosed: () => boolean
  /** Sends a message, with members as given over those of an ordinary one: its id. */
  readonly say: (type: string, payload?: object, more?: object) => string
  readonly sendText: (json: string) => void
  /** The first message of the type that came in and was not taken yet. */
  readonly take: (type: string) => Effect.Effect<WireMessage>
  readonly hello: (more?: object, envelope?: object) => string
}

let made = 0

const converse = (id: string, link: Link): HandPeer => {
  const decoder = new Frame.Decoder(1_048_576)
  const received: Array<WireMessage> = []
  let isClosed = false

  const sendText = (json: string): void => link.write([Frame.encode(json)], () => {})

  const say = (type: string, payload: object = {}, more: object = {}): string => {
    const message = { type, id: `hand-${made++}`, sender: id, timestamp: "2026-11-22T14:00:00Z", payload, ...more }
    sendText(JSON.stringify(message))
    return message.id
  }

  link.attach({
    onData: (chunk) => {
      decoder.push(chunk)
      for (let next = decoder.next(); next !== undefined && !Frame.isFault(next); next = decoder.next()) {
        const message = JSON.parse(new TextDecoder().decode(next)) as WireMessage
        if (message.type === "HEARTBEAT" && message.payload["kind"] === "ping") {
          say("HEARTBEAT", { kind: "pong", seq: message.payload["seq"] }, { replyTo: message.id })
        } else if (message.type !== "PEER_LIST") received.push(message)
      }
    },
    onEnd: () => link.end(),
    onClose: () => {
      isClosed = true
    }
  })

  return {
    id,
    link,
    received,
    isClosed: () => isClosed,
    say,
    sendText,
    take: (type) =>
      Effect.flatMap(
        until(`a ${type} at ${id}`, () => received.some((message) => message.type === type)),
        () =>
          Effect.sync(() => {
            const index = received.findIndex((message) => message.type === type)
            return received.splice(index, 1)[0] as WireMessage
          })
      ),
    hello: (more = {}, envelope = {}) =>
      say(
        "HELLO",
        { version: 1, minVersion: 1, network: "synapse", listen: [], features: ["relay"], ...more },
        envelope
      )
  }
}

const owned = (peer: HandPeer): Effect.Effect<HandPeer, never, Scope.Scope> =>
  Effect.acquireRelease(Effect.succeed(peer), ({ link }) => Effect.sync(() => link.destroy()))

/** A link to a node on which nothing has been said yet. Scope: destroys it. */
export const dialByHand = (id: string, to: string): Effect.Effect<HandPeer, never, MemoryNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* MemoryNetwork
    const link = yield* network.transport(id).dial(PeerAddress.make(to, 9470))
    return yield* owned(converse(id, link))
  }).pipe(Effect.orDie)

/** The same, past its handshake. */
export const handPeer = (
  id: string,
  to: string,
  hello: object = {}
): Effect.Effect<HandPeer, never, MemoryNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const peer = yield* dialByHand(id, to)
    peer.hello(hello)
    yield* peer.take("HELLO")
    return peer
  })

/** Listens at the name, for nodes to dial: whoever comes is answered with a HELLO, or with what is given. */
export const listenByHand = (
  id: string,
  onLink: (peer: HandPeer) => Effect.Effect<void> = (peer) =>
    Effect.flatMap(peer.take("HELLO"), (hello) => Effect.sync(() => peer.hello({}, { replyTo: hello.id })))
): Effect.Effect<Queue.Dequeue<HandPeer>, never, MemoryNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* MemoryNetwork
    const came = yield* Queue.unbounded<HandPeer>()
    const links = yield* Queue.unbounded<Link>()
    yield* network.transport(id).listen(PeerAddress.make(id, 9470), (link) => {
      Queue.unsafeOffer(links, link)
    })
    yield* Queue.take(links).pipe(
      Effect.flatMap((link) => {
        const peer = converse(id, link)
        return Effect.zipRight(onLink(peer), Queue.offer(came, peer))
      }),
      Effect.forever,
      Effect.forkScoped
    )
    return came
  }).pipe(Effect.orDie)
