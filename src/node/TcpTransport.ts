/**
 * The transport over TCP. It works on Node's sockets themselves: pausing, half-closing, the address of the other end and
 * the progress of writes are all needed, and `@effect/platform`'s `Socket` has none of them.
 *
 * A link is a thin object around its socket, without a fiber, a queue or a timer of its own: bytes are read as fast as
 * the receiver takes them, and what is written waits in the socket until the operating system takes it.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { lookup } from "node:dns/promises"
import * as Net from "node:net"
import type { Duplex } from "node:stream"
import {
  AddressUnresolved,
  type DialError,
  DialRefused,
  DialReset,
  DialUnreachable,
  ListenFailed
} from "../NetworkError.js"
import * as PeerAddress from "../PeerAddress.js"
import { type Link, type Listener, type LinkReceiver, Transport } from "../Transport.js"

// --- Links ---

/** Chunks that together are no longer than this are joined: one copy costs less than a trip through the stream for each. */
const joinBytes = 65_536

class DuplexLink<S extends Duplex> implements Link {
  readonly remote: PeerAddress.PeerAddress
  readonly local: PeerAddress.PeerAddress
  private readonly stream: S
  private readonly abort: (stream: S) => void
  private receiver: LinkReceiver | undefined = undefined
  /** Who waits for a write to be taken, oldest first: the stream takes them in this order. */
  private readonly waiting: Array<(cause?: unknown) => void> = []
  private cause: unknown = undefined
  private paused = false
  private destroyedHere = false
  private ended: boolean
  private endTold = false
  private closed: boolean
  private closeTold = false

  constructor(stream: S, addresses: Addresses, abort: (stream: S) => void) {
    this.stream = stream
    this.remote = addresses.remote
    this.local = addresses.local
    this.abort = abort
    this.ended = stream.readableEnded
    this.closed = stream.closed
    if (this.closed) this.cause = stream.errored ?? lostEarly()
    // Else a socket reads from the moment it is connected.
    stream.pause()
    stream.on("error", (cause) => {
      this.cause ??= cause
    })
    stream.on("end", () => {
      this.ended = true
      this.report()
    })
    stream.on("close", () => {
      this.closed = true
      if (!this.destroyedHere && !(this.ended && stream.writableFinished)) this.cause ??= lostEarly()
      for (const done of this.waiting.splice(0)) this.settle(done, this.closedCause())
      this.report()
    })
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    this.stream.on("data", (chunk: Uint8Array) => {
      if (this.stream.destroyed) return
      try {
        receiver.onData(chunk)
      } catch (cause) {
        this.destroy(cause)
      }
    })
    if (!this.paused) this.stream.resume()
    // What happened before is told too, though not from within this call.
    if (this.ended || this.closed) queueMicrotask(() => this.report())
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    const { stream } = this
    if (!stream.writable) {
      // A stream would take this for an error of its own and destroy itself.
      queueMicrotask(() => this.settle(done, this.closedCause()))
      return
    }
    this.waiting.push(done)
    const only = chunks.length === 1 ? chunks[0] : joined(chunks)
    if (only !== undefined) {
      stream.write(only, this.written)
      return
    }
    stream.cork()
    const last = chunks.length - 1
    chunks.forEach((chunk, index) => {
      if (index === last) stream.write(chunk, this.written)
      else stream.write(chunk)
    })
    stream.uncork()
  }

  pause(): void {
    this.paused = true
    this.stream.pause()
  }

  resume(): void {
    this.paused = false
    if (this.receiver !== undefined) this.stream.resume()
  }

  end(): void {
    this.stream.end()
  }

  destroy(cause?: unknown): void {
    const { stream } = this
    if (stream.destroyed) return
    this.destroyedHere = true
    this.cause = cause
    // With everything up to our FIN in its hands the operating system may go on delivering. A stream cut short must not
    // look like a whole one: the other end is told by a reset, which also frees what a peer that does not read holds
    // up. (A socket that is reset while its FIN is on the way would never close: Node loses it.)
    if (stream.writableEnded && stream.writableLength === 0) stream.destroy()
    else this.abort(stream)
  }

  private readonly written = (error?: Error | null): void => {
    const done = this.waiting.shift()
    if (done === undefined) return
    // Node calls back without an error for writes that its destroy cut off.
    this.settle(done, this.stream.destroyed ? (this.cause ?? error ?? this.closedCause()) : (error ?? undefined))
  }

