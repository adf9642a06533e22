/**
 * The live connections: one for each peer, in a `Ref`, and a `Queue` of what happened to them. The pool admits what comes
 * in, dials what is asked for, shakes hands, decides between duplicates, and closes. Each decision, what it changes and
 * what it reports is one synchronous step; fibers only dial and wait.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Queue from "effect/Queue"
import type * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Connection, Owner } from "./Connection.js"
import type * as Handshake from "./Handshake.js"
import * as Admission from "./internal/pool/Admission.js"
import * as Closing from "./internal/pool/Closing.js"
import * as Dialer from "./internal/pool/Dialer.js"
import * as Faults from "./internal/pool/Faults.js"
import * as Greetings from "./internal/pool/Greetings.js"
import * as Incoming from "./internal/pool/Incoming.js"
import type { Counts, DialOptions, PoolEvent, Receiver } from "./internal/pool/Model.js"
import * as Peers from "./internal/pool/Peers.js"
import * as Slots from "./internal/pool/Slots.js"
import * as State from "./internal/pool/State.js"
import type { LocalNode } from "./LocalNode.js"
import type { Envelope } from "./Message.js"
import type { NetworkConfig } from "./NetworkConfig.js"
import type * as NetworkError from "./NetworkError.js"
import type { NetworkStats, Totals } from "./NetworkStats.js"
import type { NodeId } from "./NodeId.js"
import type { AccessLists, Peer } from "./Peer.js"
import * as PeerAddress from "./PeerAddress.js"
import type * as PeerBook from "./PeerBook.js"
import type { Transport } from "./Transport.js"

export type { Counts, DialOptions, PoolEvent, Receiver } from "./internal/pool/Model.js"

/**
 * The connections of this node, and what the other parts do with them.
 *
 * @since 0.1.0
 * @category tags
 */
export class ConnectionPool extends Context.Tag("synapse-p2p/ConnectionPool")<
  ConnectionPool,
  {
    /** The connection of each peer that messages go over. */
    readonly live: Ref.Ref<ReadonlyMap<NodeId, Connection>>
    /** The same as it is at that moment, for callbacks: it goes on changing. */
    readonly unsafeLive: () => ReadonlyMap<NodeId, Connection>
    /** Every connection past its handshake whose link is not gone. */
    readonly opened: () => Iterable<Connection>
    readonly events: Queue.Dequeue<PoolEvent>
    /** Tells of each event that is put into that queue, in the moment in which it is. */
    readonly onReported: (tell: () => void) => void
    readonly counts: () => Counts
    readonly totals: () => Totals
    /** The addresses being dialed at this moment. */
    readonly dialing: () => ReadonlySet<string>
    /**
     * Listens and admits connections. The address is the real one, with port 0 asked for. Scope: takes no more
     * connections.
     */
    readonly listen: Effect.Effect<PeerAddress.PeerAddress, NetworkError.ListenFailed, Scope.Scope>
    /** Where others are told to find this node: as configured, else where it listens. */
    readonly advertised: () => ReadonlyArray<PeerAddress.PeerAddress>
    /**
     * One attempt to connect: of several for one address at a time only one is made. A duplicate gives the connection that
     * stays. What failed is remembered, to be tried again by policy, unless the attempt is the application's own.
     */
    readonly dial: (
      address: PeerAddress.PeerAddress,
      options?: DialOptions
    ) => Effect.Effect<Connection, NetworkError.ConnectError>
    /** Closes a peer's connection with grace: what is queued goes out first. Returns when the link is gone. */
    readonly disconnect: (id: NodeId) => Effect.Effect<void>
    /** The same, of this node's own accord: the peer may be dialed again after a minute. Does not wait. */
    readonly giveUp: (id: NodeId) => Effect.Effect<void>
    /** Who may be connected. */
    readonly access: () => AccessLists
    /** Changes the lists given. Live connections of peers that they do not let in any more are closed at once. */
    readonly setAccess: (lists: Partial<AccessLists>) => void
    /** Whether an answer of the peer is waited for, or one to it is being worked on. */
    readonly isBusy: (id: NodeId) => boolean
    /** Whether a node was turned away for want of a place since this was last asked. */
    readonly hasTurnedAway: () => boolean
    /** Closes all, with grace, and admits and dials no more until `listen`. Returns when no link is left. */
    readonly shutdown: Effect.Effect<void>
    /** Ends a connection at once, as nothing can be said over it any more. */
    readonly kill: (connection: Connection, error: NetworkError.ConnectionError) => void
    readonly close: (connection: Connection, refusal: Handshake.Refusal, replyTo?: string) => void
    readonly suspect: (connection: Connection) => void
    /** Answers a message that breaks a rule, and counts it. */
    readonly invalid: (connection: Connection, detail: string, envelope: Envelope) => void
    /** Handles a type of the protocol; what the handler returns is what is wrong with the message. One each. */
    readonly on: (
      type: "HEARTBEAT" | "PEER_LIST",
      handler: (connection: Connection, envelope: Envelope) => string | undefined
    ) => void
    readonly setReceiver: (receiver: Receiver) => void
    /** Tells of each peer that is connected, in the moment in which it is: what is sent then goes out with the HELLO. */
    readonly onOpened: (tell: (connection: Connection) => void) => void
    readonly peers: () => ReadonlyArray<Peer>
    readonly peer: (id: NodeId) => Peer | undefined
  }
