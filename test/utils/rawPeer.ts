/**
 * The other end of a connection, played by hand over `node:net`: it sends what a test tells it to, right or wrong, and
 * keeps what comes back. Written from docs/PROTOCOL.md alone; nothing of the package is used.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import net from "node:net"

// --- Bytes ---

/** The four bytes that announce a body of that length. */
export const lengthOf = (bytes: number): Buffer => {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(bytes)
  return header
}

/** One frame: of bytes, of a text, or of a value as JSON. */
export const frame = (body: unknown): Buffer => {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body))
  return Buffer.concat([lengthOf(bytes.length), bytes])
}

/** The text of an envelope whose body has exactly that many bytes. */
export const bodyOf = (bytes: number, envelope: Message): string => {
  const padded = (text: string) => JSON.stringify({ ...envelope, payload: { ...envelope.payload, text } })
  return padded("x".repeat(bytes - Buffer.byteLength(padded(""))))
}

// --- Messages ---

export interface Message {
  readonly type: string
  readonly id: string
  readonly sender: string
  readonly timestamp: string
  readonly payload: Readonly<Record<string, unknown>>
  readonly recipient?: string
  readonly ttl?: number
  readonly replyTo?: string
  readonly expectsReply?: boolean
}

export const helloPayload = {
  version: 1,
  minVersion: 1,
  network: "synapse",
  listen: [],
  features: ["relay"]
}

let made = 0

/** A name that was not used before. */
export const fresh = (prefix: string): string => `${prefix}-${++made}`

export const message = (
  sender: string,
  type: string,
  payload: Readonly<Record<string, unknown>> = {},
  more: Partial<Message> = {}
): Message => ({ type, id: fresh("m"), sender, timestamp: "2026-11-22T14:00:00.000Z", payload, ...more })

/** What a node sends of itself, whatever it is sent. */
const isOwnTalk = ({ payload, type }: Message): boolean =>
  (type === "HEARTBEAT" && payload["kind"] === "ping") || (type === "PEER_LIST" && payload["kind"] !== "response")

// --- The peer ---

export class RawPeer {
  /** What came in, in order, but for the node's own pings and questions. */
  readonly received: Array<Message> = []
  framesIn = 0
  bytesIn = 0
  /** Bytes that the operating system has taken from `flood`. */
  taken = 0
  /** The node sends no more. */
  hasEnded = false
  isClosed = false
  /** Why it was closed, if not in order. */
  cause: Error | undefined
  /** Whether what comes in is kept, or only counted. */
  keeps = true

  readonly id: string
  readonly socket: net.Socket
  private readonly watchers = new Set<() => void>()
  private buffered: Array<Buffer> = []
  private held = 0
  private wanted = 4

  constructor(socket: net.Socket, id: string) {
    this.socket = socket
    this.id = id
    socket.on("data", (chunk) => {
      this.take(chunk)
      this.look()
    })
    socket.on("end", () => {
      this.hasEnded = true
      this.look()
    })
    socket.on("error", (cause) => {
      this.cause = cause
    })
    socket.on("close", () => {
      this.isClosed = true
      this.look()
    })
  }

  write(bytes: Uint8Array): void {
    if (this.socket.writable) this.socket.write(bytes)
  }

  send(body: unknown): void {
    this.write(frame(body))
  }

  /** Sends a message of its own: the id. */
  say(type: string, payload: Readonly<Record<string, unknown>> = {}, more: Partial<Message> = {}): string {
    const said = message(this.id, type, payload, more)
    this.send(said)
    return said.id
  }

  ping(seq: number): string {
    return this.say("HEARTBEAT", { kind: "ping", seq })
  }

  hello(payload: Readonly<Record<string, unknown>> = {}, more: Partial<Message> = {}): string {
    return this.say("HELLO", { ...helloPayload, ...payload }, more)
  }

  /** FIN. */
  end(): void {
    this.socket.end()
  }

  /** RST. */
  reset(): void {
    this.socket.resetAndDestroy()
  }

  stopReading(): void {
    this.socket.pause()
  }

  read(): void {
    this.socket.resume()
  }

  errors(): ReadonlyArray<Message> {
    return this.received.filter(({ type }) => type === "ERROR")
  }

  /** Waits until it is so; dies after some seconds, telling what there was instead. */
  until(what: string, condition: () => boolean, seconds = 5): Effect.Effect<void> {
    return Effect.async<void>((resume) => {
      const look = (): void => {
        if (!condition()) return
        this.watchers.delete(look)
        resume(Effect.void)
      }
      this.watchers.add(look)
      look()
      return Effect.sync(() => this.watchers.delete(look))
    }).pipe(
      Effect.timeoutFail({
        duration: seconds * 1000,
        onTimeout: () =>
          new Error(
            `waited for ${what}; ended: ${this.hasEnded}, closed: ${this.isClosed}, ` +
              `cause: ${this.cause?.message}, received: ${JSON.stringify(this.received.slice(-5)).slice(0, 2000)}`
          )
      }),
      Effect.orDie
    )
  }

  /** The first message that fits, taken out of `received`. */
  next(what: string, fits: (received: Message) => boolean, seconds = 5): Effect.Effect<Message> {
    return Effect.flatMap(
      this.until(what, () => this.received.some(fits), seconds),
      () => Effect.succeed(this.received.splice(this.received.findIndex(fits), 1)[0] as Message)
    )
  }

  pong(to: string, seconds = 5): Effect.Effect<Message> {
    return this.next("a pong", ({ replyTo, type }) => type === "HEARTBEAT" && replyTo === to, seconds)
  }

  get ended(): Effect.Effect<void> {
    return this.until("the node's FIN", () => this.hasEnded || this.isClosed)
  }

