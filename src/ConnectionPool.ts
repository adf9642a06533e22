/**
 * The live connections: one for each peer, in a `Ref`, and a `Queue` of what happened to them. The pool admits what comes
 * in, dials what is asked for, shakes hands, decides between duplicates, and closes. Each decision, what it changes and
 * what it reports is one synchronous step; fibers only dial and wait.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import type * as Ref from "effect/Ref"
import type * as Scope from "effect/Scope"
import type { Identity, Owner, Settings } from "./Connection.js"
import { Connection } from "./Connection.js"
import * as Handshake from "./Handshake.js"
import * as Duplicates from "./internal/Duplicates.js"
import * as LinkRules from "./internal/LinkRules.js"
import { Offences } from "./internal/Offences.js"
import type { Outgoing } from "./internal/Outbox.js"
import * as SyncRef from "./internal/SyncRef.js"
import { LocalNode } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NetworkError from "./NetworkError.js"
import { NetworkStats } from "./NetworkStats.js"
import type { Totals } from "./NetworkStats.js"
import type { NodeId } from "./NodeId.js"
import * as Payloads from "./Payloads.js"
import type { Direction, Peer } from "./Peer.js"
import * as PeerAddress from "./PeerAddress.js"
import * as PeerBook from "./PeerBook.js"
import * as Policy from "./Policy.js"
import type { Link } from "./Transport.js"
import { Transport } from "./Transport.js"

/**
 * What happened to the pool's connections, in order. Peers are given as they were at that moment.
 *
 * @since 0.1.0
 * @category models
 */
export type PoolEvent =
  | { readonly _tag: "Opened"; readonly connection: Connection; readonly peer: Peer }
  /** The last connection of a peer ended. */
  | {
      readonly _tag: "Ended"
      readonly peer: Peer
      readonly error: NetworkError.ConnectionError
      readonly unsent: ReadonlyArray<string>
    }
  /** A peer came back as a new session while the connection of the old one still stood. */
  | { readonly _tag: "Restarted"; readonly peer: Peer; readonly unsent: ReadonlyArray<string> }
  | { readonly _tag: "Lost"; readonly peer: NodeId; readonly unsent: ReadonlyArray<string> }
  | { readonly _tag: "Suspect"; readonly peer: Peer }
  | { readonly _tag: "Recovered"; readonly peer: Peer }
  | {
      readonly _tag: "HandshakeFailed"
      readonly address: PeerAddress.PeerAddress
      readonly direction: Direction
      readonly error: NetworkError.ConnectionError
    }
  | {
      readonly _tag: "DialFailed"
      readonly address: PeerAddress.PeerAddress
      readonly error: NetworkError.ConnectError
      readonly attempts: number
      readonly retryIn: number | undefined
    }
  | { readonly _tag: "Conflict"; readonly address: PeerAddress.PeerAddress }

/**
 * Who takes the messages that belong to no connection but to the application or to other nodes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receiver {
  readonly message: (
    connection: Connection,
    envelope: Envelope,
    bytes: number,
    kind: "Direct" | "Broadcast" | "Targeted" | "RoutedError"
  ) => void
  /** A non-fatal ERROR of the other end about a message of ours. */
  readonly error: (connection: Connection, envelope: Envelope, error: Payloads.ErrorPayload) => void
  /** The connection is not read to its end yet, but another has taken its place: that one's messages come after. */
  readonly superseded: (loser: Connection, survivor: Connection, awaitEnd: boolean) => void
  /** The link is gone: nothing more comes of it. */
  readonly closed: (connection: Connection) => void
  /** Whether an answer of the peer is waited for. */
  readonly isBusy: (id: NodeId) => boolean
}

/**
 * `expect`: only that node will do. `hint`: the node said to be there; the hint is dropped if it is not. `isOnce`: the
 * caller decides about further attempts.
 *
 * @since 0.1.0
 * @category models
 */
export interface DialOptions {
  readonly expect?: NodeId
  readonly hint?: NodeId
  readonly isOnce?: boolean
}

/**
 * How many connections there are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  readonly inbound: number
  readonly outbound: number
  readonly handshaking: number
  readonly closing: number
}

/**
 * @since 0.1.0
 * @category tags
 */
export class ConnectionPool extends Context.Tag("synapse-p2p/ConnectionPool")<
  ConnectionPool,
  {
    /** The connection of each peer that messages go over. */
    readonly live: Ref.Ref<ReadonlyMap<NodeId, Connection>>
    /** The same, for callbacks. */
    readonly unsafeLive: () => ReadonlyMap<NodeId, Connection>
    /** Every connection past its handshake whose link is not gone. */
    readonly opened: () => Iterable<Connection>
    readonly events: Queue.Dequeue<PoolEvent>
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
    /** Whether an answer of the peer is waited for. */
    readonly isBusy: (id: NodeId) => boolean
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
    readonly peers: () => ReadonlyArray<Peer>
    readonly peer: (id: NodeId) => Peer | undefined
  }
>() {}

/** Dials that may wait for their turn, over all addresses. */
const dialQueue = 1024

/** Peers remembered, connected or not. */
const knownPeers = 4096

/** What a node is told that met a full one. */
const retryWhenFull = 5_000

/** How long hints about a node that left are not believed (docs/PROTOCOL.md, section 7). */
const leftFor = 30_000

/** How long a node that closed on purpose is left alone, where it does not say. */
const disconnectedFor = 60_000

interface Slot {
  readonly current: Connection
  /** Dialed by this node, and to be closed by the other end if that one decides so. */
  readonly standby: ReadonlyArray<Connection>
}

