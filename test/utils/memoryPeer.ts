/**
 * The other end of a connection in memory, played by hand: it sends what a test tells it to, right or wrong, and keeps
 * what comes back.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import type { Link } from "../../src/Transport.js"
import { frame, fresh, helloPayload, type Message, message } from "./rawPeer.js"

export class MemoryPeer {
  readonly received: Array<Message> = []
  hasEnded = false
  isClosed = false
  /** Whether pings are answered. */
  answersPings = false
  /** Told of each message. */
  onMessage: (message: Message) => void = () => {}
  /** Told when the other end has ended or the connection is closed. */
  onOver: () => void = () => {}

  readonly link: Link
  readonly id: string
  private buffered: Buffer = Buffer.alloc(0)

  constructor(link: Link, id: string) {
    this.link = link
    this.id = id
    link.attach({
      onData: (chunk) => this.take(chunk),
      onEnd: () => {
        this.hasEnded = true
        this.onOver()
      },
      onClose: () => {
        this.isClosed = true
        this.onOver()
      }
    })
  }

  write(bytes: Uint8Array): void {
    this.link.write([bytes], () => {})
  }

  say(type: string, payload: Readonly<Record<string, unknown>> = {}, more: Partial<Message> = {}): string {
    const said = message(this.id, type, payload, more)
    this.write(frame(said))
    return said.id
  }

  hello(payload: Readonly<Record<string, unknown>> = {}, more: Partial<Message> = {}): string {
    return this.say("HELLO", { ...helloPayload, ...payload }, more)
  }

  refuse(code: string, more: Readonly<Record<string, unknown>> = {}): void {
    this.say("ERROR", { code, message: "no", fatal: true, ...more })
    this.link.end()
  }

  of(type: string, kind?: string): ReadonlyArray<Message> {
    return this.received.filter((one) => one.type === type && (kind === undefined || one.payload["kind"] === kind))
  }

  private take(chunk: Uint8Array): void {
    this.buffered = Buffer.concat([this.buffered, chunk])
    while (this.buffered.length >= 4 && this.buffered.length >= 4 + this.buffered.readUInt32BE(0)) {
      const end = 4 + this.buffered.readUInt32BE(0)
      const received = JSON.parse(this.buffered.toString("utf8", 4, end)) as Message
      this.buffered = this.buffered.subarray(end)
      this.received.push(received)
      if (this.answersPings && received.type === "HEARTBEAT" && received.payload["kind"] === "ping") {
        this.say("HEARTBEAT", { kind: "pong", seq: received.payload["seq"] }, { replyTo: received.id })
      }
      this.onMessage(received)
    }
  }
}

/** A connection from `host`, by default a host of its own, on which nothing has been said. Scope: destroys it. */
export const dial = (
  address: string,
  { host = fresh("host"), id = fresh("peer") }: { readonly host?: string; readonly id?: string } = {}
): Effect.Effect<MemoryPeer, never, Scope.Scope | MemoryTransport.MemoryNetwork> =>
  Effect.gen(function* () {
    const network = yield* MemoryTransport.MemoryNetwork
    const [to = "", port] = address.split(":")
    const link = yield* Effect.acquireRelease(
      Effect.orDie(network.transport(host).dial(PeerAddress.make(to, Number(port ?? 9470)))),
      (link) => Effect.sync(() => link.destroy())
    )
    return new MemoryPeer(link, id)
  })

/** Listens at a host's port 9470 and gives each that comes to `onPeer`. */
export const listen = (
  host: string,
  onPeer: (peer: MemoryPeer) => void,
  id: string = host
): Effect.Effect<void, never, Scope.Scope | MemoryTransport.MemoryNetwork> =>
  Effect.flatMap(MemoryTransport.MemoryNetwork, (network) =>
    network
      .transport(host)
      .listen(PeerAddress.make(host, 9470), (link) => onPeer(new MemoryPeer(link, id)))
      .pipe(Effect.orDie, Effect.asVoid)
  )

/** Answers each HELLO with one's own. */
export const welcome =
  (payload: Readonly<Record<string, unknown>> = {}) =>
  (peer: MemoryPeer): void => {
    peer.answersPings = true
    peer.onMessage = ({ id, type }) => {
      if (type === "HELLO") peer.hello({ session: "s-1", ...payload }, { replyTo: id })
    }
  }
