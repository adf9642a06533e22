import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as PubSub from "effect/PubSub"
import * as Stream from "effect/Stream"
import type { JsonObject } from "../../../src/Message.js"
import type { Received } from "../../../src/MessageType.js"
import type { HandlerExists, ListenFailed, SendError } from "../../../src/NetworkError.js"
import * as NodeId from "../../../src/NodeId.js"
import { P2PNetwork } from "../../../src/P2PNetwork.js"
import type { BroadcastReceipt, NetworkEvent, NetworkStatus, Peer } from "../../../src/Peer.js"
import * as PeerAddress from "../../../src/PeerAddress.js"

export const nodeId = NodeId.make("node-a")
export const address = PeerAddress.make("127.0.0.1", 9470)

export const peer = (id: string, change: Partial<Peer> = {}): Peer => ({
  id: NodeId.make(id),
  status: "connected",
  direction: "outbound",
  address: PeerAddress.make("127.0.0.1", 9471),
  addresses: [PeerAddress.make("127.0.0.1", 9471)],
  since: "2026-11-22T14:00:00.000Z",
  tags: {},
  bytes: { in: 1, out: 2 },
  messages: { in: 3, out: 4 },
  attempts: 0,
  ...change
})

export const status: NetworkStatus = {
  nodeId,
  running: true,
  address,
  advertised: [address],
  network: "synapse",
  uptimeMs: 90_000,
  peers: { connected: 1, suspect: 0, disconnected: 0, dead: 0, left: 0, banned: 0 },
  connections: { inbound: 0, outbound: 1, handshaking: 0, closing: 0 },
  dialing: [],
  messages: { in: 0, out: 0 },
  bytes: { in: 0, out: 0 },
  rates: { messages: { in: 0, out: 0 }, bytes: { in: 0, out: 0 } },
  queued: { outbound: 0, outboundBytes: 0, inbound: 0, inboundBytes: 0, requests: 0 },
  counts: {},
  errors: {}
}

export const received = (change: Partial<Received<JsonObject>> = {}): Received<JsonObject> => {
  const message = {
    type: "CHAT",
    id: "m-1",
    sender: NodeId.make("node-b"),
    via: NodeId.make("node-b"),
    payload: { text: "hi" },
    timestamp: "2026-11-22T14:00:00.000Z",
    expectsReply: false,
    isBroadcast: false,
    ...change
  }
  const { id, payload, sender, timestamp, type } = message
  return { envelope: { type, id, sender, timestamp, payload }, ...message }
}

type Service = P2PNetwork["Type"]

/** What the fake does for a call; what is left out succeeds at once. */
export interface Script {
  start?: Effect.Effect<void, ListenFailed>
  stop?: Effect.Effect<void>
  connect?: Service["connect"]
  sendMessage?: (peer: string, type: string, payload: unknown) => Effect.Effect<string, SendError>
  request?: (peer: string, type: string, payload: unknown, options: unknown) => Effect.Effect<JsonObject, unknown>
  broadcast?: (type: string, payload: unknown) => Effect.Effect<BroadcastReceipt>
  handleOther?: Effect.Effect<void, HandlerExists>
  peers?: ReadonlyArray<Peer>
  status?: NetworkStatus
}

export interface FakeNetwork {
  readonly layer: Layer.Layer<P2PNetwork>
  /** The calls so far, as text. */
  readonly calls: ReadonlyArray<string>
  readonly publish: (event: NetworkEvent) => Effect.Effect<void>
  /** Gives a message to the handler of all other types, and its outcome. */
  readonly receive: (message: Received<JsonObject>) => Effect.Effect<Exit.Exit<JsonObject, unknown>>
  /** Waits until the network has been started. */
  readonly started: Effect.Effect<void>
}

export const make = (script: Script = {}): Effect.Effect<FakeNetwork> =>
  Effect.gen(function* () {
    const events = yield* PubSub.unbounded<NetworkEvent>()
    const started = yield* Deferred.make<void>()
    const calls: Array<string> = []
    const call = (...parts: ReadonlyArray<unknown>): void => {
      calls.push(parts.map((part) => (typeof part === "string" ? part : JSON.stringify(part))).join(" "))
    }
    let sent = 0
    let handler: ((message: Received<JsonObject>) => Effect.Effect<JsonObject, unknown>) | undefined

    const service = {
      nodeId,
      start: Effect.suspend(() => {
        call("start")
        return script.start ?? Effect.void
      }).pipe(
        Effect.zipRight(PubSub.publish(events, { _tag: "Listening", address })),
        Effect.zipRight(Deferred.succeed(started, undefined)),
        Effect.asVoid
      ),
      stop: Effect.suspend(() => {
        call("stop")
        return script.stop ?? Effect.void
      }).pipe(Effect.zipRight(PubSub.publish(events, { _tag: "Stopped" })), Effect.asVoid),
      connect: (address, options) => {
        call("connect", String(address))
        return script.connect?.(address, options) ?? Effect.succeed(peer("node-b"))
      },
      disconnect: (id) => Effect.sync(() => call("disconnect", id)),
      access: Effect.succeed({ allow: [], deny: [] }),
      setAccess: () => Effect.void,
      sendMessage: (id, type, payload) =>
        Effect.suspend(() => {
          call("send", id, type.name, payload)
          return script.sendMessage?.(id, type.name, payload) ?? Effect.sync(() => `s-${++sent}`)
        }),
      sendMessages: () => Effect.succeed([]),
      request: ((id: string, type: { readonly name: string }, payload: unknown, options: unknown) =>
        Effect.suspend(() => {
          call("request", id, type.name, payload, options)
          return script.request?.(id, type.name, payload, options) ?? Effect.succeed({ echo: payload as JsonObject })
        })) as Service["request"],
      broadcast: (type, payload) =>
        Effect.suspend(() => {
          call("broadcast", type.name, payload)
          return script.broadcast?.(type.name, payload) ?? Effect.succeed({ id: "b-1", sent: [nodeId], failed: [] })
        }),
      handle: () => Effect.void,
      handleOther: (given) =>
        Effect.contextWithEffect((context) => {
          handler = (message) => Effect.provide(given(message), context) as Effect.Effect<JsonObject, unknown>
          return script.handleOther ?? Effect.void
        }),
      messages: () => Stream.empty,
      peers: () => Effect.sync(() => script.peers ?? [peer("node-b")]),
      peer: () => Effect.succeed(Option.none()),
      events: Stream.fromPubSub(events),
      waitForPeers: () => Effect.succeed([]),
      status: Effect.sync(() => script.status ?? status)
    } satisfies Service

    return {
      layer: Layer.succeed(P2PNetwork, service),
      calls,
      publish: (event) => PubSub.publish(events, event),
      receive: (message) =>
        Effect.suspend(() =>
          handler === undefined ? Effect.die("nobody handles messages") : Effect.exit(handler(message))
        ),
      started: Deferred.await(started)
    }
  })
