/**
 * What a test expects of nodes, whatever test runner it runs in: Effects that fail with an {@link ExpectationFailed},
 * which shows what was expected and what there is. They work on any `P2PNetwork`, in memory, simulated or over TCP.
 *
 * Without `within` an expectation holds now, or as soon as what is under way in memory has come to rest: no time
 * passes. With `within` it may come about up to that long from now, by the Clock in use: under Effect's test clock fork
 * it, then move the clock. Nothing is polled: each is looked at anew when something happens.
 *
 * @since 0.1.0
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Inspectable from "effect/Inspectable"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Utils from "effect/Utils"
import { table } from "../internal/testing/Text.js"
import { eventually, follow, type Watch } from "../internal/testing/Waiting.js"
import type { Received } from "../MessageType.js"
import type { P2PNetwork } from "../P2PNetwork.js"
import type { NetworkEvent, Peer, PeerStatus } from "../Peer.js"
import type { Messages } from "./Observe.js"

/**
 * Something is not as a test expects it. Both are texts for people, `actual` often a table of several lines.
 *
 * @since 0.1.0
 * @category errors
 */
export class ExpectationFailed extends Schema.TaggedError<ExpectationFailed>("synapse-p2p/testing/ExpectationFailed")(
  "ExpectationFailed",
  { expected: Schema.String, actual: Schema.String }
) {
  override get message(): string {
    return `expected: ${this.expected}\nactual:   ${this.actual.replaceAll("\n", "\n          ")}`
  }
}

/**
 * How long an expectation may take to come about; left out: no time at all.
 *
 * @since 0.1.0
 * @category models
 */
export interface Patience {
  readonly within?: Duration.DurationInput | undefined
}

/**
 * A node, as the network service that drives it.
 *
 * @since 0.1.0
 * @category models
 */
export type Node = P2PNetwork["Type"]

/**
 * A payload to be found: one that is equal, or one for which the function says true.
 *
 * @since 0.1.0
 * @category models
 */
export type Wanted<A> = A | ((payload: A) => boolean)

const idOf = (node: Node | string): string => (typeof node === "string" ? node : node.nodeId)

const isConnected = ({ status: now }: Peer): boolean => now === "connected" || now === "suspect"

const idsOf = (known: ReadonlyArray<Peer>): ReadonlyArray<string> => known.map(({ id }) => id).sort()

const listed = (ids: ReadonlyArray<string>): string => (ids.length === 0 ? "none" : ids.join(", "))

const ofNodes =
  (nodes: Iterable<Node>, note: (node: Node, event: NetworkEvent) => void = () => {}): Watch =>
  (tell) =>
    Effect.forEach(
      nodes,
      (node) =>
        follow(node.events, (event) => {
          note(node, event)
          tell()
        }),
      { discard: true }
    )

const showPeers = (known: ReadonlyArray<Peer>): string =>
  known.length === 0
    ? "it knows no peer"
    : table([["peer", "status", "since"], ...known.map((peer) => [peer.id, peer.status, peer.since])])

// --- Peers ---

/**
 * The node is connected with these peers and no others; with `status`, these are the peers of that status. Gives them,
 * by id.
 *
 * @since 0.1.0
 * @category testing
 */
export const peers = (
  node: Node,
  expected: ReadonlyArray<Node | string>,
  options: Patience & { readonly status?: PeerStatus } = {}
): Effect.Effect<ReadonlyArray<Peer>, ExpectationFailed> => {
  const wanted = expected.map(idOf).sort()
  const check = Effect.map(node.peers(), (known) => {
    const found = known.filter((peer) =>
      options.status === undefined ? isConnected(peer) : peer.status === options.status
    )
    return listed(idsOf(found)) === listed(wanted)
      ? Either.right(found.sort((one, other) => (one.id < other.id ? -1 : 1)))
      : Either.left(
          new ExpectationFailed({
            expected: `${node.nodeId} has as ${options.status ?? "connected"} peers: ${listed(wanted)}`,
            actual: showPeers(known)
          })
        )
  })
  return eventually(check, { watch: ofNodes([node]), within: options.within })
}

/**
 * The peer has that status at the node. Gives it.
 *
 * @since 0.1.0
 * @category testing
 */
export const status = (
  node: Node,
  peer: Node | string,
  expected: PeerStatus,
  options: Patience = {}
): Effect.Effect<Peer, ExpectationFailed> => {
  const check = Effect.gen(function* () {
    const found = Option.getOrUndefined(yield* node.peer(idOf(peer)))
    if (found?.status === expected) return Either.right(found)
    return Either.left(
      new ExpectationFailed({
        expected: `${idOf(peer)} is ${expected} at ${node.nodeId}`,
        actual:
          found === undefined ? `${idOf(peer)} is not known there: ${showPeers(yield* node.peers())}` : found.status
      })
    )
  })
  return eventually(check, { watch: ofNodes([node]), within: options.within })
}

// --- Networks ---

