/**
 * Finds peers: dials the bootstrap addresses for ever, asks those it meets whom they know, dials what they tell up to the
 * target, and dials again who was lost. docs/PROTOCOL.md, section 5. Whom to dial is a pure choice over the peer book; one
 * fiber carries it out, another asks.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberSet from "effect/FiberSet"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Connection } from "./Connection.js"
import { ConnectionPool } from "./ConnectionPool.js"
import { sample } from "./internal/sample.js"
import { LocalNode } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
import { NetworkConfig } from "./NetworkConfig.js"
import { NetworkStats } from "./NetworkStats.js"
import type { NodeId } from "./NodeId.js"
import * as Payloads from "./Payloads.js"
import type { PeerAddress } from "./PeerAddress.js"
import * as PeerBook from "./PeerBook.js"
import { Transport } from "./Transport.js"

/**
 * The search for peers, and what it is told.
 *
 * @since 0.1.0
 * @category tags
 */
export class Discovery extends Context.Tag("synapse-p2p/Discovery")<
  Discovery,
  {
    /** Looks for peers for ever. Interruption gives up the dials under way. */
    readonly run: Effect.Effect<never>
    /** A handshake is done: the peer is asked whom it knows. */
    readonly met: (connection: Connection) => void
    /** Something has changed: whom to dial is thought over now. */
    readonly poke: () => void
  }
>() {}

/**
 * An address to dial: `hint`, the node that others say is there.
 *
 * @since 0.1.0
 * @category models
 */
export interface Candidate {
  readonly address: PeerAddress
  readonly hint: NodeId | undefined
}

/**
 * What the choice rests on. Times are monotonic milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface View {
  readonly now: number
  readonly live: ReadonlySet<NodeId>
  /** Addresses being dialed. */
  readonly dialing: ReadonlySet<string>
  readonly target: number
  readonly maxDials: number
  readonly random: () => number
}

/**
 * Whom to dial now, and when to think again (`Infinity`: when something changes). First bootstrap addresses and lost
 * peers that are due, then hints in random order, while there are fewer than `target` connections and dials; what the
 * application asked for is dialed again whatever the target.
 *
 * @since 0.1.0
 * @category decisions
 */
export const plan = (
  book: PeerBook.State,
  view: View
): { readonly dial: ReadonlyArray<Candidate>; readonly nextAt: number } => {
  const { dialing, live, maxDials, now, random, target } = view
  const chosen: Array<Candidate> = []
  const taken = new Set<NodeId>()
  let nextAt = Infinity
  const wanted = (): number => Math.min(target - live.size, maxDials) - dialing.size - chosen.length
  const choose = (address: PeerAddress, id: NodeId | undefined, hint: NodeId | undefined): void => {
    chosen.push({ address, hint })
    if (id !== undefined) taken.add(id)
  }

  const peerOf = (id: NodeId | undefined): PeerBook.PeerRecord | undefined =>
    id === undefined ? undefined : Option.getOrUndefined(HashMap.get(book.peers, id))
  /** Not before; `Infinity` too is a time that never comes. */
  const isLater = (dueAt: number): boolean => {
    if (dueAt > now) nextAt = Math.min(nextAt, dueAt)
    return dueAt > now
  }

  for (const record of sample([...HashMap.values(book.addresses)], Infinity, random)) {
    const { address, id } = record
    if (dialing.has(address.toString()) || (id !== undefined && (live.has(id) || taken.has(id)))) continue
    const peer = peerOf(id)
    if (PeerBook.isGivenUp(record, now) || isLater(Math.max(record.nextAt, peer?.avoidUntil ?? 0))) continue
    const isRequested = peer?.isRequested === true && chosen.length + dialing.size < maxDials
    if (wanted() > 0 || isRequested) choose(address, id, undefined)
  }
  for (const hint of sample([...HashMap.values(book.hints)], Infinity, random)) {
    if (wanted() <= 0) break
    if (live.has(hint.id) || taken.has(hint.id) || isLater(peerOf(hint.id)?.avoidUntil ?? 0)) continue
    const address = hint.addresses.find(
      (other) =>
        !dialing.has(other.toString()) &&
        !HashMap.has(book.addresses, other.toString()) &&
        !chosen.some((candidate) => candidate.address.toString() === other.toString())
    )
    if (address !== undefined) choose(address, hint.id, hint.id)
  }
  return { dial: chosen, nextAt }
}

/**
 * Whom to dial so that the halves of a split network find each other: at random one bootstrap or remembered node that is
 * not connected, also one that left or was given up; never one that the application disconnected, one that is to be left
 * alone for now, or, below the target, one that {@link plan} comes to by itself.
 *
 * @since 0.1.0
 * @category decisions
 */