/** A peer whose connection the other end closed for another one that is not open on this side yet. */
interface Limbo {
  readonly connection: Connection
  readonly error: NetworkError.ConnectionError
  readonly unsent: ReadonlyArray<Outgoing>
  readonly cancel: () => void
}

/**
 * Scope: closes every connection that is left, and interrupts the dials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const config = yield* NetworkConfig
  const node = yield* LocalNode
  const book = yield* PeerBook.PeerBook
  const stats = yield* NetworkStats
  const transport = yield* Transport
  const { deadlines } = node
  const backoff = Policy.backoff(config)
  const handshakeTimeout = Duration.toMillis(config.handshakeTimeout)
  const closeTimeout = Duration.toMillis(config.closeTimeout)
  const drainTimeout = Duration.toMillis(config.drainTimeout)
  const shutdownGrace = Duration.toMillis(config.shutdownGrace)
  const connectionSettings: Settings = {
    maxMessageBytes: config.maxMessageBytes,
    outbound: { messages: config.outboundQueue, bytes: config.outboundQueueBytes },
    inbound: { messages: config.inboundQueue, bytes: config.inboundQueueBytes },
    closeTimeout
  }
  const bookLimits: PeerBook.Limits = {
    peers: knownPeers,
    hints: config.maxHints,
    hintsPerTeller: config.maxHintsPerTeller
  }

  const slots = new Map<NodeId, Slot>()
  const live = SyncRef.make<ReadonlyMap<NodeId, Connection>>(new Map())
  const events = yield* Queue.unbounded<PoolEvent>()
  const offences = new Offences(config.maxInvalidMessages, Duration.toMillis(config.banDuration))

  /** Links not gone, in order of coming; those inbound by host; those whose handshake is not done. */
  const all = new Set<Connection>()
  const inboundByHost = new Map<string, number>()
  const halfOpen = new Set<Connection>()
  /** Links refused before anything was held for them, while they are told so. */
  const turnedAway = new Set<Link>()
  const limbo = new Map<NodeId, Limbo>()
  /** Outbound handshakes: whom to tell, and the id of our HELLO. */
  const dials = new Map<
    Connection,
    {
      readonly helloId: string
      readonly expect: NodeId | undefined
      readonly done: (result: Either.Either<Connection, NetworkError.ConnectError>) => void
    }
  >()
  const dialing = new Map<string, Deferred.Deferred<Connection, NetworkError.ConnectError>>()
  const whenOpen = new Map<NodeId, Set<(connection: Connection) => void>>()
  const whenClosed = new Set<() => void>()
  /** Traffic of links that are gone: by peer, and of all. */
  const past = new Map<NodeId, MutableTotals>()
  const pastOfAll: MutableTotals = noTraffic()

  let running = false
  let listening: PeerAddress.PeerAddress | undefined
  let receiver: Receiver | undefined
  const handlers = new Map<string, (connection: Connection, envelope: Envelope) => string | undefined>()

  const report = (event: PoolEvent): void => {
    Queue.unsafeOffer(events, event)
  }

  // --- Limits ---

  const outboundHandshakes = (): number => {
    let count = 0
    for (const connection of dials.keys()) if (halfOpen.has(connection)) count++
    return count
  }

  /** A peer that changes its connection keeps its place. */
  const hasRoom = (id: NodeId, direction: Direction): boolean => {
    if (limbo.has(id)) return true
    if (slots.size + limbo.size >= config.maxPeers) return false
    if (direction === "outbound") return true
    let inbound = 0
    for (const { current } of slots.values()) if (current.direction === "inbound") inbound++
    return inbound < config.maxInbound
  }

  // --- Admission ---

  const advertised = (): ReadonlyArray<PeerAddress.PeerAddress> =>
    config.advertise.length > 0 ? config.advertise : listening === undefined ? [] : [listening]

  const local = (): Handshake.Local => ({
    id: node.id,
    session: node.session(),
    network: config.network,
    listen: advertised().slice(0, 16),
    agent: config.agent,
    maxMessageBytes: config.maxMessageBytes,
    tags: config.tags
  })

  const errorFrame = (refusal: Handshake.Refusal, fatal: boolean, replyTo?: string, more?: JsonObject): Uint8Array =>
    node.control(
      "ERROR",
      {
        code: refusal.code,
        message: refusal.detail,
        fatal,
        ...(refusal.retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(refusal.retryAfterMs) }),
        ...more
      },
      replyTo
    )

  /** Says no before anything is held for the link. */
  const turnAway = (link: Link, refusal: Handshake.Refusal): void => {
    stats.count("handshakesFailed")
    report({
      _tag: "HandshakeFailed",
      address: link.remote,
      direction: "inbound",
      error: localError({ remote: link.remote }, refusal)
    })
    if (turnedAway.size >= config.maxPendingHandshakes) return link.destroy()
    turnedAway.add(link)
    const cancel = deadlines.after(closeTimeout, () => link.destroy())
    link.attach({
      onData: () => {},
      onEnd: () => {},
      onClose: () => {
        cancel()
        turnedAway.delete(link)
      }
    })
    link.write([errorFrame(refusal, true)], () => link.end())
  }

  const accept = (link: Link): void => {
    if (!running) return link.destroy()
    const { host } = link.remote
    const now = deadlines.now()
    const bannedFor = offences.bannedFor(host, now)
    if (bannedFor !== undefined) {
      return turnAway(link, { code: "BANNED", detail: "too many invalid messages", retryAfterMs: bannedFor })
    }
    if ((inboundByHost.get(host) ?? 0) >= config.maxConnectionsPerIp && !PeerAddress.isLoopback(host)) {
      return turnAway(link, {
        code: "TOO_MANY_CONNECTIONS",
        detail: "too many connections from this IP address",
        retryAfterMs: retryWhenFull
      })
    }
    if (halfOpen.size >= config.maxPendingHandshakes) evictHalfOpen()
    const connection = new Connection({ link, owner, settings: connectionSettings, deadlines })
    inboundByHost.set(host, (inboundByHost.get(host) ?? 0) + 1)
    begin(connection)
  }

  /** The oldest inbound connection that has not said HELLO gives way. */
  const evictHalfOpen = (): void => {
    for (const connection of halfOpen) {
      if (connection.direction === "inbound") {
        return connection.destroy(
          localError(connection, { code: "TOO_MANY_CONNECTIONS", detail: "too many handshakes at once" })
        )
      }
    }
  }

  const begin = (connection: Connection): void => {
    all.add(connection)
    halfOpen.add(connection)
    connection.attach(handshakeTimeout, () =>
      close(connection, { code: "HANDSHAKE_TIMEOUT", detail: `no HELLO within ${handshakeTimeout} ms` })
    )
  }

  const close = (connection: Connection, refusal: Handshake.Refusal, replyTo?: string, more?: JsonObject): void =>
    connection.close(localError(connection, refusal), errorFrame(refusal, true, replyTo, more))

  // --- Handshake ---

  const onFirst = (connection: Connection, envelope: Envelope): void => {
    if (envelope.type === "ERROR") return onErrorFirst(connection, envelope)
    if (envelope.type !== "HELLO") {
      return close(connection, { code: "HANDSHAKE_REQUIRED", detail: "type: not HELLO" }, envelope.id)
    }
    const refuseInvalid = (detail: string): void => invalid(connection, detail, envelope)
    if (envelope.recipient !== undefined) return refuseInvalid("recipient: HELLO belongs to one link")
    if (envelope.ttl !== undefined) return refuseInvalid("ttl: HELLO belongs to one link")
    const dial = dials.get(connection)
    if (dial !== undefined && envelope.replyTo !== dial.helloId) {
      return refuseInvalid("replyTo: not the id of the HELLO it answers")
    }
    const decoded = Payloads.decodeHello(envelope.payload)
    if (Either.isLeft(decoded)) return refuseInvalid(decoded.left)
    const theirs = decoded.right
    const { sender } = envelope
    const now = deadlines.now()
    const slot = slots.get(sender)
    const duplicate =
      slot === undefined
        ? undefined
        : compare(slot.current, {
            peer: sender,
            session: theirs.session,
            direction: connection.direction,
            openedAt: now
          })
    const refusal = Handshake.judge(local(), sender, theirs, connection.direction, {
      bannedForMs: offences.bannedFor(connection.remote.host, now),
      duplicate,
      hasRoom: hasRoom(sender, connection.direction),
      retryAfterMs: retryWhenFull
    })
    if (refusal !== undefined) {
      if (refusal.isConflict === true) report({ _tag: "Conflict", address: connection.remote })
      const more =
        refusal.code === "TOO_MANY_CONNECTIONS"
          ? { peers: samplePeers(sender, connection.remote, Payloads.maxErrorPeers, 4096) }
          : undefined
      return connection.close(
        localError(connection, refusal, sender),
        errorFrame(refusal, true, envelope.id, more as unknown as JsonObject)
      )
    }
    if (dial?.expect !== undefined && dial.expect !== sender) {
      const address = connection.dialed ?? connection.remote
      dials.delete(connection)
      dial.done(Either.left(new NetworkError.IdentityMismatch({ address, expected: dial.expect, actual: sender })))
      return close(connection, { code: "DISCONNECTED", detail: "another node was wanted" }, envelope.id)
    }
    if (connection.direction === "inbound") {
      connection.sendControl(node.control("HELLO", Handshake.hello(local(), connection.remote), envelope.id))
    }
    halfOpen.delete(connection)
    connection.open(Handshake.identity(sender, theirs, connection.remote), now)
    admit(connection, sender, duplicate)
  }

  const onErrorFirst = (connection: Connection, envelope: Envelope): void => {
    const decoded = Payloads.decodeError(envelope.payload)
    if (Either.isLeft(decoded)) return invalid(connection, decoded.left, envelope)
    const { peers } = decoded.right
    if (peers !== undefined) hint(envelope.sender, peers)
    connection.takeGoodbye(remoteError(connection, decoded.right, envelope.sender))
  }

  const hint = (teller: NodeId, peers: ReadonlyArray<Payloads.PeerEntry>): void =>
    book.update((state) => PeerBook.hinted(state, node.id, teller, peers, deadlines.now(), bookLimits))

  const samplePeers = (
    told: NodeId,
    toldAt: PeerAddress.PeerAddress,
    limit: number,
    bytes: number
  ): ReadonlyArray<Payloads.PeerEntry> => Payloads.fit(PeerBook.known(book.get(), told, toldAt).slice(0, limit), bytes)

  // --- Peers: one connection each ---

  const compare = (
    existing: Connection,
    newcomer: Duplicates.Contender & { readonly peer: NodeId }
  ): Duplicates.Outcome =>
    Duplicates.decide({
      self: node.id,
      peer: newcomer.peer,
      existing: {
        session: existing.identity?.session,
        direction: existing.direction,
        openedAt: existing.openedAt
      },
      newcomer,
      window: 2 * handshakeTimeout
    })

  const setSlot = (id: NodeId, slot: Slot | undefined): void => {
    if (slot === undefined) slots.delete(id)
    else slots.set(id, slot)
    live.update((before) => {
      const after = new Map(before)
      if (slot === undefined) after.delete(id)
      else after.set(id, slot.current)
      return after
    })
  }

  const duplicateRefusal: Handshake.Refusal = { code: "DUPLICATE_CONNECTION", detail: "the other connection stays" }

  /** The loser gives way. `awaitEnd`: what is still on its way over it is delivered before what the survivor brings. */
  const dropLoser = (loser: Connection, survivor: Connection, awaitEnd: boolean): void => {
    loser.outbox.moveTo(survivor.outbox)
    receiver?.superseded(loser, survivor, awaitEnd)
    loser.close(localError(loser, duplicateRefusal), errorFrame(duplicateRefusal, true), {
      deliverMillis: awaitEnd ? drainTimeout : 0
    })
  }

  const admit = (connection: Connection, id: NodeId, outcome: Duplicates.Outcome | undefined): void => {
    const slot = slots.get(id)
    const waiting = limbo.get(id)
    if (slot === undefined || outcome === undefined) {
      setSlot(id, { current: connection, standby: [] })
      remember(connection)
      if (waiting !== undefined) leaveLimbo(id, waiting, connection)
      else reportOpened(connection, id)
    } else if (outcome.rule === 1) {
      const loser = slot.current
      setSlot(id, { current: connection, standby: [] })
      remember(connection)
      for (const old of [loser, ...slot.standby]) {
        receiver?.superseded(old, connection, false)
        close(old, duplicateRefusal)
      }
      reportOpened(connection, id)
    } else if (outcome.stays === "existing") {
      const { dialed } = connection
      if (dialed !== undefined) book.update((state) => PeerBook.answered(state, dialed, id))
      dropLoser(connection, slot.current, true)
    } else {
      const loser = slot.current
      const isSettled = outcome.decides
      setSlot(id, { current: connection, standby: isSettled ? slot.standby : [loser, ...slot.standby] })
      remember(connection)
      if (isSettled) {
        dropLoser(loser, connection, outcome.rule === 2)
        for (const old of slot.standby) dropLoser(old, connection, false)
        if (outcome.rule === 3) setSlot(id, { current: connection, standby: [] })
      } else {
        // Until the other end closes it, it may yet be the one that stays.
        loser.outbox.moveTo(connection.outbox)
        receiver?.superseded(loser, connection, false)
      }
    }
    const dial = dials.get(connection)
    dials.delete(connection)
    const stays = slots.get(id)?.current ?? connection
    dial?.done(Either.right(stays))
    for (const tell of whenOpen.get(id) ?? []) tell(stays)
    whenOpen.delete(id)
  }

  const remember = (connection: Connection): void => {
    const { identity } = connection
    if (identity === undefined) return
    book.update((state) =>
      PeerBook.connected(
        state,
        { identity, direction: connection.direction, address: connection.remote, dialed: connection.dialed },
        deadlines.wallNow(),
        bookLimits
      )
    )
    // The book forgets those that were away for longest.
    if (past.size <= knownPeers) return
    for (const id of past.keys()) if (!HashMap.has(book.get().peers, id)) past.delete(id)
  }

  const reportOpened = (connection: Connection, id: NodeId): void => {
    const current = peer(id)
    if (current !== undefined) report({ _tag: "Opened", connection, peer: current })
  }

  /** The connection that stays has come: unless the peer has restarted, it was never away, and what was not sent goes there. */
  const leaveLimbo = (id: NodeId, waiting: Limbo, survivor: Connection): void => {
    limbo.delete(id)
    waiting.cancel()
    receiver?.superseded(waiting.connection, survivor, false)
    if (!isRestart(waiting.connection, survivor)) return survivor.outbox.takeOver(waiting.unsent)
    reportLost(id, waiting.connection, waiting.unsent)
    reportOpened(survivor, id)
  }

  // --- The end of a connection ---

  const onEnded = (
    connection: Connection,
    error: NetworkError.ConnectionError,
    unsent: ReadonlyArray<Outgoing>
  ): void => {
    // That of a dial is counted with the dial.
    if (!isMeant(error) && !dials.has(connection)) stats.error(error._tag)
    if (halfOpen.delete(connection)) {
      const dial = dials.get(connection)
      dials.delete(connection)
      // Of two dials that cross, one gives way: nothing has failed.
      if (error._tag !== "DuplicateConnection") {
        stats.count("handshakesFailed")
        report({ _tag: "HandshakeFailed", address: error.address, direction: connection.direction, error })
      }
      dial?.done(Either.left(error))
      return
    }
    const id = connection.identity?.id
    if (id === undefined) return
    const slot = slots.get(id)
    if (slot === undefined || (slot.current !== connection && !slot.standby.includes(connection))) {
      return reportLost(id, connection, unsent)
    }
    const others = slot.current === connection ? slot.standby : slot.standby.filter((other) => other !== connection)
    const [next = undefined, ...rest] = slot.current === connection ? others : [slot.current, ...others]
    if (next !== undefined) {
      // Another connection to the same node stands: it takes over what was not sent.
      setSlot(id, { current: next, standby: rest })
      return next.outbox.takeOver(unsent)
    }
    setSlot(id, undefined)
    if (error._tag === "DuplicateConnection" && error.origin === "remote") {
      const giveUp = (): void => {
        limbo.delete(id)
        leave(id, error, unsent)
      }
      limbo.set(id, { connection, error, unsent, cancel: deadlines.after(handshakeTimeout, giveUp) })
      return
    }
    leave(id, error, unsent)
  }

  const reportLost = (id: NodeId, connection: Connection, unsent: ReadonlyArray<Outgoing>): void => {
    const ids = idsOf(unsent)
    stats.count("lost", ids.length)
    const successor = slots.get(id)?.current
    const current = peer(id)
    if (successor !== undefined && current !== undefined && isRestart(connection, successor)) {
      report({ _tag: "Restarted", peer: current, unsent: ids })
    } else if (ids.length > 0) report({ _tag: "Lost", peer: id, unsent: ids })
  }

  /** The peer has no connection any more. */
  const leave = (id: NodeId, error: NetworkError.ConnectionError, unsent: ReadonlyArray<Outgoing>): void => {
    const ending = endingOf(error)
    const before = peer(id)
    book.update((state) => PeerBook.ended(state, id, ending, deadlines.now(), deadlines.wallNow()))
    const ids = idsOf(unsent)
    stats.count("lost", ids.length)
    const after = peer(id) ?? (before && { ...before, status: ending.status })
    if (after !== undefined) report({ _tag: "Ended", peer: after, error, unsent: ids })
    if (peer(id) === undefined) past.delete(id)
  }

  const endingOf = (error: NetworkError.ConnectionError): PeerBook.Ending => {
    const shown = { _tag: error._tag, message: error.message }
    switch (error._tag) {
      case "ShuttingDown":
        return error.origin === "remote"
          ? { status: "left", error: shown, avoidFor: leftFor, redial: undefined }
          : { status: "disconnected", error: shown, avoidFor: 0, redial: undefined }
      case "Disconnected":
        return {
          status: "disconnected",
          error: shown,
          avoidFor:
            error.origin === "local"
              ? (error.retryAfterMs ?? Infinity)
              : Math.min(error.retryAfterMs ?? disconnectedFor, Duration.toMillis(Policy.longestRetryAfter)),
          redial: undefined
        }
      case "DuplicateConnection":
        return {
          status: "disconnected",
          error: shown,
          avoidFor: 0,
          redial: {
            after: Policy.backoffDelay(backoff, 0, node.random()),
            giveUpAfter: Duration.toMillis(Policy.giveUpAfter)
          }
        }
      case "Banned":
        return error.origin === "local"
          ? { status: "banned", error: shown, avoidFor: error.retryAfterMs ?? disconnectedFor, redial: undefined }
          : deadOf(error)
      default:
        return deadOf(error)
    }
  }

  /** It is dialed again as the policy of the error says. */
  const deadOf = (error: NetworkError.ConnectionError): PeerBook.Ending => {
    const delay = Policy.retryDelay(backoff, error, 0, node.random())
    const isAsked = Policy.of(error).retry === "retryAfter"
    return {
      status: "dead",
      error: { _tag: error._tag, message: error.message },
      avoidFor: delay === undefined ? Duration.toMillis(config.healingInterval) : isAsked ? delay : 0,
      redial: delay === undefined ? undefined : { after: delay, giveUpAfter: Duration.toMillis(Policy.giveUpAfter) }
    }
  }

  const onClosed = (connection: Connection): void => {
    all.delete(connection)
    if (connection.direction === "inbound") {
      const { host } = connection.remote
      const left = (inboundByHost.get(host) ?? 1) - 1
      if (left === 0) inboundByHost.delete(host)
      else inboundByHost.set(host, left)
    }
    addTraffic(pastOfAll, connection)
    const id = connection.identity?.id
    if (id !== undefined && HashMap.has(book.get().peers, id)) {
      const totals = past.get(id) ?? noTraffic()
      addTraffic(totals, connection)
      past.set(id, totals)
    }
    receiver?.closed(connection)
    for (const tell of whenClosed) tell()
  }

  // --- What comes in ---

  const receive = (connection: Connection, envelope: Envelope, bytes: number): void => {
    const { identity } = connection
    if (identity === undefined) return onFirst(connection, envelope)
    const kind = LinkRules.classify(envelope, node.id, identity.id, identity.relay)
    switch (kind._tag) {
      case "Own":
      case "Ignored":
        return
      case "Invalid":
        return invalid(connection, kind.detail, envelope)
      case "Protocol":
        return connection.phase === "closing" ? undefined : onProtocol(connection, envelope)
      default:
        return receiver?.message(connection, envelope, bytes, kind._tag)
    }
  }

  const onProtocol = (connection: Connection, envelope: Envelope): void => {
    if (envelope.type === "HELLO") return invalid(connection, "type: a second HELLO", envelope)
    if (envelope.type === "ERROR") return onError(connection, envelope)
    const detail = handlers.get(envelope.type)?.(connection, envelope)
    if (detail !== undefined) invalid(connection, detail, envelope)
  }

  const onError = (connection: Connection, envelope: Envelope): void => {
    const decoded = Payloads.decodeError(envelope.payload)
    if (Either.isLeft(decoded)) return invalid(connection, decoded.left, envelope)
    const error = decoded.right
    const policy = codePolicy(error.code)
    if (!error.fatal && policy?.fatal !== "always") {
      stats.error(policy?.tag ?? "PeerFault")
      return receiver?.error(connection, envelope, error)
    }
    const taken = remoteError(connection, error, envelope.sender)
    if (taken._tag === "DuplicateConnection") handOver(connection)
    connection.takeGoodbye(taken)
  }

  /** The other end chose another connection: what waits here goes over that one. */
  const handOver = (loser: Connection): void => {
    const slot = loser.identity === undefined ? undefined : slots.get(loser.identity.id)
    const survivor = slot?.current === loser ? slot.standby[0] : undefined
    if (survivor !== undefined) loser.outbox.moveTo(survivor.outbox)
  }

  const invalid = (connection: Connection, detail: string, about: InvalidMessage): void => {
    if (connection.phase === "closing" || connection.phase === "closed") return
    stats.count("invalid")
    const isBanned = offences.count(connection.remote.host, deadlines.now())
    const refusal: Handshake.Refusal = { code: "INVALID_MESSAGE", detail }
    if (connection.phase === "handshaking") {
      return connection.close(
        localError(connection, refusal),
        about.type === "ERROR" ? undefined : errorFrame(refusal, true, about.id)
      )
    }
    stats.error("InvalidMessage")
    if (isBanned) return ban(connection)
    if (about.type !== "ERROR") connection.sendControl(errorFrame(refusal, false, about.id))
  }

  const onFault = (connection: Connection, refusal: Handshake.Refusal): void => {
    if (connection.phase === "closing" || connection.phase === "closed") return
    stats.count("invalid")
    if (offences.count(connection.remote.host, deadlines.now()) && connection.phase !== "handshaking") {
      return ban(connection)
    }
    close(connection, refusal)
  }

  const ban = (connection: Connection): void =>
    close(connection, {
      code: "BANNED",
      detail: "too many invalid messages",
      retryAfterMs: Duration.toMillis(config.banDuration)
    })

  const owner: Owner = {
    receive,
    invalid: (connection, detail, about) => invalid(connection, detail, about),
    fault: (connection, fault) => onFault(connection, fault),
    ended: onEnded,
    recovered: (connection) => setSuspect(connection, false),
    closed: onClosed
  }

  const setSuspect = (connection: Connection, isSuspect: boolean): void => {
    const id = connection.identity?.id
    if (id === undefined || slots.get(id)?.current !== connection) return
    connection.isSuspect = isSuspect
    book.update((state) => PeerBook.suspected(state, id, isSuspect, deadlines.wallNow()))
    const current = peer(id)
    if (current !== undefined) report({ _tag: isSuspect ? "Suspect" : "Recovered", peer: current })
  }

  // --- Dialing ---

  const permits = Effect.unsafeMakeSemaphore(config.dialConcurrency)
  const dialFibers = yield* FiberSet.make()
  const forkDial = yield* FiberSet.runtime(dialFibers)<never>()

  const openLink = (address: PeerAddress.PeerAddress): Effect.Effect<Link, NetworkError.ConnectError> =>
    Effect.suspend(() => {
      const millis = Duration.toMillis(config.connectTimeout)
      let arrived: Link | undefined = undefined
      return transport.dial(address).pipe(
        Effect.map((link) => (arrived = link)),
        Effect.timeoutFail({
          duration: config.connectTimeout,
          onTimeout: () => new NetworkError.DialTimeout({ address, millis })
        }),
        // It may have come in the very moment in which nobody waited for it any more.
        Effect.onError(() => Effect.sync(() => arrived?.destroy()))
      )
    })

  const connectOnce = (
    address: PeerAddress.PeerAddress,
    expect: NodeId | undefined
  ): Effect.Effect<Connection, NetworkError.ConnectError> =>
    Effect.uninterruptibleMask((restore) =>
      Effect.gen(function* () {
        if (slots.size + limbo.size + outboundHandshakes() >= config.maxPeers) {
          return yield* localError({ remote: address }, { code: "TOO_MANY_CONNECTIONS", detail: "maxPeers is reached" })
        }
        const link = yield* restore(openLink(address))
        const result = Deferred.unsafeMake<Connection, NetworkError.ConnectError>(FiberId.none)
        const connection = new Connection({ link, owner, settings: connectionSettings, deadlines, dialed: address })
        const hello = node.compose("HELLO", Handshake.hello(local(), link.remote))
        dials.set(connection, {
          helloId: hello.id,
          expect,
          done: (outcome) => Deferred.unsafeDone(result, outcome)
        })
        begin(connection)
        connection.sendControl(node.encode(hello))
        return yield* restore(Deferred.await(result)).pipe(
          Effect.onInterrupt(() =>
            Effect.sync(() => {
              if (halfOpen.has(connection)) {
                connection.destroy(localError(connection, { code: "SHUTTING_DOWN", detail: "the dial was given up" }))
              }
            })
          )
        )
      })
    ).pipe(Effect.catchTag("DuplicateConnection", (error) => survivorOf(error)))

  /** A dial that was refused as a duplicate has what it wanted: the connection that stays, perhaps in a moment. */
  const survivorOf = (
    error: NetworkError.DuplicateConnection
  ): Effect.Effect<Connection, NetworkError.DuplicateConnection> =>
    Effect.async((resume) => {
      const id = error.peer
      const current = id === undefined ? undefined : slots.get(id)?.current
      if (id === undefined || current !== undefined) {
        return resume(current === undefined ? Effect.fail(error) : Effect.succeed(current))
      }
      const waiting = whenOpen.get(id) ?? new Set()
      whenOpen.set(id, waiting)
      const tell = (connection: Connection): void => {
        cancel()
        resume(Effect.succeed(connection))
      }
      const forget = (): void => {
        waiting.delete(tell)
        if (waiting.size === 0) whenOpen.delete(id)
      }
      const cancel = deadlines.after(handshakeTimeout, () => {
        forget()
        resume(Effect.fail(error))
      })
      waiting.add(tell)
      return Effect.sync(() => {
        cancel()
        forget()
      })
    })

  const onDialFailed = (address: PeerAddress.PeerAddress, error: NetworkError.ConnectError, isOnce: boolean): void => {
    stats.count("dialsFailed")
    stats.error(error._tag)
    const now = deadlines.now()
    if (error._tag === "SelfConnection") {
      book.update((state) => PeerBook.isSelf(state, address))
      return report({ _tag: "DialFailed", address, error, attempts: 1, retryIn: undefined })
    }
    const record = Option.getOrUndefined(HashMap.get(book.get().addresses, address.toString()))
    const attempts = record?.attempts ?? 0
    if (isOnce && record === undefined) {
      return report({ _tag: "DialFailed", address, error, attempts: 1, retryIn: undefined })
    }
    const healing =
      record?.isBootstrap === true && (Policy.of(error).retry === "healing" || error._tag === "IdentityMismatch")
        ? Duration.toMillis(config.healingInterval)
        : undefined
    const retryAfter = healing ?? Policy.retryDelay(backoff, error, attempts, node.random()) ?? Infinity
    book.update((state) =>
      PeerBook.dialFailed(
        state,
        address,
        {
          error: { _tag: error._tag, message: error.message },
          // A bootstrap address is never given up for good.
          retryAfter:
            record?.isBootstrap === true && retryAfter === Infinity
              ? Duration.toMillis(config.healingInterval)
              : retryAfter,
          giveUpAfter: Duration.toMillis(Policy.giveUpAfter)
        },
        now
      )
    )
    const after = Option.getOrUndefined(HashMap.get(book.get().addresses, address.toString()))
    report({
      _tag: "DialFailed",
      address,
      error,
      attempts: attempts + 1,
      retryIn: after === undefined || after.nextAt === Infinity ? undefined : after.nextAt - now
    })
  }

  const startDial = (
    address: PeerAddress.PeerAddress,
    options: DialOptions
  ): Effect.Effect<Connection, NetworkError.ConnectError> => {
    const key = address.toString()
    const result = Deferred.unsafeMake<Connection, NetworkError.ConnectError>(FiberId.none)
    dialing.set(key, result)
    const fiber = forkDial(
      permits
        .withPermits(1)(connectOnce(address, options.expect))
        .pipe(
          Effect.tap((connection) =>
            Effect.sync(() => {
              const { hint: hinted } = options
              if (hinted !== undefined && connection.identity?.id !== hinted) {
                book.update((state) => PeerBook.dropHint(state, hinted))
              }
            })
          ),
          Effect.tapError((error) => Effect.sync(() => onDialFailed(address, error, options.isOnce === true)))
        )
    )
    // An observer also hears of a fiber that was interrupted before its first step.
    fiber.addObserver((exit) => {
      dialing.delete(key)
      Deferred.unsafeDone(
        result,
        Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)
          ? Effect.fail(new NetworkError.NetworkNotRunning())
          : exit
      )
    })
    return Deferred.await(result)
  }

  const dial = (
    address: PeerAddress.PeerAddress,
    options: DialOptions = {}
  ): Effect.Effect<Connection, NetworkError.ConnectError> =>
    Effect.suspend(() => {
      if (!running) return Effect.fail(new NetworkError.NetworkNotRunning())
      const current = dialing.get(address.toString())
      if (current !== undefined) {
        const { expect } = options
        return Effect.filterOrElse(
          Deferred.await(current),
          (connection) => expect === undefined || connection.identity?.id === expect,
          (connection) =>
            Effect.fail(
              new NetworkError.IdentityMismatch({
                address,
                expected: expect ?? node.id,
                actual: connection.identity?.id ?? node.id
              })
            )
        )
      }
      return dialing.size >= dialQueue
        ? Effect.fail(new NetworkError.DialQueueFull({ address, limit: dialQueue }))
        : startDial(address, options)
    })

  // --- Closing ---

  /** Takes the peer's connection out of service, to be closed once what is queued has gone out. */
  const retire = (id: NodeId, refusal: Handshake.Refusal, drainMillis: number): ReadonlyArray<Connection> => {
    const waiting = limbo.get(id)
    if (waiting !== undefined) {
      limbo.delete(id)
      waiting.cancel()
      leave(id, localError(waiting.connection, refusal), waiting.unsent)
    }
    const slot = slots.get(id)
    if (slot === undefined) return []
    setSlot(id, undefined)
    leave(id, localError(slot.current, refusal), [])
    const closing = [slot.current, ...slot.standby]
    for (const connection of closing) {
      connection.close(localError(connection, refusal), errorFrame(refusal, true), { drainMillis })
    }
    return closing
  }

  /** Waits until the links are gone, for so long at most; where nothing can be interrupted, too. */
  const allClosed = (connections: ReadonlyArray<Connection>, millis = Infinity): Effect.Effect<void> =>
    Effect.async((resume) => {
      const forget = (): void => {
        whenClosed.delete(check)
        cancel()
      }
      const done = (): void => {
        forget()
        resume(Effect.void)
      }
      const check = (): void => {
        if (!connections.some((connection) => all.has(connection))) done()
      }
      const cancel = deadlines.after(millis, done)
      whenClosed.add(check)
      check()
      return Effect.sync(forget)
    })

  const destroyAll = (connections: ReadonlyArray<Connection>): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const connection of connections) {
        if (all.has(connection)) {
          connection.destroy(localError(connection, { code: "SHUTTING_DOWN", detail: "not closed in time" }))
        }
      }
      for (const link of turnedAway) link.destroy()
    })

  const disconnect = (id: NodeId): Effect.Effect<void> =>
    Effect.suspend(() =>
      allClosed(retire(id, { code: "DISCONNECTED", detail: "closed by the application" }, shutdownGrace))
    )

  const giveUp = (id: NodeId): Effect.Effect<void> =>
    Effect.sync(() => {
      const detail = "more connections than wanted"
      retire(id, { code: "DISCONNECTED", detail, retryAfterMs: disconnectedFor }, shutdownGrace)
    })

  const shutdown = Effect.gen(function* () {
    running = false
    listening = undefined
    // All at once: one after the other, each would hand its turn to dial to the next.
    for (const fiber of dialFibers) fiber.unsafeInterruptAsFork(FiberId.none)
    yield* FiberSet.clear(dialFibers)
    const refusal: Handshake.Refusal = { code: "SHUTTING_DOWN", detail: "the node stops" }
    const drainMillis = Math.max(shutdownGrace - closeTimeout, shutdownGrace / 2)
    for (const id of [...slots.keys(), ...limbo.keys()]) retire(id, refusal, drainMillis)
    for (const connection of halfOpen) close(connection, refusal)
    const left = [...all]
    yield* allClosed(left, shutdownGrace)
    yield* destroyAll(left)
    yield* allClosed(left)
  })

  const listen = Effect.gen(function* () {
    running = true
    const listener = yield* transport.listen(PeerAddress.make(config.host, config.port), accept).pipe(
      Effect.tapError(() =>
        Effect.sync(() => {
          running = false
        })
      )
    )
    listening = listener.address
    return listener.address
  })

  yield* Effect.addFinalizer(() => Effect.suspend(() => destroyAll([...all])))

  // --- What is shown ---

  const peerOf = (record: PeerBook.PeerRecord): Peer => {
    const totals = { ...(past.get(record.id) ?? noTraffic()) }
    for (const connection of all) if (connection.identity?.id === record.id) addTraffic(totals, connection)
    const trips = slots.get(record.id)?.current.roundTrips
    return {
      id: record.id,
      status: record.status,
      direction: record.direction,
      address: record.address,
      addresses: record.addresses,
      since: new Date(record.since).toISOString(),
      ...(record.agent === undefined ? {} : { agent: record.agent }),
      tags: record.tags,
      ...(trips === undefined || trips.count === 0
        ? {}
        : { roundTrip: { lastMs: trips.last ?? 0, meanMs: trips.mean ?? 0, p99Ms: trips.quantile(0.99) ?? 0 } }),
      bytes: { in: totals.bytesIn, out: totals.bytesOut },
      messages: { in: totals.messagesIn, out: totals.messagesOut },
      attempts: record.attempts
    }
  }

  const peer = (id: NodeId): Peer | undefined => {
    const record = Option.getOrUndefined(HashMap.get(book.get().peers, id))
    return record === undefined ? undefined : peerOf(record)
  }

  return ConnectionPool.of({
    live: live.ref,
    unsafeLive: live.get,
    opened: function* () {
      for (const connection of all) if (connection.phase === "open" || connection.phase === "draining") yield connection
    },
    events,
    counts: () => {
      let inbound = 0
      let closing = 0
      for (const { current } of slots.values()) if (current.direction === "inbound") inbound++
      for (const { phase } of all) if (phase === "closing" || phase === "draining") closing++
      return { inbound, outbound: slots.size - inbound, handshaking: halfOpen.size, closing }
    },
    totals: () => {
      const totals = { ...pastOfAll }
      for (const connection of all) addTraffic(totals, connection)
      return totals
    },
    dialing: () => new Set(dialing.keys()),
    listen,
    advertised,
    dial,
    disconnect,
    giveUp,
    isBusy: (id) => receiver?.isBusy(id) === true,
    shutdown,
    kill: (connection, error) => connection.destroy(error),
    close: (connection, refusal, replyTo) =>
      codePolicy(refusal.code)?.countsAsInvalid === true
        ? onFault(connection, refusal)
        : close(connection, refusal, replyTo),
    suspect: (connection) => setSuspect(connection, true),
    invalid: (connection, detail, envelope) => invalid(connection, detail, envelope),
    on: (type, handler) => {
      handlers.set(type, handler)
    },
    setReceiver: (next) => {
      receiver = next
    },
    peers: () => [...HashMap.values(book.get().peers)].map(peerOf),
    peer
  })
})

