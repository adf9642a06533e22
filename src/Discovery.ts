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
import { soon } from "./internal/soon.js"
import { timestampOf } from "./internal/Timestamp.js"
import { LocalNode } from "./LocalNode.js"
import type { Envelope, JsonObject } from "./Message.js"
import { NetworkConfig } from "./NetworkConfig.js"
import type { ConnectError } from "./NetworkError.js"
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
  readonly live: Pick<ReadonlySet<NodeId>, "has" | "size">
  /** Where this node has dialed those of them that it dialed itself. Default: not known, and nothing follows from it. */
  readonly outbound?: ReadonlyArray<PeerAddress>
  /** Addresses being dialed. */
  readonly dialing: ReadonlySet<string>
  /** How many of them have not answered for so long that others are tried in their place; default 0. */
  readonly overdue?: number
  readonly target: number
  readonly maxDials: number
  readonly random: () => number
}

const peerOf = (book: PeerBook.State, id: NodeId | undefined): PeerBook.PeerRecord | undefined =>
  id === undefined ? undefined : Option.getOrUndefined(HashMap.get(book.peers, id))

/** Whom to dial, and the node that is thought to be there. */
type Choice = readonly [candidate: Candidate, id: NodeId | undefined]

/** Takes one out at random. */
const drawn = <A>(from: Array<A>, random: () => number): A | undefined => {
  const index = Math.floor(random() * from.length)
  const last = from.pop()
  if (last === undefined || index >= from.length) return last
  const one = from[index]
  from[index] = last
  return one
}

/**
 * In random order, but each part of the network that tellers are in has its turn, and each teller that is in none: who
 * tells much, or under many names, is not heard before who tells little. What this node has told itself is one of them.
 */
function* inTurns(
  hints: PeerBook.State["hints"],
  random: () => number
): Generator<{ readonly id: NodeId; readonly telling: PeerBook.Telling }> {
  const bySource = new Map<string, Array<{ readonly id: NodeId; readonly telling: PeerBook.Telling }>>()
  for (const { id, told } of HashMap.values(hints)) {
    for (const telling of told) {
      const source = telling.group === undefined ? `by ${telling.teller}` : `in ${telling.group}`
      const turns = bySource.get(source)
      if (turns === undefined) bySource.set(source, [{ id, telling }])
      else turns.push({ id, telling })
    }
  }
  let sources = sample([...bySource.values()], Infinity, random)
  while (sources.length > 0) {
    for (const turns of sources) {
      const next = drawn(turns, random)
      if (next !== undefined) yield next
    }
    sources = sources.filter(({ length }) => length > 0)
  }
}

/**
 * Whom to dial now, and when to think again (`Infinity`: when something changes), while there are fewer than `target`
 * connections and dials. First bootstrap addresses and lost peers that are due, but none that left; then hints at random,
 * each as likely as one of those addresses that was dialed in vain before: many that are gone for good do not keep this
 * node from those that are there. What is dialed is spread over the parts of the network, and a quarter of the target is dialed
 * even where others have dialed this node so often that it has enough. What the application asked for is dialed again
 * whatever the target.
 *
 * @since 0.1.0
 * @category decisions
 */
