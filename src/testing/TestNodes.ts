/**
 * Networks of real nodes in memory, joined as a test wants them.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import { NetworkNotRunning } from "../NetworkError.js"
import type { ConfigInvalid, ConnectError, HandlerExists, ListenFailed } from "../NetworkError.js"
import type { Peer } from "../Peer.js"
import type { Node } from "./Expect.js"
import type { MemoryNetwork } from "./MemoryTransport.js"
import * as P2PNetworkMemory from "./P2PNetworkMemory.js"

/**
 * Who is connected with whom. `full`: each with every other; `line`: each with the next; `ring`: the last with the
 * first too; `star`: all with the first; `none`.
 *
 * @since 0.1.0
 * @category models
 */
export type Topology = "full" | "line" | "ring" | "star" | "none"

/**
 * `config`: settings and options of each node, or what gives them by its id and place. `topology`: default `full`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> {
  readonly config?: P2PNetworkMemory.Options<R> | ((id: string, index: number) => P2PNetworkMemory.Options<R>)
  readonly topology?: Topology
}

/** As many nodes as the number says, so that they can be taken apart by name. */
type Nodes<N extends number, Some extends ReadonlyArray<Node> = readonly []> = number extends N
  ? ReadonlyArray<Node>
  : Some["length"] extends N
    ? Some
    : Some["length"] extends 32
      ? ReadonlyArray<Node>
      : Nodes<N, readonly [...Some, Node]>

type Made<A, R> = Effect.Effect<
  A,
  ListenFailed | HandlerExists | ConfigInvalid | ConnectError,
  MemoryNetwork | Exclude<R, Scope.Scope> | Scope.Scope
>

/** Nodes that keep the connections they are given: they look for no others, nor for those they lose. */
const keepToThemselves = { targetPeers: 1, discoveryInterval: "1 hour", healingInterval: "1 hour" } as const

/**
 * Nodes on the network in memory that is provided, connected when this is through: so many, called `node-1`, `node-2`…,
 * or with the ids given. No time passes. In a topology other than `full` they do not look for more peers by themselves,
 * unless `config` says so (`targetPeers`, `discoveryInterval`). Scope: stops them.
 *
 * @since 0.1.0
 * @category testing
 */
export const make: {
  <const N extends number, R = never>(count: N, options?: Options<R>): Made<Nodes<N>, R>
  <const Ids extends ReadonlyArray<string>, R = never>(
    ids: Ids,
    options?: Options<R>
  ): Made<{ readonly [K in keyof Ids]: Node }, R>
} = <R = never>(given: number | ReadonlyArray<string>, options: Options<R> = {}): Made<never, R> =>
  Effect.gen(function* () {
    const { config = {}, topology = "full" } = options
    const ids = typeof given === "number" ? Array.from({ length: given }, (_, index) => `node-${index + 1}`) : given
    const nodes = yield* Effect.forEach(ids, (nodeId, index) =>
      P2PNetworkMemory.make<R>({
        ...(topology === "full" ? {} : keepToThemselves),
        nodeId,
        ...(typeof config === "function" ? config(nodeId, index) : config)
      })
    )
    for (const [one, other] of pairs(nodes, topology)) yield* join(one, other)
    // The overloads say how many there are.
    return nodes as never
  })

const pairs = (nodes: ReadonlyArray<Node>, topology: Topology): ReadonlyArray<readonly [Node, Node]> =>
  nodes.flatMap((node, index) => {
    const before = nodes.slice(0, index)
    const isLast = index === nodes.length - 1
    switch (topology) {
      case "none":
        return []
      case "full":
        return before.map((other) => [other, node] as const)
      case "star":
        return before.slice(0, 1).map((other) => [node, other] as const)
      case "line":
        return before.slice(-1).map((other) => [other, node] as const)
      case "ring":
        return [
          ...before.slice(-1).map((other) => [other, node] as const),
          ...(isLast && index > 1 ? before.slice(0, 1).map((other) => [node, other] as const) : [])
        ]
    }
  })

/** Turns of the scheduler in which a connection that one end has is there at the other. */
const patience = 1_000

/**
 * Connects a node with another, wherever that one listens: the peer as the first node has it, once the other has it too.
 * Fails with `NetworkNotRunning` where either is stopped.
 *
 * @since 0.1.0
 * @category testing
 */
export const join = (one: Node, other: Node): Effect.Effect<Peer, ConnectError> =>
  Effect.flatMap(other.status, ({ address }) =>
    address === undefined ? Effect.fail(new NetworkNotRunning()) : one.connect(address, { id: other.nodeId })
  ).pipe(
    Effect.zipLeft(
      Effect.repeat(Effect.zipRight(Effect.yieldNow(), other.peer(one.nodeId)), {
        until: Option.exists(({ status }) => status === "connected"),
        times: patience
      })
    )
  )