interface InvalidMessage {
  readonly type?: string | undefined
  readonly id?: string | undefined
}

const localError = (
  connection: { readonly remote: PeerAddress.PeerAddress; readonly identity?: Identity | undefined },
  refusal: Handshake.Refusal,
  peer = connection.identity?.id
): NetworkError.ConnectionError =>
  NetworkError.fromCode(refusal.code, {
    address: connection.remote,
    peer,
    origin: "local",
    detail: refusal.detail,
    retryAfterMs: refusal.retryAfterMs
  })

const remoteError = (
  connection: Connection,
  error: Payloads.ErrorPayload,
  peer: NodeId
): NetworkError.ConnectionError =>
  NetworkError.fromCode(error.code, {
    address: connection.dialed ?? connection.remote,
    peer,
    origin: "remote",
    detail: error.message.slice(0, 256),
    retryAfterMs: error.retryAfterMs
  })

const idsOf = (unsent: ReadonlyArray<Outgoing>): ReadonlyArray<string> =>
  unsent.flatMap(({ id }) => (id === undefined ? [] : [id]))

/** The same node, but another run of it. */
const isRestart = ({ identity: before }: Connection, { identity: after }: Connection): boolean =>
  before?.session !== undefined && after?.session !== undefined && before.session !== after.session

/** A connection that somebody wanted to end: no error to be counted. */
const isMeant = (error: NetworkError.ConnectionError): boolean =>
  error._tag === "ShuttingDown" || error._tag === "Disconnected" || error._tag === "DuplicateConnection"

const codePolicy = (code: string): Policy.CodePolicy | undefined =>
  Policy.isCode(code) ? Policy.codes[code] : undefined

type MutableTotals = { -readonly [K in keyof Totals]: number }

const noTraffic = (): MutableTotals => ({ messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 })

const addTraffic = (totals: MutableTotals, connection: Connection): void => {
  totals.messagesIn += connection.framesIn
  totals.messagesOut += connection.outbox.framesOut
  totals.bytesIn += connection.bytesIn
  totals.bytesOut += connection.outbox.bytesOut
}

/**
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  ConnectionPool,
  never,
  NetworkConfig | LocalNode | PeerBook.PeerBook | NetworkStats | Transport
> = Layer.scoped(ConnectionPool, make)