  get closed(): Effect.Effect<void> {
    return this.until("the end of the connection", () => this.isClosed)
  }

  /**
   * All that the node answers to these bytes: what comes before the answer to a ping sent right after them, or before its
   * FIN.
   */
  answersTo(bytes: Uint8Array): Effect.Effect<{ readonly answers: ReadonlyArray<Message>; readonly isOpen: boolean }> {
    return Effect.suspend(() => {
      this.write(bytes)
      const ping = this.ping(0)
      const isPong = ({ replyTo, type }: Message) => type === "HEARTBEAT" && replyTo === ping
      return Effect.map(
        this.until("a pong or the end", () => this.hasEnded || this.isClosed || this.received.some(isPong)),
        () => {
          const at = this.received.findIndex(isPong)
          const answers = this.received.splice(0, at < 0 ? Infinity : at + 1)
          return { answers: answers.filter((one) => !isPong(one)), isOpen: at >= 0 }
        }
      )
    })
  }

  /** Writes one chunk after the other as the operating system takes them, until there are no more or it is closed. */
  flood(chunks: Iterator<Uint8Array>): Effect.Effect<void> {
    return Effect.async((resume) => {
      let stopped = false
      const more = (): void => {
        if (stopped) return
        const next = chunks.next()
        if (next.done === true || !this.socket.writable) return resume(Effect.void)
        this.socket.write(next.value, (failure) => {
          if (failure !== undefined && failure !== null) return resume(Effect.void)
          this.taken += next.value.length
          // The node lives on the same event loop: it has its turn between two chunks.
          setImmediate(more)
        })
      }
      more()
      return Effect.sync(() => {
        stopped = true
      })
    })
  }

  /** Waits until nothing has been taken of a flood for a second. */
  get stalled(): Effect.Effect<void> {
    const look = (before: number, same: number): Effect.Effect<void> =>
      same >= 10
        ? Effect.void
        : Effect.delay(
            Effect.suspend(() => look(this.taken, this.taken === before ? same + 1 : 0)),
            100
          )
    return look(-1, 0)
  }

  private look(): void {
    for (const watcher of this.watchers) watcher()
  }

  private take(chunk: Buffer): void {
    this.bytesIn += chunk.length
    this.buffered.push(chunk)
    this.held += chunk.length
    if (this.held < this.wanted) return
    let bytes = this.buffered.length === 1 ? chunk : Buffer.concat(this.buffered)
    while (bytes.length >= 4 && bytes.length >= 4 + bytes.readUInt32BE(0)) {
      const length = bytes.readUInt32BE(0)
      this.framesIn++
      if (this.keeps) {
        const received = JSON.parse(bytes.toString("utf8", 4, 4 + length)) as Message
        if (!isOwnTalk(received)) this.received.push(received)
      }
      bytes = bytes.subarray(4 + length)
    }
    this.buffered = [bytes]
    this.held = bytes.length
    this.wanted = bytes.length < 4 ? 4 : 4 + bytes.readUInt32BE(0)
  }
}

const closing = <E>(peer: Effect.Effect<RawPeer, E>): Effect.Effect<RawPeer, E, Scope.Scope> =>
  Effect.acquireRelease(peer, ({ socket }) => Effect.sync(() => socket.destroy()))

/** A connection on which nothing has been said. Scope: destroys it. */
export const dial = (port: number, id = fresh("raw")): Effect.Effect<RawPeer, never, Scope.Scope> =>
  closing(
    Effect.async<RawPeer>((resume) => {
      const socket = net.connect({ host: "127.0.0.1", port, allowHalfOpen: true, noDelay: true })
      const peer = new RawPeer(socket, id)
      socket.once("connect", () => resume(Effect.succeed(peer)))
      socket.once("error", (cause) => resume(Effect.die(cause)))
    })
  )

/** A connection with the handshake done. */
export const connect = (
  port: number,
  options: { readonly id?: string; readonly hello?: Readonly<Record<string, unknown>> } = {}
): Effect.Effect<RawPeer, never, Scope.Scope> =>
  Effect.tap(dial(port, options.id), (peer) => {
    const id = peer.hello(options.hello)
    return peer.next("HELLO", ({ replyTo, type }) => type === "HELLO" && replyTo === id)
  })

/** A listener of one's own, for the node to dial: its port, and those who came. */
export const listen: Effect.Effect<
  { readonly address: string; readonly accepted: Effect.Effect<RawPeer> },
  never,
  Scope.Scope
> = Effect.map(
  Effect.acquireRelease(
    Effect.async<{ readonly server: net.Server; readonly peers: Array<RawPeer> }>((resume) => {
      const peers: Array<RawPeer> = []
      const server = net.createServer({ allowHalfOpen: true, noDelay: true }, (socket) => {
        peers.push(new RawPeer(socket, fresh("raw")))
      })
      server.listen(0, "127.0.0.1", () => resume(Effect.succeed({ server, peers })))
    }),
    ({ peers, server }) =>
      Effect.sync(() => {
        server.close()
        for (const { socket } of peers) socket.destroy()
      })
  ),
  ({ peers, server }) => {
    const next: Effect.Effect<RawPeer> = Effect.suspend(() => {
      const peer = peers.shift()
      return peer === undefined ? Effect.delay(next, 5) : Effect.succeed(peer)
    })
    return {
      address: `127.0.0.1:${(server.address() as net.AddressInfo).port}`,
      accepted: next.pipe(
        Effect.timeoutFail({ duration: 5_000, onTimeout: () => new Error("nobody dialed") }),
        Effect.orDie
      )
    }
  }
)