  private settle(done: (cause?: unknown) => void, cause: unknown): void {
    try {
      if (cause === undefined) done()
      else done(cause)
    } catch (thrown) {
      this.destroy(thrown)
    }
  }

  private closedCause(): unknown {
    return this.cause ?? new Error("the link is closed for writing")
  }

  private report(): void {
    const { receiver } = this
    if (receiver === undefined) return
    if (this.ended && !this.endTold) {
      this.endTold = true
      try {
        receiver.onEnd()
      } catch (cause) {
        this.destroy(cause)
      }
    }
    if (this.closed && !this.closeTold) {
      this.closeTold = true
      if (this.cause === undefined) receiver.onClose()
      else receiver.onClose(this.cause)
    }
  }
}

const lostEarly = (): Error => new Error("the stream closed before both ends had ended it")

/** The chunks as one, unless they are too long for that. */
const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array | undefined => {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  return length <= joinBytes ? Buffer.concat(chunks, length) : undefined
}

/**
 * Where the two ends of a link are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Addresses {
  readonly remote: PeerAddress.PeerAddress
  readonly local: PeerAddress.PeerAddress
}

/**
 * Makes a link of an open duplex stream and takes it over: nothing else may read, write or destroy the stream. The stream
 * must be half-open (`allowHalfOpen`), destroy itself once both directions have ended (`autoDestroy`), and emit nothing
 * from within a call of its own methods, as TCP and TLS sockets do.
 *
 * `abort` destroys the stream where the other end is to see that it was cut short; by default that is `stream.destroy()`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDuplex = <S extends Duplex>(
  stream: S,
  addresses: Addresses,
  abort: (stream: S) => void = destroyStream
): Link => new DuplexLink(stream, addresses, abort)

const destroyStream = (stream: Duplex): void => {
  stream.destroy()
}

// --- Sockets ---

const socketOptions = { allowHalfOpen: true, noDelay: true, keepAlive: true, keepAliveInitialDelay: 60_000 } as const

/** Undefined where the other end is gone already: the operating system no longer knows who it was. */
const addressesOf = (socket: Net.Socket): Addresses | undefined => {
  const { localAddress, localPort, remoteAddress, remotePort } = socket
  return localAddress === undefined ||
    localPort === undefined ||
    remoteAddress === undefined ||
    remotePort === undefined
    ? undefined
    : { remote: PeerAddress.make(remoteAddress, remotePort), local: PeerAddress.make(localAddress, localPort) }
}

const reset = (socket: Net.Socket): void => {
  socket.resetAndDestroy()
}

/** Of several addresses that were tried, the error of the first counts: resolvers put the best address there. */
const codeOf = (cause: unknown): string => {
  const first: unknown = cause instanceof AggregateError ? cause.errors[0] : cause
  return first instanceof Error && "code" in first ? String(first.code) : ""
}

// --- Listening ---

const listenFailed = (address: PeerAddress.PeerAddress, cause: unknown): ListenFailed => {
  switch (codeOf(cause)) {
    case "EADDRINUSE":
      return new ListenFailed({ address, reason: "AddressInUse", cause })
    case "EACCES":
      return new ListenFailed({ address, reason: "PermissionDenied", cause })
    case "EADDRNOTAVAIL":
    case "ENOTFOUND":
      return new ListenFailed({ address, reason: "AddressNotAvailable", cause })
    default:
      return new ListenFailed({ address, reason: "Other", cause })
  }
}

/** Where the server listens: the real port where any was asked for. */
const boundAddress = (server: Net.Server, asked: PeerAddress.PeerAddress): PeerAddress.PeerAddress => {
  const bound = server.address()
  return typeof bound === "object" && bound !== null ? PeerAddress.make(bound.address, bound.port) : asked
}

const bind = (
  server: Net.Server,
  address: PeerAddress.PeerAddress
): Effect.Effect<PeerAddress.PeerAddress, ListenFailed> =>
  Effect.async((resume) => {
    let abandoned = false
    const fail = (cause: unknown): void => resume(Effect.fail(listenFailed(address, cause)))
    server.once("error", fail)
    server.once("listening", () => {
      // Closing a server does not stop it from resolving its host, and from listening after that.
      if (abandoned) return void server.close()
      server.off("error", fail)
      resume(Effect.succeed(boundAddress(server, address)))
    })
    server.listen({ host: address.host, port: address.port, backlog: 511, exclusive: true })
    return Effect.sync(() => {
      abandoned = true
      server.close()
    })
  })

