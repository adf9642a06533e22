/** Whole nodes over the transport under test, and what cases say and ask between them. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import type * as Exit from "effect/Exit"
import type { Handler } from "../../Handler.js"
import * as MessageType from "../../MessageType.js"
import * as NetworkConfig from "../../NetworkConfig.js"
import * as NodeIdentity from "../../NodeIdentity.js"
import * as P2PNetwork from "../../P2PNetwork.js"
import type { PeerStatus } from "../../Peer.js"
import type { PeerAddress } from "../../PeerAddress.js"
import { Transport } from "../../Transport.js"
import type { Bench, Broken } from "./Bench.js"
import * as Tap from "./Tap.js"

export const Said = MessageType.make("SAID", Schema.Struct({ n: Schema.Number, text: Schema.String }))

export const Asked = MessageType.request(
  "ASKED",
  Schema.Struct({ n: Schema.Number }),
  Schema.Struct({ n: Schema.Number }),
  Schema.Struct({ reason: Schema.String })
)

/** A node, its links, and where it listens. */
export interface Node {
  readonly network: P2PNetwork.P2PNetwork["Type"]
  readonly id: string
  readonly tap: Tap.Tap
  readonly address: PeerAddress
}

/** Nodes that do not look for others by themselves, nor dial again what is gone, while a case looks on. */
const quiet = {
  targetPeers: 1,
  discoveryInterval: "1 hour",
  healingInterval: "1 hour",
  retryBase: "30 seconds"
} as const satisfies NetworkConfig.Input

type Options = NetworkConfig.Input & { readonly handlers?: ReadonlyArray<Handler<never>> }

/** A node named so, which listens at the address of the bench and keeps to itself. Scope: stops it. */
export const node = (
  bench: Bench,
  nodeId: string,
  { handlers = [], ...input }: Options = {}
): Effect.Effect<Node, unknown, Scope.Scope> =>
  Effect.gen(function* () {
    const { host, port } = bench.address
    // A network for each case: what is left of another one cannot come in by a port that is given out again.
    const network = bench.name.slice(0, 128)
    const { settings } = yield* Either.mapLeft(
      NetworkConfig.make({ ...quiet, network, host, port, ...input, nodeId }),
      (fault) => fault
    )
    const tap = Tap.make(bench.transport)
    const context = yield* bench.doing(
      "a node starts",
      Layer.build(
        P2PNetwork.layer({ handlers }).pipe(
          Layer.provide(Layer.merge(Layer.fresh(NodeIdentity.layer), Layer.succeed(Transport, tap.transport))),
          Layer.provide(Layer.succeed(NetworkConfig.NetworkConfig, settings))
        )
      )
    )
    const built = Context.get(context, P2PNetwork.P2PNetwork)
    const { address } = yield* built.status
    return { network: built, id: nodeId, tap, address: address ?? bench.address }
  })

/** A node and the way to stop it before the case ends. */
export const stoppable = (bench: Bench, nodeId: string, options: Options = {}) =>
  Effect.gen(function* () {
    const scope = yield* Effect.acquireRelease(Scope.make(), (made, exit) => Scope.close(made, exit))
    const built = yield* Scope.extend(node(bench, nodeId, options), scope)
    const close = (exit: Exit.Exit<unknown, unknown>) =>
      bench.doing("the scope of a node closes within its grace", Scope.close(scope, exit))
    return { node: built, close }
  })

/** Connects one to the other, without trying again. */
export const connect = (bench: Bench, from: Node, to: Node) =>
  bench.doing("connecting to a node succeeds or fails", from.network.connect(to.address, { retryFor: 0 }))

/** How the one sees the other. */
export const statusOf = (one: Node, other: { readonly id: string }): Effect.Effect<PeerStatus | "unknown"> =>
  Effect.map(
    one.network.peer(other.id),
    Option.match({ onNone: () => "unknown" as const, onSome: ({ status }) => status })
  )

/** Waits until the one sees the other so. */
export const becomes = (
  bench: Bench,
  one: Node,
  other: { readonly id: string },
  status: PeerStatus
): Effect.Effect<unknown, Broken> =>
  bench.eventually(`${other.id} is ${status} to ${one.id}`, statusOf(one, other), (seen) => seen === status)

/** Waits until the two are connected, as both see it. */
export const connected = (bench: Bench, one: Node, other: Node): Effect.Effect<unknown, Broken> =>
  Effect.zipRight(becomes(bench, one, other, "connected"), becomes(bench, other, one, "connected"))

/** Waits until no link of the nodes is left. */
export const parted = (bench: Bench, ...nodes: ReadonlyArray<Node>): Effect.Effect<void, Broken> =>
  bench.until(
    "no link is left",
    () => nodes.every(({ tap }) => tap.open() === 0),
    () => nodes.map(({ id, tap }) => `${tap.open()} of ${id}`).join(", ")
  )