export const heal = (
  book: PeerBook.State,
  view: Pick<View, "now" | "live" | "dialing" | "target" | "random">
): PeerAddress | undefined => {
  const { dialing, live, now, random, target } = view
  const places: Array<PeerAddress> = []
  const isPlanned = (address: PeerAddress): boolean =>
    live.size < target && HashMap.has(book.addresses, address.toString())
  for (const { address, id, isBootstrap, nextAt } of HashMap.values(book.addresses)) {
    const peer = id === undefined ? undefined : Option.getOrUndefined(HashMap.get(book.peers, id))
    const isAvoided = peer?.avoidUntil === Infinity || (peer?.status !== "left" && (peer?.avoidUntil ?? 0) > now)
    if (isBootstrap && nextAt !== Infinity && !isAvoided && (id === undefined || !live.has(id))) places.push(address)
  }
  for (const peer of HashMap.values(book.peers)) {
    const isAvoided = peer.status === "left" ? peer.avoidUntil === Infinity : peer.avoidUntil > now
    const [address] = sample(peer.addresses, 1, random)
    if (!live.has(peer.id) && !isAvoided && address !== undefined) places.push(address)
  }
  const [chosen] = sample(
    places.filter((address) => !dialing.has(address.toString()) && !isPlanned(address)),
    1,
    random
  )
  return chosen
}

/** Peers asked in a round. */
const fanOut = 3

/** Entries asked for. */
const listLimit = 32

/** Peers that are told of one just connected, and how often, milliseconds. */
const announceTo = 8
const announceEvery = 1000

/** A peer's questions that wait for an answer: more than these are forgotten. */
const maxQuestions = 4