export const plan = (
  book: PeerBook.State,
  view: View
): { readonly dial: ReadonlyArray<Candidate>; readonly nextAt: number } => {
  const { dialing, live, maxDials, now, overdue = 0, random, target } = view
  const outbound = view.outbound ?? []
  const reserved = view.outbound === undefined ? 0 : Math.floor(target * ownShare)
  const missing = Math.max(target - live.size, reserved - outbound.length) + overdue
  // Hints are for those that are missing.
  if (missing <= 0 && HashMap.isEmpty(book.addresses)) return nobody
  const chosen: Array<Candidate> = []
  const taken = new Set<NodeId>()
  let nextAt = Infinity
  const wanted = (): number => Math.min(missing, maxDials) - dialing.size - chosen.length
  let parts: ReturnType<typeof partsOf> | undefined
  /** Where this node is, or will be, by its own choice: most often nobody is to be dialed, and this not looked at. */
  const own = () =>
    (parts ??= partsOf([
      ...outbound,
      ...[...dialing].flatMap((key) => Option.toArray(Either.getRight(PeerAddresses.parse(key))))
    ]))
  const choose = (...[candidate, id]: Choice): void => {
    chosen.push(candidate)
    if (id !== undefined) taken.add(id)
    own().add(candidate.address)
  }
  /** First where this node is not yet, then wherever it may go: whoever owns one part of the network is not all it knows. */
  const isCrowded = (address: PeerAddress): boolean =>
    PeerAddresses.group(address.host) !== undefined && own().count(address) >= perGroup
  const later: Array<Choice> = []

  /** Not before; `Infinity` too is a time that never comes. */
  const isLater = (dueAt: number): boolean => {
    if (dueAt > now) nextAt = Math.min(nextAt, dueAt)
    return dueAt > now
  }

  const again: Array<PeerBook.AddressRecord> = []
  for (const record of sample([...HashMap.values(book.addresses)], Infinity, random)) {
    const { address, id } = record
    if (dialing.has(address.toString()) || (id !== undefined && (live.has(id) || taken.has(id)))) continue
    const peer = peerOf(book, id)
    if (peer?.status === "left") continue
    if (PeerBook.isGivenUp(record, now) || isLater(Math.max(record.nextAt, peer?.avoidUntil ?? 0))) continue
    const isFirst = record.attempts === 0 && (record.isBootstrap || !isCrowded(address))
    if (peer?.isRequested === true ? chosen.length + dialing.size < maxDials : wanted() > 0 && isFirst) {
      choose({ address, hint: undefined }, id)
    } else again.push(record)
  }

  // No generators made here: V8 keeps what such a function closes over until the next full collection, and with it the book
  // of each look that a connection gives rise to.
  const lost = again.values()
  const nextLost = (): Choice | undefined => {
    for (let next = lost.next(); next.done !== true; next = lost.next()) {
      const { address, id, isBootstrap } = next.value
      if (id !== undefined && taken.has(id)) continue
      const choice: Choice = [{ address, hint: undefined }, id]
      if (isCrowded(address) && !isBootstrap) later.push(choice)
      else return choice
    }
    return undefined
  }

  const isChosen = (key: string): boolean => chosen.some(({ address }) => address.toString() === key)

  const told = inTurns(book.hints, random)
  const nextTold = (): Choice | undefined => {
    // A `for` that is left would end the generator.
    for (let next = told.next(); next.done !== true; next = told.next()) {
      const { id, telling } = next.value
      if (live.has(id) || taken.has(id) || isLater(peerOf(book, id)?.avoidUntil ?? 0)) continue
      const address = telling.addresses.find((other) => {
        const key = other.toString()
        return (
          !dialing.has(key) &&
          !HashMap.has(book.addresses, key) &&
          !PeerBook.isHeldByLive(book, other) &&
          !isChosen(key)
        )
      })
      if (address === undefined) continue
      if (isCrowded(address)) later.push([{ address, hint: id }, id])
      else return [{ address, hint: id }, id]
    }
    return undefined
  }

  const sources = [nextLost, nextTold]
  while (wanted() > 0 && sources.length > 0) {
    const index = Math.floor(random() * sources.length)
    const next = sources[index]?.()
    if (next === undefined) sources.splice(index, 1)
    else choose(...next)
  }
  for (const [candidate, id] of later) {
    if (wanted() <= 0) break
    if ((id === undefined || !taken.has(id)) && !isChosen(candidate.address.toString())) choose(candidate, id)
  }
  return { dial: chosen, nextAt }
}

/** Most often everybody that is known is connected: what a plan would find is known without making one. */
const isNobodyAway = (book: PeerBook.State): boolean => HashMap.isEmpty(book.addresses) && HashMap.isEmpty(book.hints)

