/**
 * Finds peers: dials the bootstrap addresses for ever, asks those it meets whom they know, dials what they tell up to the
 * target, and dials again who was lost. docs/PROTOCOL.md, section 5. Whom to dial is a pure choice over the peer book; one
 * fiber carries it out, another asks.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as FiberSet from "effect/FiberSet"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type { Connection } from "./Connection.js"
import { ConnectionPool } from "./ConnectionPool.js"
import { RateLimit } from "./internal/RateLimit.js"
import { sample } from "./internal/sample.js"
import { LocalNode } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
import { NetworkConfig } from "./NetworkConfig.js"
import { NetworkStats } from "./NetworkStats.js"
import type { NodeId } from "./NodeId.js"
import * as Payloads from "./Payloads.js"
import type { PeerAddress } from "./PeerAddress.js"
import * as PeerAddresses from "./PeerAddress.js"
import * as PeerBook from "./PeerBook.js"
import * as Policy from "./Policy.js"
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
  /** Where this node has dialed those of them that it dialed itself. Default: not known, and nothing follows from it. */
  readonly outbound?: ReadonlyArray<PeerAddress>
  /** Addresses being dialed. */
  readonly dialing: ReadonlySet<string>
  readonly target: number
  readonly maxDials: number
  readonly random: () => number
}

const peerOf = (book: PeerBook.State, id: NodeId | undefined): PeerBook.PeerRecord | undefined =>
  id === undefined ? undefined : Option.getOrUndefined(HashMap.get(book.peers, id))

/** In random order, but each teller has its turn: who tells much is not heard before who tells little. */
const inTurns = (
  hints: PeerBook.State["hints"],
  random: () => number
): ReadonlyArray<PeerBook.Telling & { readonly id: NodeId }> => {
  const byTeller = new Map<NodeId, Array<PeerBook.Telling & { readonly id: NodeId }>>()
  const all = [...HashMap.values(hints)].flatMap(({ id, told }) => told.map((telling) => ({ ...telling, id })))
  for (const telling of sample(all, Infinity, random)) {
    const turns = byTeller.get(telling.teller) ?? []
    byTeller.set(telling.teller, turns)
    turns.push(telling)
  }
  const tellers = [...byTeller.values()]
  const rounds = Math.max(0, ...tellers.map(({ length }) => length))
  return Array.from({ length: rounds }, (_, round) => tellers.flatMap((turns) => turns.slice(round, round + 1))).flat()
}

/**
 * Whom to dial now, and when to think again (`Infinity`: when something changes). First bootstrap addresses and lost
 * peers that are due, but none that left, then hints at random, while there are fewer than `target` connections and
 * dials; what the application asked for is dialed again whatever the target. A quarter of the target is dialed even where
 * others have dialed this node so often that it has enough, and hints are spread over the parts of the network.
 *
 * @since 0.1.0
 * @category decisions
 */