/**
 * Scope: interrupts the dials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = Effect.gen(function* () {
  const config = yield* NetworkConfig
  const node = yield* LocalNode
  const book = yield* PeerBook.PeerBook
  const pool = yield* ConnectionPool
  const stats = yield* NetworkStats
  const transport = yield* Transport
  const { deadlines, random } = node
  const limits: PeerBook.Limits = {
    peers: Infinity,
    hints: config.maxHints,
    hintsPerTeller: config.maxHintsPerTeller
  }
  /** Requests for lists that are not answered yet, by connection. */
  const questions = new WeakMap<Connection, Set<string>>()
  let wake: (() => void) | undefined
  let isPoked = false

  const poke = (): void => {
    isPoked = true
    wake?.()
  }

  // --- Lists ---

  const ask = (connection: Connection): void => {
    const request = node.compose("PEER_LIST", { kind: "request", limit: listLimit })
    const open = questions.get(connection) ?? new Set()
    questions.set(connection, open)
    for (const oldest of open) {
      if (open.size < maxQuestions) break
      open.delete(oldest)
    }
    open.add(request.id)
    connection.sendControl(node.encode(request))
  }

  const tell = (
    connection: Connection,
    kind: "response" | "announce",
    entries: ReadonlyArray<Payloads.PeerEntry>,
    replyTo?: string
  ): void => {
    const room = (connection.identity?.maxMessageBytes ?? 0) - 1024
    const lastSeen = new Date(deadlines.wallNow()).toISOString()
    const peers = Payloads.fit(
      entries.map((entry) => Object.assign({ lastSeen }, entry)),
      room
    )
    connection.sendControl(node.control("PEER_LIST", { kind, peers } as unknown as JsonObject, replyTo))
  }

  const answer = (connection: Connection, request: Envelope, limit: number): void => {
    const known = PeerBook.known(book.get(), request.sender, connection.remote)
    tell(connection, "response", sample(known, Math.min(limit, Payloads.maxPeerEntries), random), request.id)
  }

  /** Peers connected since the last announcement. */
  const fresh = new Set<NodeId>()

  const announceLater = (id: NodeId): void => {
    if (fresh.size === 0) deadlines.after(announceEvery, announce)
    fresh.add(id)
  }

  const announce = (): void => {
    for (const [told, connection] of sample([...pool.unsafeLive()], announceTo, random)) {
      const news = PeerBook.known(book.get(), told, connection.remote).filter(({ id }) => fresh.has(id))
      if (news.length > 0) tell(connection, "announce", news.slice(0, Payloads.maxPeerEntries))
    }
    fresh.clear()
  }

  pool.on("PEER_LIST", (connection, envelope) => {
    const decoded = Payloads.decodePeerList(envelope.payload)
    if (Either.isLeft(decoded)) return decoded.left
    const list = decoded.right
    switch (list.kind) {
      case "request":
        answer(connection, envelope, list.limit)
        return undefined
      case "response":
        if (envelope.replyTo === undefined || questions.get(connection)?.delete(envelope.replyTo) !== true) {
          stats.count("repliesDropped")
          return undefined
        }
        take(envelope.sender, list.peers)
        return undefined
      case "announce":
        take(envelope.sender, list.peers)
        return undefined
      case "unknown":
        return undefined
    }
  })

  const take = (teller: NodeId, peers: ReadonlyArray<Payloads.PeerEntry>): void => {
    book.update((state) => PeerBook.hinted(state, node.id, teller, peers, deadlines.now(), limits))
    poke()
  }

  const round = Effect.sync(() => {
    book.update((state) => PeerBook.expired(state, deadlines.now()))
    for (const connection of sample([...pool.unsafeLive().values()], fanOut, random)) ask(connection)
    // What was given up for its age is found again by what others tell, and by bootstrap.
    poke()
  })

  const asking = Effect.schedule(
    round,
    Schedule.spaced(config.discoveryInterval).pipe(Schedule.jitteredWith({ min: 0.8, max: 1.2 }))
  )

  // --- Dialing ---

  /** What each configured address stood for when it was last asked for. */
  const meanings = new Map<PeerAddress, ReadonlyArray<PeerAddress>>()

  const stands = (name: PeerAddress, addresses: ReadonlyArray<PeerAddress>): void => {
    const before = meanings.get(name) ?? []
    meanings.set(name, addresses)
    const current = new Set([...meanings.values()].flat().map(String))
    book.update((state) => {
      const dropped = before.filter((address) => !current.has(address.toString()))
      return addresses.reduce(PeerBook.addBootstrap, dropped.reduce(PeerBook.dropBootstrap, state))
    })
    poke()
  }

  /**
   * A name stands for all its addresses, asked for anew while peers are wanted. One that cannot be resolved stands for
   * what it stood for before, at first for itself, so that dialing it tells what is wrong.
   */
  const bootstrap = Effect.forEach(
    config.bootstrap,
    (name) =>
      transport.resolve(name).pipe(
        Effect.catchAll(() => Effect.succeed(meanings.get(name) ?? [name])),
        Effect.map((addresses) => stands(name, addresses))
      ),
    { discard: true, concurrency: config.dialConcurrency }
  )

  const resolving = Effect.schedule(
    Effect.suspend(() => (pool.unsafeLive().size < config.targetPeers ? bootstrap : Effect.void)),
    Schedule.spaced(config.healingInterval)
  )

  const thinkAgain = (nextAt: number): Effect.Effect<void> =>
    Effect.async((resume) => {
      if (isPoked) return resume(Effect.void)
      const cancel = deadlines.after(nextAt - deadlines.now(), () => wake?.())
      wake = () => {
        wake = undefined
        cancel()
        resume(Effect.void)
      }
      return Effect.sync(() => {
        wake = undefined
        cancel()
      })
    })

  /** Also where the connection that stays is another than the one dialed, which the address is then not known by. */
  const remember = (address: PeerAddress, { identity }: Connection): void => {
    if (identity === undefined || !pool.unsafeLive().has(identity.id)) return
    book.update((state) => PeerBook.answered(state, address, identity.id))
  }

  const dialing = Effect.gen(function* () {
    const fibers = yield* FiberSet.make()
    while (true) {
      isPoked = false
      const { dial, nextAt } = plan(book.get(), {
        now: deadlines.now(),
        live: new Set(pool.unsafeLive().keys()),
        dialing: pool.dialing(),
        target: config.targetPeers,
        maxDials: config.dialConcurrency,
        random
      })
      for (const { address, hint } of dial) {
        yield* FiberSet.run(
          fibers,
          pool.dial(address, hint === undefined ? {} : { hint }).pipe(
            Effect.map((connection) => remember(address, connection)),
            Effect.ignore,
            Effect.ensuring(Effect.sync(poke))
          )
        )
      }
      // The dials just begun count as such only once their fibers have run.
      yield* Effect.yieldNow()
      yield* thinkAgain(nextAt)
    }
  }).pipe(Effect.scoped)

  // --- Healing ---

  /** Over the target, one connection that nobody needs gives way to the one that was made. */
  const giveWay = (healed: Connection): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = pool.unsafeLive()
      const id = healed.identity?.id
      if (live.size <= config.targetPeers) return Effect.void
      const [leaving] = sample(
        [...live].filter(
          ([peer, { direction }]) =>
            direction === "outbound" &&
            peer !== id &&
            !pool.isBusy(peer) &&
            Option.match(HashMap.get(book.get().peers, peer), { onNone: () => true, onSome: (r) => !r.isRequested })
        ),
        1,
        random
      )
      return leaving === undefined ? Effect.void : pool.giveUp(leaving[0])
    })

  const healing = Effect.schedule(
    Effect.suspend(() => {
      const address = heal(book.get(), {
        now: deadlines.now(),
        live: new Set(pool.unsafeLive().keys()),
        dialing: pool.dialing(),
        target: config.targetPeers,
        random
      })
      if (address === undefined) return Effect.void
      return pool.dial(address, { isOnce: true }).pipe(
        Effect.tap((connection) => Effect.sync(() => remember(address, connection))),
        Effect.flatMap(giveWay),
        Effect.ignore
      )
    }),
    Schedule.spaced(config.healingInterval).pipe(Schedule.jitteredWith({ min: 0.8, max: 1.2 }))
  )

  const run = Effect.all([dialing, asking, healing, Effect.zipRight(bootstrap, resolving)], {
    concurrency: "unbounded",
    discard: true
  }).pipe(Effect.zipRight(Effect.never), Effect.annotateLogs({ module: "Discovery" }))

  return Discovery.of({
    run,
    met: (connection) => {
      ask(connection)
      if (connection.identity !== undefined) announceLater(connection.identity.id)
      poke()
    },
    poke
  })
})

/**
 * Discovery over the pool and the peer book. It does nothing before `run`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<
  Discovery,
  never,
  NetworkConfig | LocalNode | PeerBook.PeerBook | ConnectionPool | NetworkStats | Transport
> = Layer.effect(Discovery, make)