>() {}

/**
 * Scope: closes every connection that is left, and interrupts the dials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const state = yield* State.make
  const { all, config, slots } = state
  const peers = Peers.make(state)
  const places = Slots.make(state, peers)
  const faults = Faults.make(state)
  const incoming = Incoming.make(state, peers, faults, places, Greetings.make(state, faults, places))
  const owner: Owner = {
    receive: incoming.receive,
    arrived: (connection) => state.receiver?.arrived?.(connection),
    invalid: faults.invalid,
    fault: faults.fault,
    ended: places.ended,
    recovered: (connection) => incoming.suspect(connection, false),
    closed: (connection) => {
      admission.closed(connection)
      peers.closed(connection)
      places.closed(connection)
      state.receiver?.closed(connection)
      for (const tell of state.whenClosed) tell()
    }
  }
  const admission = Admission.make(state, faults, owner)
  const dialer = yield* Dialer.make(state, admission)
  const closing = Closing.make(state, faults, places, admission, dialer)

  const listen = Effect.gen(function* () {
    state.isRunning = true
    const listener = yield* state.transport.listen(PeerAddress.make(config.host, config.port), admission.accept).pipe(
      Effect.tapError(() =>
        Effect.sync(() => {
          state.isRunning = false
        })
      )
    )
    state.listening = listener.address
    return listener.address
  })

  yield* Effect.addFinalizer(() => closing.destroyAll)

  return ConnectionPool.of({
    live: state.live,
    unsafeLive: state.live.unsafeGet,
    opened: function* () {
      for (const connection of all) if (connection.phase === "open" || connection.phase === "draining") yield connection
    },
    events: state.events,
    onReported: (tell) => {
      state.reported = tell
    },
    counts: () => {
      let ending = 0
      for (const { phase } of all) if (phase === "closing" || phase === "draining") ending++
      const inbound = state.inbound()
      return { inbound, outbound: slots.size - inbound, handshaking: state.halfOpen.size, closing: ending }
    },
    totals: peers.totals,
    dialing: () => new Set(state.dialing.keys()),
    listen,
    advertised: state.advertised,
    dial: dialer.dial,
    disconnect: closing.disconnect,
    giveUp: closing.giveUp,
    access: state.access.lists,
    setAccess: (lists) => {
      state.access.set(lists)
      closing.shutOut()
    },
    isBusy: (id) => state.receiver?.isBusy(id) === true,
    hasTurnedAway: () => {
      const { hasTurnedAway } = state
      state.hasTurnedAway = false
      return hasTurnedAway
    },
    shutdown: closing.shutdown,
    kill: (connection, error) => connection.destroy(error),
    close: faults.fault,
    suspect: (connection) => incoming.suspect(connection, true),
    invalid: faults.invalid,
    on: (type, handler) => {
      state.handlers.set(type, handler)
    },
    setReceiver: (receiver) => {
      state.receiver = receiver
    },
    onOpened: (tell) => {
      state.opened = tell
    },
    peers: peers.all,
    peer: peers.get
  })
})

/**
 * The pool over any {@link Transport}. Closing its scope closes every connection.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ConnectionPool,
  never,
  NetworkConfig | LocalNode | PeerBook.PeerBook | NetworkStats | Transport
> = Layer.scoped(ConnectionPool, make)