export const plan = (
  book: PeerBook.State,
  view: View
): { readonly dial: ReadonlyArray<Candidate>; readonly nextAt: number } => {
  const { dialing, live, maxDials, now, random, target } = view
  const outbound = view.outbound ?? []
  const reserved = view.outbound === undefined ? 0 : Math.floor(target * ownShare)
  const chosen: Array<Candidate> = []
  const taken = new Set<NodeId>()
  let nextAt = Infinity
  const missing = Math.max(target - live.size, reserved - outbound.length)
  const wanted = (): number => Math.min(missing, maxDials) - dialing.size - chosen.length
  const choose = (address: PeerAddress, id: NodeId | undefined, hint: NodeId | undefined): void => {
    chosen.push({ address, hint })
    if (id !== undefined) taken.add(id)
  }

  /** Not before; `Infinity` too is a time that never comes. */
  const isLater = (dueAt: number): boolean => {
    if (dueAt > now) nextAt = Math.min(nextAt, dueAt)
    return dueAt > now
  }

  for (const record of sample([...HashMap.values(book.addresses)], Infinity, random)) {
    const { address, id } = record
    if (dialing.has(address.toString()) || (id !== undefined && (live.has(id) || taken.has(id)))) continue
    const peer = peerOf(book, id)
    if (peer?.status === "left") continue
    if (PeerBook.isGivenUp(record, now) || isLater(Math.max(record.nextAt, peer?.avoidUntil ?? 0))) continue
    const isRequested = peer?.isRequested === true && chosen.length + dialing.size < maxDials
    if (wanted() > 0 || isRequested) choose(address, id, undefined)
  }
  if (wanted() <= 0) return { dial: chosen, nextAt }
  const held = PeerBook.heldByLive(book)
  const crowded = (address: PeerAddress): number => {
    const group = PeerAddresses.group(address.host)
    if (group === undefined) return 0
    const all = [...outbound, ...chosen.map((candidate) => candidate.address)]
    return all.filter(({ host }) => PeerAddresses.group(host) === group).length
  }
  const turns = inTurns(book.hints, random)
  // First where this node is not yet, then wherever it may go: whoever owns one part of the network is not all it knows.
  for (const [round, hint] of [...turns.map((one) => [1, one] as const), ...turns.map((one) => [2, one] as const)]) {
    if (wanted() <= 0) break
    if (live.has(hint.id) || taken.has(hint.id) || isLater(peerOf(book, hint.id)?.avoidUntil ?? 0)) continue
    const address = hint.addresses.find(
      (other) =>
        !dialing.has(other.toString()) &&
        !HashMap.has(book.addresses, other.toString()) &&
        !held.has(other.toString()) &&
        !chosen.some((candidate) => candidate.address.toString() === other.toString())
    )
    if (address === undefined || (round === 1 && crowded(address) >= perGroup)) continue
    choose(address, hint.id, hint.id)
  }
  return { dial: chosen, nextAt }
}

/** The share of the target that this node dials itself, however many dial it: so that those cannot be all it knows. */
const ownShare = 0.25

/** Connections that are dialed in one part of the network before others are preferred. */
const perGroup = 2

const isTag = (tag: string): tag is keyof typeof Policy.policies => Object.hasOwn(Policy.policies, tag)

/** Whether its next time is this node's own choice, not what the other end asked for. */
const isBackingOff = ({ error, nextAt }: PeerBook.AddressRecord): boolean =>
  nextAt !== Infinity && error !== undefined && isTag(error._tag) && Policy.policies[error._tag].retry === "backoff"

/**
 * Whom to dial so that the halves of a split network find each other: at random one bootstrap or remembered node that is
 * not connected, also one that left or was given up, and those kept from an earlier run, which are this node's hints to
 * itself. Never one that is to be left alone for now or for good; nor one at an address where a connected peer is; nor,
 * below the target, one that {@link plan} comes to before the next healing. Bootstrap nodes are chosen every second time,
 * however many others are remembered: they are where halves meet.
 *
 * @since 0.1.0
 * @category decisions
 */