const nobody: ReturnType<typeof plan> = { dial: [], nextAt: Infinity }

const partOf = ({ host }: PeerAddress): string => PeerAddresses.group(host) ?? ""

/** How many addresses are in the same part of the network. */
const partsOf = (addresses: ReadonlyArray<PeerAddress>) => {
  const counts = new Map<string, number>()
  const count = (address: PeerAddress): number => counts.get(partOf(address)) ?? 0
  const add = (address: PeerAddress): void => void counts.set(partOf(address), count(address) + 1)
  for (const address of addresses) add(address)
  return { add, count }
}

/**
 * Of the peers that this node has dialed, those that may give way to others: of `ids`, the ones in the part of the network
 * in which it has dialed most. So whatever it is told, no part of the network comes to be all that it chose itself.
 *
 * @since 0.1.0
 * @category decisions
 */
export const crowded = (
  outbound: ReadonlyMap<NodeId, PeerAddress>,
  ids: ReadonlyArray<NodeId>
): ReadonlyArray<NodeId> => {
  const parts = partsOf([...outbound.values()])
  const countOf = (id: NodeId): number => {
    const address = outbound.get(id)
    return address === undefined ? 0 : parts.count(address)
  }
  const most = Math.max(...ids.map(countOf))
  return ids.filter((id) => countOf(id) === most)
}