/**
 * How nodes are joined. `full`: each is connected with every other. `connected`: there is a way from each to every
 * other. `atLeast`: each is connected with as many of the others.
 *
 * @since 0.1.0
 * @category models
 */
export type Shape = "full" | "connected" | { readonly atLeast: number }

/**
 * The nodes are joined so. Only connections between them count. The failure shows who sees whom.
 *
 * @since 0.1.0
 * @category testing
 */
export const converged = (
  nodes: ReadonlyArray<Node>,
  shape: Shape = "full",
  options: Patience = {}
): Effect.Effect<void, ExpectationFailed> => {
  const among = new Set(nodes.map(({ nodeId }) => nodeId))
  const views = new Map<Node, ReadonlyArray<Peer>>()
  // What a node sees is asked anew only where something happened: networks may be large.
  const changed = new Set(nodes)
  const check = Effect.gen(function* () {
    for (const node of changed) {
      views.set(
        node,
        (yield* node.peers()).filter((peer) => among.has(peer.id))
      )
    }
    changed.clear()
    const links = new Map<string, ReadonlyArray<string>>(
      [...views].map(([node, known]) => [node.nodeId, idsOf(known.filter(isConnected))])
    )
    return hasShape(links, shape)
      ? Either.void
      : Either.left(new ExpectationFailed({ expected: shown(nodes.length, shape), actual: showViews(views) }))
  })
  const watch = ofNodes(nodes, (node) => changed.add(node))
  return eventually(check, { watch, within: options.within })
}

const hasShape = (links: ReadonlyMap<string, ReadonlyArray<string>>, shape: Shape): boolean => {
  if (shape === "connected") return reached(links).size === links.size
  const least = shape === "full" ? links.size - 1 : shape.atLeast
  return [...links.values()].every((others) => others.length >= least)
}

/** Who is reached from the first, over links that both ends see. */
const reached = (links: ReadonlyMap<string, ReadonlyArray<string>>): ReadonlySet<string> => {
  const seen = new Set([...links.keys()].slice(0, 1))
  for (const id of seen) {
    for (const next of links.get(id) ?? []) if (links.get(next)?.includes(id) === true) seen.add(next)
  }
  return seen
}

const shown = (count: number, shape: Shape): string =>
  shape === "full"
    ? `each of ${count} nodes is connected with all others`
    : shape === "connected"
      ? `${count} nodes are one connected network`
      : `each of ${count} nodes has at least ${shape.atLeast} connected peers among the others`

const showViews = (views: ReadonlyMap<Node, ReadonlyArray<Peer>>): string => {
  const rows = [...views].map(([{ nodeId }, known]) => {
    const others = known.filter((peer) => !isConnected(peer)).map((peer) => `${peer.id} (${peer.status})`)
    return [nodeId, listed(idsOf(known.filter(isConnected))), others.join(", ")]
  })
  return table([["node", "connected with", "others it knows"], ...rows])
}

// --- Messages ---

/**
 * A message with that payload came to every node that is observed, or to those named in `at`; with `times`, that often
 * exactly. Gives the messages.
 *
 * @since 0.1.0
 * @category testing
 */
export const delivered = <A>(
  messages: Messages<A>,
  wanted: Wanted<A>,
  options: Patience & { readonly at?: ReadonlyArray<Node | string>; readonly times?: number } = {}
): Effect.Effect<ReadonlyArray<Received<A>>, ExpectationFailed> => {
  const nodes = options.at?.map(idOf) ?? messages.nodes.map(idOf)
  const check = Effect.sync(() => {
    const found = nodes.map((node) => messages.at(node).filter(({ payload }) => fits(payload, wanted)))
    const { times } = options
    const isEnough = found.every(({ length }) => (times === undefined ? length > 0 : length === times))
    if (isEnough) return Either.right(found.flat())
    const often = times === undefined ? "" : `, ${times} times each`
    return Either.left(
      new ExpectationFailed({
        expected: `${messages.type.name} ${show(wanted)} comes to ${listed(nodes)}${often}`,
        actual: table([
          ["node", `${messages.type.name} that came`],
          ...nodes.map((node) => [
            node,
            messages
              .at(node)
              .map(({ payload }) => show(payload))
              .join(", ") || "none"
          ])
        ])
      })
    )
  })
  return eventually(check, { watch: messages.watch, within: options.within })
}

/**
 * Whether a payload is the one that is wanted: the same values in the same places.
 *
 * @since 0.1.0
 * @category guards
 */
export const fits = <A>(payload: A, wanted: Wanted<A>): boolean =>
  isPredicate(wanted) ? wanted(payload) : Utils.structuralRegion(() => Equal.equals(payload, wanted))

const isPredicate = <A>(wanted: Wanted<A>): wanted is (payload: A) => boolean => typeof wanted === "function"

/**
 * What is wanted, or a payload, on one line.
 *
 * @since 0.1.0
 * @category formatting
 */
export const show = (wanted: unknown): string =>
  typeof wanted === "function" ? "for which its condition holds" : Inspectable.toStringUnknown(wanted, 0)
