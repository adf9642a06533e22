/** Pools on networks in memory, and other ends that are played by hand. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Scope from "effect/Scope"
import type { Connection } from "../../src/Connection.js"
import * as ConnectionPool from "../../src/ConnectionPool.js"
import * as Frame from "../../src/Frame.js"
import * as LocalNode from "../../src/LocalNode.js"
import * as Message from "../../src/Message.js"
import type { Envelope, JsonObject } from "../../src/Message.js"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as NetworkStats from "../../src/NetworkStats.js"
import * as NodeId from "../../src/NodeId.js"
import * as NodeIdentity from "../../src/NodeIdentity.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as PeerBook from "../../src/PeerBook.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import type { Link } from "../../src/Transport.js"
import { Transport } from "../../src/Transport.js"

const parts = ConnectionPool.layer.pipe(
  Layer.provideMerge(Layer.mergeAll(PeerBook.layer, NetworkStats.layer, LocalNode.layer))
)

/** A pool with what it stands on; it does not listen yet. Scope: that of the pool. */
export const makeNode = (
  id: string,
  transport: Transport["Type"],
  settings: NetworkConfig.Input = {},
  identity: Layer.Layer<NodeIdentity.NodeIdentity, never, NetworkConfig.NetworkConfig> = NodeIdentity.layer
) =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      parts.pipe(
        Layer.provide(identity),
        Layer.provide(NetworkConfig.layer({ nodeId: id, host: `10.0.0.${id.charCodeAt(0)}`, port: 9470, ...settings })),
        Layer.provide(Layer.succeed(Transport, transport))
      )
    )
    const pool = Context.get(context, ConnectionPool.ConnectionPool)
    const received: Array<Envelope> = []
    const superseded: Array<readonly [Connection, Connection, boolean]> = []
    pool.setReceiver({
      message: (_, envelope) => received.push(envelope),
      error: (_, envelope) => received.push(envelope),
      superseded: (...args) => superseded.push(args),
      closed: () => {},
      isBusy: () => false
    })
    const scope = yield* Scope.make()
    yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
    return {
      id: NodeId.make(id),
      pool,
      book: Context.get(context, PeerBook.PeerBook),
      stats: Context.get(context, NetworkStats.NetworkStats),
      node: Context.get(context, LocalNode.LocalNode),
      received,
      superseded,
      listen: Scope.extend(pool.listen, scope),
      stopListening: Scope.close(scope, Exit.void),
      /** What happened since it was last asked for. */
      events: Effect.map(Queue.takeAll(pool.events), (chunk) => [...chunk])
    }
  })

export const helloPayload = (more: JsonObject = {}): JsonObject => ({
  version: 1,
  minVersion: 1,
  network: "synapse",
  session: "raw-session",
  listen: [],
  features: ["relay"],
  ...more
})

let made = 0

/** One end of a link, played by hand: it keeps what comes, and says what it is told to. */
export class HandPlayed {
  readonly heard: Array<Envelope> = []
  hasEnded = false
  isClosed = false
  readonly link: Link
  readonly id: NodeId.NodeId
  private readonly decoder = new Frame.Decoder(Frame.defaultLimit)

  constructor(link: Link, id: string) {
    this.link = link
    this.id = NodeId.make(id)
    link.attach({
      onData: (chunk) => this.take(chunk),
      onEnd: () => {
        this.hasEnded = true
      },
      onClose: () => {
        this.isClosed = true
      }
    })
  }

  private take(chunk: Uint8Array): void {
    this.decoder.push(chunk)
    for (let next = this.decoder.next(); next !== undefined; next = this.decoder.next()) {
      if (Frame.isFault(next)) throw new Error(next.detail)
      const decoded = Message.decode(next)
      if (decoded._tag !== "Message") throw new Error(decoded.detail)
      this.heard.push(decoded.envelope)
    }
  }

  write(bytes: Uint8Array): void {
    this.link.write([bytes], () => {})
  }

  send(type: string, payload: JsonObject, more: Partial<Envelope> = {}): Envelope {
    const envelope = {
      type,
      id: `raw-${made++}`,
      sender: this.id,
      timestamp: "2026-11-22T14:00:00Z",
      payload,
      ...more
    }
    this.write(Frame.encode(Message.encode(envelope)))
    return envelope
  }

  hello(more: JsonObject = {}, replyTo?: string): Envelope {
    return this.send("HELLO", helloPayload(more), replyTo === undefined ? {} : { replyTo })
  }

  /** Answers the HELLO that came. */
  answer(more: JsonObject = {}): Envelope {
    return this.hello(more, this.heard[0]?.id)
  }

  error(code: string, fatal = true, more: JsonObject = {}): Envelope {
    return this.send("ERROR", { code, message: "", fatal, ...more })
  }

  /** The types heard, the code for an ERROR. */
  get said(): ReadonlyArray<string> {
    return this.heard.map(({ payload, type }) => (type === "ERROR" ? String(payload["code"]) : type))
  }
}

/** Lets all that is under way in memory happen: links and fibers use the event loop's timers to take turns. */
export const settle: Effect.Effect<void> = Effect.promise(async () => {
  for (let round = 0; round < 5; round++) await new Promise((resolve) => setTimeout(resolve, 0))
})

/** Dials the node by hand, as coming from that host, without a word. */
export const dialByHand = (
  network: { readonly transport: (host?: string) => Transport["Type"] },
  to: { readonly id: string },
  id: string,
  host = "10.1.0.1"
) => Effect.map(network.transport(host).dial(addressOf(to.id)), (link) => new HandPlayed(link, id))

export const addressOf = (id: string): PeerAddress.PeerAddress => PeerAddress.make(`10.0.0.${id.charCodeAt(0)}`, 9470)

/** A node n that listens on a network of its own. */
export const listening = (settings: NetworkConfig.Input = {}) =>
  Effect.gen(function* () {
    const network = MemoryTransport.makeNetwork()
    const node = yield* makeNode("n", network.transport("10.0.0.110"), settings)
    yield* node.listen
    return { network, node }
  })

/** A connected peer played by hand, which dialed. */
export const joined = (
  network: MemoryTransport.MemoryNetwork["Type"],
  node: { readonly id: string },
  id = "b",
  host = "10.1.0.1"
) =>
  Effect.gen(function* () {
    const peer = yield* dialByHand(network, node, id, host)
    peer.hello({ session: `session-${id}`, listen: [{ host: "0.0.0.0", port: 9470 }] })
    yield* settle
    return peer
  })

/** All listeners played by hand at b's address. */
export const played = (network: MemoryTransport.MemoryNetwork["Type"], at = "b") =>
  Effect.gen(function* () {
    const links: Array<HandPlayed> = []
    yield* network.transport(addressOf(at).host).listen(addressOf(at), (link) => links.push(new HandPlayed(link, at)))
    return links
  })