/** One at random from a part of the network at random: many that are in one part are as likely as one that is in another. */
const fromAnyPart = (candidates: ReadonlyArray<Candidate>, random: () => number): Candidate | undefined => {
  const byPart = new Map<string, Array<Candidate>>()
  for (const candidate of candidates) {
    const part = partOf(candidate.address)
    const others = byPart.get(part)
    if (others === undefined) byPart.set(part, [candidate])
    else others.push(candidate)
  }
  const [part] = sample([...byPart.values()], 1, random)
  return part === undefined ? undefined : sample(part, 1, random)[0]
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
 * What the choice of whom to heal to rests on. `interval`: milliseconds from one healing to the next.
 *
 * @since 0.1.0
 * @category models
 */
export interface HealView extends Pick<View, "now" | "live" | "dialing" | "target" | "random"> {
  readonly self: NodeId
  readonly interval: number
}

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
export const heal = (book: PeerBook.State, view: HealView): Candidate | undefined => {
  const { random, self } = view
  const { isAway, isFree, oneOf, told } = choices(book, view)
  const bootstrap = [...HashMap.values(book.addresses)]
    .filter(({ address, id, isBootstrap }) => isBootstrap && isAway(id) && isFree(address))
    .map(({ address }): Candidate => ({ address, hint: undefined }))
  const remembered = [...HashMap.values(book.peers)].flatMap(({ addresses, id }) => oneOf(id, addresses))
  const others = [...remembered, ...told(self)]
  const isBootstrapsTurn = bootstrap.length > 0 && (others.length === 0 || random() < 0.5)
  return isBootstrapsTurn ? sample(bootstrap, 1, random)[0] : fromAnyPart(others, random)
}

/**
 * Whom to dial in place of a node that has no room: at random one of those that it told of when it said so.
 *
 * @since 0.1.0
 * @category decisions
 */
export const healInstead = (book: PeerBook.State, view: HealView, full: NodeId): Candidate | undefined =>
  fromAnyPart(choices(book, view).told(full), view.random)

/** Who may be dialed to heal. */
const choices = (book: PeerBook.State, view: HealView) => {
  const { dialing, interval, live, now, random, target } = view
  const isAway = (id: NodeId | undefined): boolean =>
    id === undefined || (!live.has(id) && (peerOf(book, id)?.avoidUntil ?? 0) <= now)
  const isFree = (address: PeerAddress): boolean => {
    const key = address.toString()
    if (dialing.has(key) || PeerBook.isHeldByLive(book, address)) return false
    const record = Option.getOrUndefined(HashMap.get(book.addresses, key))
    if (record === undefined) return true
    if (PeerBook.isGivenUp(record, now)) return true
    if (record.nextAt > now && !isBackingOff(record)) return false
    return live.size >= target || peerOf(book, record.id)?.status === "left" || record.nextAt > now + interval
  }
  const oneOf = (id: NodeId, addresses: ReadonlyArray<PeerAddress>, hint?: NodeId): ReadonlyArray<Candidate> =>
    isAway(id) ? sample(addresses.filter(isFree), 1, random).map((address) => ({ address, hint })) : []
  const told = (by: NodeId): ReadonlyArray<Candidate> =>
    [...HashMap.values(book.hints)].flatMap(({ id, told }) =>
      told.flatMap(({ addresses, teller }) => (teller === by ? oneOf(id, addresses, id) : []))
    )
  return { isAway, isFree, oneOf, told }
}

/** After so many milliseconds without an answer a dial goes on, but another is made beside it. */
const answerWithin = 1000

/** Peers asked in a round. */
const fanOut = 3

/** Between two looks at a book a millisecond passes for so many peers in it, and so many milliseconds at most. */
const peersPerMilli = 20
const longestPause = 100

/** Lists that a peer gets within a second; what it asks for beyond is answered with an empty one. */
const listsPerSecond = 4

/** Entries asked for: more than there are places for, so that some may be gone, but not many times more. */
const listLimit = (targetPeers: number): number => Math.min(32, Math.max(8, 2 * targetPeers))

/** Peers that are told of one just connected, and how often, milliseconds. */
const announceTo = 8
const announceEvery = 1000

const nothing = (): void => {}

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
  const limit = listLimit(config.targetPeers)
  const limits: PeerBook.Limits = {
    peers: Infinity,
    hints: config.maxHints,
    hintsPerTeller: config.maxHintsPerTeller
  }
  /** Requests for lists that are not answered yet, by connection. */
  const questions = new WeakMap<Connection, Set<string>>()
  const rates = new WeakMap<Connection, RateLimit>()
  /** Set while it runs. */
  let whenPoked: (() => void) | undefined

  const poke = (): void => whenPoked?.()

  // --- Lists ---

  const ask = (connection: Connection): void => {
    const request = node.compose("PEER_LIST", { kind: "request", limit })
    const open = questions.get(connection) ?? new Set()
    questions.set(connection, open)
    for (const oldest of open) {
      if (open.size < maxQuestions) break
      open.delete(oldest)
    }
    open.add(request.id)
    connection.sendAside(node.encodeOwn(request))
  }

  const tell = (
    connection: Connection,
    kind: "response" | "announce",
    entries: ReadonlyArray<Payloads.PeerEntry>,
    replyTo?: string
  ): void => {
    const room = (connection.identity?.maxMessageBytes ?? 0) - 1024
    const lastSeen = timestampOf(deadlines.wallNow())
    const peers = Payloads.fit(
      entries.map((entry) => ({
        lastSeen: entry.lastSeen ?? lastSeen,
        id: entry.id,
        addresses: entry.addresses
      })),
      room
    )
    connection.sendAside(node.control("PEER_LIST", { kind, peers } as unknown as JsonObject, replyTo))
  }

  const answer = (connection: Connection, request: Envelope, limit: number): void => {
    const now = deadlines.now()
    const rate = rates.get(connection) ?? new RateLimit(listsPerSecond, now)
    rates.set(connection, rate)
    // Whoever asks without end gets an answer all the same, but a short one.
    if (rate.take(now) !== "taken") return tell(connection, "response", [], request.id)
    const most = Math.min(limit, Payloads.maxPeerEntries)
    const some = PeerBook.someKnown(book.get(), request.sender, connection.remote, most, random)
    tell(connection, "response", some, request.id)
  }

  /** Peers connected since the last announcement. */
  const fresh = new Set<NodeId>()
  let isAnnouncing = false

  const announceLater = (id: NodeId): void => {
    // The only one there is can be told of nobody; whoever comes next is told of it.
    const isAlone = pool.unsafeLive().size < 2
    if (isAlone) fresh.clear()
    fresh.add(id)
    if (isAlone || isAnnouncing) return
    isAnnouncing = true
    deadlines.after(announceEvery, announce)
  }

  const announce = (): void => {
    isAnnouncing = false
    const live = pool.unsafeLive()
    for (const id of fresh) if (!live.has(id)) fresh.delete(id)
    for (const [told, connection] of sample([...live], announceTo, random)) {
      // Nobody waits for an announcement: one that does not take what it asked for gets none.
      if (fresh.size === 0 || connection.outbox.isControlFull) continue
      const news = PeerBook.knownOf(book.get(), fresh, told, connection.remote)
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
    const before = book.get()
    book.update((state) => PeerBook.hinted(state, node.id, teller, peers, deadlines.now(), limits, group))
    // Most of what is told has been told before.
    if (book.get() !== before) poke()
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
   * A name stands for all its addresses, asked for anew for ever, also where there are peers enough: healing may choose one
   * of them. One that cannot be resolved stands for what it stood for before, at first for itself, so that dialing it tells
   * what is wrong.
   */
  const resolving = Effect.forEach(
    config.bootstrap,
    (name) =>
      Effect.suspend(() => transport.resolve(name)).pipe(
        Effect.catchAll(() => Effect.succeed(meanings.get(name) ?? [name])),
        Effect.map((addresses) => stands(name, addresses)),
        Effect.repeat(Schedule.spaced(config.healingInterval))
      ),
    { discard: true, concurrency: "unbounded" }
  )

  /** Also where the connection that stays is another than the one dialed, which the address is then not known by. */
  const remember = (address: PeerAddress, { identity }: Connection): void => {
    if (identity === undefined || !pool.unsafeLive().has(identity.id)) return
    book.update((state) => PeerBook.answered(state, address, identity.id))
  }

  const dialing = Effect.gen(function* () {
    const fork = yield* FiberSet.makeRuntime<never>()
    const overdue = new Set<PeerAddress>()
    /** A look at the book is on its way. */
    let isDue = false
    let isLooking = false
    let restsUntil = 0
    let cancel = nothing

    const dialOne = ({ address, hint }: Candidate): Effect.Effect<void> =>
      Effect.suspend(() => {
        const cancelWaiting = deadlines.after(answerWithin, () => {
          overdue.add(address)
          poke()
        })
        return pool.dial(address, hint === undefined ? {} : { hint }).pipe(
          Effect.map((connection) => remember(address, connection)),
          Effect.ignore,
          Effect.ensuring(
            Effect.sync(() => {
              cancelWaiting()
              overdue.delete(address)
              poke()
            })
          )
        )
      })

    const look = (): void => {
      cancel()
      isDue = false
      isLooking = true
      const now = deadlines.now()
      const known = book.get()
      const { dial, nextAt } = isNobodyAway(known)
        ? nobody
        : plan(known, {
            now,
            live: pool.unsafeLive(),
            outbound: [...outbound().values()],
            dialing: pool.dialing(),
            overdue: overdue.size,
            target: config.targetPeers,
            maxDials: config.dialConcurrency,
            random
          })
      cancel = deadlines.after(nextAt - now, look)
      // A look at the whole book takes longer the longer that is: where a thousand nodes connect at once, not after each.
      restsUntil = now + Math.min(longestPause, Math.floor(HashMap.size(known.peers) / peersPerMilli))
      for (const candidate of dial) fork(dialOne(candidate))
      isLooking = false
    }

    /** What happens in one turn is looked at once. */
    const lookSoon = (): void => {
      if (isDue) return
      isDue = true
      const rest = restsUntil - deadlines.now()
      if (rest > 0 || isLooking) {
        cancel()
        cancel = deadlines.after(rest, look)
      } else {
        soon(() => {
          if (isDue) look()
        })
      }
    }

    yield* Effect.async<never>(() => {
      whenPoked = lookSoon
      look()
      return Effect.sync(() => {
        whenPoked = undefined
        isDue = false
        cancel()
      })
    })
  }).pipe(Effect.scoped)

  // --- Healing ---

  const isWanted = (id: NodeId): boolean => peerOf(book.get(), id)?.isRequested === true || pool.isBusy(id)

  /** Connections that this node made and nobody needs. */
  const spare = (): ReadonlyArray<NodeId> => [...outbound().keys()].filter((id) => !isWanted(id))

  const outbound = (): ReadonlyMap<NodeId, PeerAddress> => {
    const dialed = new Map<NodeId, PeerAddress>()
    for (const [id, { direction, remote }] of pool.unsafeLive()) if (direction === "outbound") dialed.set(id, remote)
    return dialed
  }

  const giveUpOne = (ids: ReadonlyArray<NodeId>): Effect.Effect<void> => {
    const [leaving] = sample(crowded(outbound(), ids), 1, random)
    return leaving === undefined ? Effect.void : pool.giveUp(leaving)
  }

  /** Over the target, one connection that nobody needs gives way to the one that was made. */
  const giveWay = (made: NodeId): Effect.Effect<void> =>
    Effect.suspend(() =>
      pool.unsafeLive().size <= config.targetPeers ? Effect.void : giveUpOne(spare().filter((id) => id !== made))
    )

  /**
   * Where all places are taken, one connection that nobody needs makes room: for the dial that heals, or for a node that
   * was turned away and may heal. The last one that this node chose for itself stays.
   */
  const makeRoom = Effect.suspend(() => {
    const isFull = pool.unsafeLive().size >= config.maxPeers && config.targetPeers < config.maxPeers
    const ids = isFull ? spare() : []
    return ids.length > 1 ? giveUpOne(ids) : Effect.void
  })

  const healView = (): HealView => ({
    now: deadlines.now(),
    live: pool.unsafeLive(),
    dialing: pool.dialing(),
    target: config.targetPeers,
    self: node.id,
    interval: Duration.toMillis(config.healingInterval),
    random
  })

  const healTo = ({ address, hint }: Candidate): Effect.Effect<void, ConnectError> =>
    Effect.suspend(() => {
      const before = new Set(pool.unsafeLive().keys())
      return pool.dial(address, { isOnce: true, ...(hint === undefined ? {} : { hint }) }).pipe(
        Effect.tap((connection) => Effect.sync(() => remember(address, connection))),
        Effect.flatMap(({ identity }) =>
          identity === undefined || before.has(identity.id) ? Effect.void : giveWay(identity.id)
        )
      )
    })

  /** A full node said where else it may be tried: once. */
  const healElsewhere = (error: ConnectError): Effect.Effect<void, ConnectError> =>
    Effect.suspend(() => {
      const isFull = error._tag === "TooManyConnections" && error.origin === "remote"
      const instead = isFull && error.peer !== undefined ? healInstead(book.get(), healView(), error.peer) : undefined
      return instead === undefined ? Effect.void : healTo(instead)
    })

  const healing = Effect.schedule(
    Effect.suspend(() => {
      const chosen = heal(book.get(), healView())
      const isRoomWanted = pool.hasTurnedAway() || chosen !== undefined
      return Effect.zipRight(
        isRoomWanted ? makeRoom : Effect.void,
        chosen === undefined ? Effect.void : healTo(chosen).pipe(Effect.catchAll(healElsewhere), Effect.ignore)
      )
    }),
    Schedule.spaced(config.healingInterval).pipe(Schedule.jitteredWith({ min: 0.8, max: 1.2 }))
  )

  const run = Effect.all([dialing, asking, healing, resolving], {
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