const listen = (
  address: PeerAddress.PeerAddress,
  onLink: (link: Link) => void
): Effect.Effect<Listener, ListenFailed, Scope.Scope> =>
  Effect.gen(function* () {
    const fork = Runtime.runFork(yield* Effect.runtime<never>())
    const links = new Map<Net.Socket, Link>()
    const server = Net.createServer({ ...socketOptions, pauseOnConnect: true })

    const forget = function (this: Net.Socket): void {
      links.delete(this)
    }
    server.on("connection", (socket) => {
      const addresses = addressesOf(socket)
      if (addresses === undefined) {
        socket.on("error", () => {}).destroy()
        return
      }
      acceptFailing = false
      socket.once("close", forget)
      const link = fromDuplex(socket, addresses, reset)
      links.set(socket, link)
      try {
        onLink(link)
      } catch (cause) {
        link.destroy(cause)
      }
    })

    // Out of file descriptors, every attempt to connect is one error: they are told of once, until one succeeds again.
    let acceptFailing = false
    server.on("error", (cause) => {
      if (!server.listening || acceptFailing) return
      acceptFailing = true
      fork(Effect.logWarning(`cannot accept connections at ${boundAddress(server, address)}: ${cause.message}`))
    })

    const stopAccepting = Effect.sync(() => {
      if (server.listening) server.close()
    })
    yield* Effect.addFinalizer(() =>
      Effect.zipRight(
        stopAccepting,
        Effect.sync(() => {
          for (const link of links.values()) link.destroy(new Error("the listener was closed"))
        })
      )
    )
    return { address: yield* bind(server, address), stopAccepting }
  })

// --- Dialing ---

const dialFailed = (address: PeerAddress.PeerAddress, cause: unknown): DialError => {
  const code = codeOf(cause)
  if (code === "ECONNREFUSED") return new DialRefused({ address })
  if (code === "ECONNRESET" || code === "EPIPE") return new DialReset({ address, cause })
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) return new AddressUnresolved({ address, cause })
  return new DialUnreachable({ address, cause })
}

const dial = (address: PeerAddress.PeerAddress): Effect.Effect<Link, DialError> =>
  Effect.async((resume) => {
    const socket = Net.connect({
      ...socketOptions,
      host: address.host,
      port: address.port,
      autoSelectFamily: true,
      // Node gives an address up after this time to try the next: 250 ms, its default, is less than far peers take.
      autoSelectFamilyAttemptTimeout: 1_000
    })
    const fail = (cause: unknown): void => resume(Effect.fail(dialFailed(address, cause)))
    socket.on("error", fail)
    socket.once("connect", () => {
      const addresses = addressesOf(socket)
      if (addresses === undefined) {
        resume(Effect.fail(new DialReset({ address })))
        socket.destroy()
        return
      }
      resume(Effect.succeed(fromDuplex(socket, addresses, reset)))
      socket.off("error", fail)
    })
    return Effect.sync(() => {
      socket.destroy()
    })
  })

const resolve = (
  address: PeerAddress.PeerAddress
): Effect.Effect<ReadonlyArray<PeerAddress.PeerAddress>, AddressUnresolved> =>
  Net.isIP(address.host) !== 0 || address.host === ""
    ? Effect.succeed([address])
    : Effect.tryPromise({
        try: () => lookup(address.host, { all: true }),
        catch: (cause) => new AddressUnresolved({ address, cause })
      }).pipe(
        Effect.map((found) => [...new Set(found.map((one) => one.address))]),
        Effect.filterOrFail(
          (hosts) => hosts.length > 0,
          () => new AddressUnresolved({ address })
        ),
        Effect.map((hosts) => hosts.map((host) => PeerAddress.make(host, address.port)))
      )

/**
 * TCP over IPv4 and IPv6, with half-open sockets, TCP_NODELAY and keep-alive. A dialed name is tried at its addresses one
 * after the other. `destroy` resets the connection, except where all of our data and our FIN are on their way.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport> = Layer.succeed(Transport, { listen, dial, resolve })
