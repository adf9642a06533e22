/**
 * All that the pool knows, in one place. The rooms beside this one read and change it, each in one synchronous step.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Either from "effect/Either"
import * as Queue from "effect/Queue"
import type { Connection, Settings } from "../../Connection.js"
import * as Handshake from "../../Handshake.js"
import { LocalNode } from "../../LocalNode.js"
import type { Envelope, JsonObject } from "../../Message.js"
import { NetworkConfig } from "../../NetworkConfig.js"
import type * as NetworkError from "../../NetworkError.js"
import { NetworkStats } from "../../NetworkStats.js"
import type { NodeId } from "../../NodeId.js"
import type { Direction } from "../../Peer.js"
import type * as PeerAddress from "../../PeerAddress.js"
import * as PeerBook from "../../PeerBook.js"
import type { Link } from "../../Transport.js"
import { Transport } from "../../Transport.js"
import * as Access from "../Access.js"
import * as Authentication from "../Authentication.js"
import { Conflicts } from "../Conflicts.js"
import { SharedMap } from "../SharedMap.js"
import type { PoolEvent, Receiver } from "./Model.js"

/** Peers remembered, connected or not. */
export const knownPeers = 4096

/** The connections of a peer. */
export interface Slot {
  readonly current: Connection
  /** Dialed by this node, and to be closed by the other end if that one decides so. */
  readonly standby: ReadonlyArray<Connection>
}

/**
 * A peer whose connection the other end closed for another one that is not open on this side yet. Messages to it go on
 * being taken: they wait in that connection's outbox.
 */
export interface Limbo {
  readonly connection: Connection
  readonly cancel: () => void
}

/** An outbound handshake: the id of our HELLO, and whom to tell. */
export interface Greeting {
  readonly helloId: string
  readonly expect: NodeId | undefined
  readonly done: (result: Either.Either<Connection, NetworkError.ConnectError>) => void
}

/** A dial under way, or waiting for its turn: what comes of it, for whoever waits. */
export interface Dial {
  readonly result: Effect.Effect<Connection, NetworkError.ConnectError>
  readonly giveUp: () => void
}

/** Handles a type of the protocol; what it returns is what is wrong with the message. */
export type ProtocolHandler = (connection: Connection, envelope: Envelope) => string | undefined

export const make = Effect.gen(function* () {
  const config = yield* NetworkConfig
  const node = yield* LocalNode
  const stats = yield* NetworkStats
  const closeTimeout = Duration.toMillis(config.closeTimeout)
  const authentication = Authentication.make(node, config.networkKey)
  const events = yield* Queue.unbounded<PoolEvent>()
  const slots = new Map<NodeId, Slot>()
  const live = new SharedMap<NodeId, Connection>()
  let inbound = 0
  const bookLimits: PeerBook.Limits = {
    peers: knownPeers,
    hints: config.maxHints,
    hintsPerTeller: config.maxHintsPerTeller
  }
  const connectionSettings: Settings = {
    maxMessageBytes: config.maxMessageBytes,
    outbound: { messages: config.outboundQueue, bytes: config.outboundQueueBytes },
    inbound: { messages: config.inboundQueue, bytes: config.inboundQueueBytes },
    closeTimeout
  }
  const state = {
    config,
    node,
    deadlines: node.deadlines,
    book: yield* PeerBook.PeerBook,
    stats,
    authentication,
    access: Access.make(config),
    transport: yield* Transport,
    bookLimits,
    connectionSettings,
    handshakeTimeout: Duration.toMillis(config.handshakeTimeout),
    closeTimeout,
    drainTimeout: Duration.toMillis(config.drainTimeout),
    shutdownGrace: Duration.toMillis(config.shutdownGrace),

    isRunning: false,
    /** Whether somebody was turned away for want of a place since that was last asked. */
    hasTurnedAway: false,
    listening: undefined as PeerAddress.PeerAddress | undefined,
    receiver: undefined as Receiver | undefined,
    opened: undefined as ((connection: Connection) => void) | undefined,
    reported: undefined as (() => void) | undefined,
    handlers: new Map<string, ProtocolHandler>(),
    events,

    /** By peer; changed by `setSlot` alone. */
    slots: slots as ReadonlyMap<NodeId, Slot>,
    /** The connection of each peer that messages go over, also while it is in limbo. */
    live,
    limbo: new Map<NodeId, Limbo>(),
    /** Connections in standby, by the newer one, until that brings a message; what these bring afterwards is too late. */
    overtaking: new Map<Connection, ReadonlyArray<Connection>>(),
    overtaken: new Set<Connection>(),
    conflicts: new Conflicts(Duration.toMillis(config.heartbeatTimeout)),
    /** Links not gone, in order of coming. */
    all: new Set<Connection>(),
    /** Those whose handshake is not done. */
    halfOpen: new Set<Connection>(),
    greetings: new Map<Connection, Greeting>(),
    /** By the address dialed. */
    dialing: new Map<string, Dial>(),
    whenOpen: new Map<NodeId, Set<(connection: Connection) => void>>(),
    whenClosed: new Set<() => void>(),

    report: (event: PoolEvent): void => {
      Queue.unsafeOffer(events, event)
      state.reported?.()
    },

    /** `parked`: the connection that goes on taking messages while there is none. */
    setSlot: (id: NodeId, slot: Slot | undefined, parked?: Connection): void => {
      if (slots.get(id)?.current.direction === "inbound") inbound--
      if (slot?.current.direction === "inbound") inbound++
      if (slot === undefined) slots.delete(id)
      else slots.set(id, slot)
      live.set(id, slot?.current ?? parked)
    },

    /** Another node has that id. */
    conflict: (id: NodeId, address: PeerAddress.PeerAddress): void => {
      stats.error("IdConflict")
      state.report({ _tag: "Conflict", id, address })
    },

    /** Peers whose connection they dialed. */
    inbound: (): number => inbound,

    /** Whether a peer may be added; one that changes its connection keeps its place. */
    hasRoom: (id: NodeId, direction: Direction): boolean => {
      if (state.limbo.has(id)) return true
      if (slots.size + state.limbo.size >= config.maxPeers) return false
      return direction === "outbound" || state.inbound() < config.maxInbound
    },

    /** Whether one more may be dialed, those under way counted. */
    hasRoomToDial: (): boolean => {
      let handshakes = 0
      for (const connection of state.greetings.keys()) if (state.halfOpen.has(connection)) handshakes++
      return slots.size + state.limbo.size + handshakes < config.maxPeers
    },

    advertised: (): ReadonlyArray<PeerAddress.PeerAddress> =>
      config.advertise.length > 0 ? config.advertise : state.listening === undefined ? [] : [state.listening],

    /** The payload of this node's HELLO over a link. */
    hello: (link: Pick<Link, "remote" | "proven">): JsonObject =>
      Handshake.hello(state.local(), link.remote, authentication.proofFor(link.proven)),

    /** What this node says of itself. */
    local: (): Handshake.Local => ({
      id: node.id,
      session: node.session(),
      network: config.network,
      listen: state.advertised().slice(0, 16),
      agent: config.agent,
      maxMessageBytes: config.maxMessageBytes,
      tags: config.tags
    })
  }
  return state
})

export type State = Effect.Effect.Success<typeof make>
