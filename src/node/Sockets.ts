/**
 * TCP sockets of Node, as both transports use them: half-open, with TCP_NODELAY and keep-alive. It works on Node's sockets
 * themselves: pausing, half-closing, the address of the other end and the progress of writes are all needed, and
 * `@effect/platform`'s `Socket` has none of them.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import { lookup } from "node:dns/promises"
import * as Net from "node:net"
import {
  AddressUnresolved,
  type DialError,
  DialRefused,
  DialReset,
  DialUnreachable,
  ListenFailed
} from "../NetworkError.js"
import * as PeerAddress from "../PeerAddress.js"
import type { Link, Listener } from "../Transport.js"
import type { Addresses } from "./DuplexLink.js"

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

/** Ends it so that the other end sees that it was cut short. */
export const reset = (socket: Net.Socket): void => {
  socket.resetAndDestroy()
}

/** Of several addresses that were tried, the error of the first counts: resolvers put the best address there. */
export const codeOf = (cause: unknown): string => {
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

/**
 * Listens, and makes a link of each socket that comes, with `toLink`, to hand it to `onLink`. `isTaken` is told of those
 * that were not destroyed by then.
 */
export const listen = (
  address: PeerAddress.PeerAddress,
  onLink: (link: Link) => void,
  toLink: (socket: Net.Socket, addresses: Addresses) => Link,
  isTaken: (socket: Net.Socket) => void = () => {}
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
      socket.on("close", forget)
      const link = toLink(socket, addresses)
      links.set(socket, link)
      try {
        onLink(link)
      } catch (cause) {
        link.destroy(cause)
      }
      if (!socket.destroyed) isTaken(socket)
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

export const dialFailed = (address: PeerAddress.PeerAddress, cause: unknown): DialError => {
  const code = codeOf(cause)
  if (code === "ECONNREFUSED") return new DialRefused({ address })
  if (code === "ECONNRESET" || code === "EPIPE") return new DialReset({ address, cause })
  if (code === "ENOTFOUND" || code.startsWith("EAI_")) return new AddressUnresolved({ address, cause })
  return new DialUnreachable({ address, cause })
}

/**
 * Connects, and gives what `take` makes of the socket in the moment in which it is open: a socket left to itself would begin
 * to read. Interruption abandons the attempt and leaves nothing behind.
 */
export const connect = <A>(
  address: PeerAddress.PeerAddress,
  take: (socket: Net.Socket, addresses: Addresses) => A
): Effect.Effect<A, DialError> =>
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
      resume(Effect.succeed(take(socket, addresses)))
      socket.off("error", fail)
    })
    return Effect.sync(() => {
      socket.destroy()
    })
  })

export const resolve = (
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