export const heal = (
  book: PeerBook.State,
  view: Pick<View, "now" | "live" | "dialing" | "target" | "random"> & {
    readonly self: NodeId
    /** Milliseconds from one healing to the next. */
    readonly interval: number
  }
): Candidate | undefined => {
  const { dialing, interval, live, now, random, self, target } = view
  const held = PeerBook.heldByLive(book)
  const isAway = (id: NodeId | undefined): boolean =>
    id === undefined || (!live.has(id) && (peerOf(book, id)?.avoidUntil ?? 0) <= now)
  const isFree = (address: PeerAddress): boolean => {
    const key = address.toString()
    if (dialing.has(key) || held.has(key)) return false
    const record = Option.getOrUndefined(HashMap.get(book.addresses, key))
    if (record === undefined) return true
    if (PeerBook.isGivenUp(record, now)) return true
    if (record.nextAt > now && !isBackingOff(record)) return false
    return live.size >= target || peerOf(book, record.id)?.status === "left" || record.nextAt > now + interval
  }
  const oneOf = (id: NodeId, addresses: ReadonlyArray<PeerAddress>, hint?: NodeId): ReadonlyArray<Candidate> =>
    isAway(id) ? sample(addresses.filter(isFree), 1, random).map((address) => ({ address, hint })) : []

  const bootstrap = [...HashMap.values(book.addresses)]
    .filter(({ address, id, isBootstrap }) => isBootstrap && isAway(id) && isFree(address))
    .map(({ address }): Candidate => ({ address, hint: undefined }))
  const remembered = [...HashMap.values(book.peers)].flatMap(({ addresses, id }) => oneOf(id, addresses))
  const kept = [...HashMap.values(book.hints)].flatMap(({ id, told }) =>
    told.flatMap(({ addresses, teller }) => (teller === self ? oneOf(id, addresses, id) : []))
  )
  const others = [...remembered, ...kept]
  const [chosen] = sample(
    bootstrap.length > 0 && (others.length === 0 || random() < 0.5) ? bootstrap : others,
    1,
    random
  )
  return chosen
}

/** Peers asked in a round. */
const fanOut = 3

/** Lists that a peer gets within a second; what it asks for beyond is answered with an empty one. */
const listsPerSecond = 4

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
  const rates = new WeakMap<Connection, RateLimit>()
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
    const now = deadlines.now()
    const rate = rates.get(connection) ?? new RateLimit(listsPerSecond, now)
    rates.set(connection, rate)
    // Whoever asks without end gets an answer all the same, but a short one.
    if (rate.take(now) !== "taken") return tell(connection, "response", [], request.id)
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
    const live = pool.unsafeLive()
    for (const id of fresh) if (!live.has(id)) fresh.delete(id)
    for (const [told, connection] of sample([...live], announceTo, random)) {
      // Nobody waits for an announcement: one that does not take what it asked for gets none.
      if (fresh.size === 0 || connection.outbox.isControlFull) continue
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
        take(connection, envelope.sender, list.peers)
        return undefined
      case "announce":
        take(connection, envelope.sender, list.peers)
        return undefined
      case "unknown":
        return undefined
    }
  })

  const take = (connection: Connection, teller: NodeId, peers: ReadonlyArray<Payloads.PeerEntry>): void => {
    const group = PeerAddresses.group(connection.remote.host)
    book.update((state) => PeerBook.hinted(state, node.id, teller, peers, deadlines.now(), limits, group))
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
        outbound: [...pool.unsafeLive().values()].flatMap(({ direction, remote }) =>
          direction === "outbound" ? [remote] : []
        ),
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

  const isWanted = (id: NodeId): boolean => peerOf(book.get(), id)?.isRequested === true || pool.isBusy(id)

  /** Over the target, one connection that nobody needs gives way to the one that was made. */
  const giveWay = (made: NodeId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const live = [...pool.unsafeLive()]
      if (live.length <= config.targetPeers) return Effect.void
      const free = live.filter(([id, { direction }]) => direction === "outbound" && id !== made && !isWanted(id))
      const [leaving] = sample(free, 1, random)
      return leaving === undefined ? Effect.void : pool.giveUp(leaving[0])
    })

  const healing = Effect.schedule(
    Effect.suspend(() => {
      const before = pool.unsafeLive()
      const chosen = heal(book.get(), {
        now: deadlines.now(),
        live: new Set(before.keys()),
        dialing: pool.dialing(),
        target: config.targetPeers,
        self: node.id,
        interval: Duration.toMillis(config.healingInterval),
        random
      })
      if (chosen === undefined) return Effect.void
      const { address, hint } = chosen
      return pool.dial(address, { isOnce: true, ...(hint === undefined ? {} : { hint }) }).pipe(
        Effect.tap((connection) => Effect.sync(() => remember(address, connection))),
        Effect.flatMap(({ identity }) =>
          identity === undefined || before.has(identity.id) ? Effect.void : giveWay(identity.id)
        ),
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
