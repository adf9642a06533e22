import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import dns from "node:dns"
import net from "node:net"
import { networkInterfaces } from "node:os"
import { Duplex } from "node:stream"
import { afterEach, vi } from "vitest"
import * as TcpTransport from "../../src/node/TcpTransport.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import { type Link, Transport } from "../../src/Transport.js"
import { transportContract } from "../contract/Transport.js"
import { assertText, dial, record, rounds, settled, text, until, write } from "../utils/links.js"

const addresses = { local: PeerAddress.make("127.0.0.1", 1), remote: PeerAddress.make("127.0.0.1", 2) }

transportContract("TcpTransport", TcpTransport.layer)

const scoped = (sentence: string, body: () => Effect.Effect<void, unknown, Transport | Scope.Scope>): void =>
  it.scopedLive(sentence, () => Effect.provide(body(), TcpTransport.layer))

const listen = (host: string, onLink: (link: Link) => void, port = 0) =>
  Effect.flatMap(Transport, (transport) => transport.listen(PeerAddress.make(host, port), onLink))

/** Sockets and servers that the process holds open, or is about to open. */
const handles = (): number => process.getActiveResourcesInfo().filter((resource) => resource.startsWith("TCP")).length

/** A server and a client of Node's own, to see what is behind a link, or to be a bad peer. */
const rawServer = (onSocket: (socket: net.Socket) => void) =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<net.Server>((resume) => {
        const server = net.createServer({ allowHalfOpen: true, pauseOnConnect: true }, (socket) => {
          socket.on("error", () => {})
          onSocket(socket)
        })
        server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
      }),
      (server) => Effect.sync(() => server.close())
    ),
    (server) => PeerAddress.make("127.0.0.1", (server.address() as net.AddressInfo).port)
  )

const rawClient = (address: PeerAddress.PeerAddress) =>
  Effect.acquireRelease(
    Effect.async<net.Socket>((resume) => {
      const socket = net.connect({ host: address.host, port: address.port, allowHalfOpen: true })
      socket.pause()
      socket.on("error", () => {})
      socket.once("connect", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

const failure = (code: string): Error => Object.assign(new Error(`it says ${code}`), { code })

/** A name that stands for these addresses, or cannot be looked up. */
const names = (found: Error | ReadonlyArray<string>): void => {
  vi.spyOn(dns, "lookup").mockImplementation(((
    _: string,
    __: unknown,
    done: (error: unknown, addresses?: ReadonlyArray<dns.LookupAddress>) => void
  ) => {
    if (found instanceof Error) process.nextTick(done, found)
    else
      process.nextTick(
        done,
        null,
        found.map((address) => ({ address, family: net.isIP(address) }))
      )
  }) as unknown as typeof dns.lookup)
}

afterEach(() => {
  vi.restoreAllMocks()
})

describe("TcpTransport", () => {
  describe("back-pressure", () => {
    scoped("a paused receiver stops a sender of 200 MB while little of it is in memory at either end", () =>
      Effect.gen(function* () {
        const sockets: Array<net.Socket> = []
        const sender = yield* rawClient(yield* rawServer((socket) => sockets.push(socket)))
        yield* until(() => sockets.length === 1)
        const [receiver] = sockets as [net.Socket]
        const near = TcpTransport.fromDuplex(sender, addresses)
        const far = TcpTransport.fromDuplex(receiver, addresses)
        const heard = { bytes: 0, ended: false }
        far.attach({
          onData: (chunk) => {
            if (heard.bytes === 0) far.pause()
            heard.bytes += chunk.length
          },
          onEnd: () => {
            heard.ended = true
          },
          onClose: () => {}
        })

        const chunk = new Uint8Array(1_000_000)
        let taken = 0
        let most = 0
        const more = (cause?: unknown): void => {
          most = Math.max(most, sender.writableLength)
          if (cause !== undefined) return
          if (taken === 200) return near.end()
          taken++
          near.write([chunk], more)
        }
        more()

        const stoppedAt = yield* settled(() => sender.bytesWritten + receiver.bytesRead)
        assert.isBelow(taken, 60, "what the operating system holds")
        assert.isAtMost(most, 1_000_000, "what the sender holds")
        assert.isAtMost(receiver.bytesRead - heard.bytes, 1_000_000, "what the receiver holds")
        assert.isAbove(stoppedAt, 0)

        far.resume()
        yield* until(() => heard.ended)
        assert.strictEqual(heard.bytes, 200_000_000)
        far.destroy()
        near.destroy()
      })
    )
  })

  describe("before it is attached", () => {
    scoped("a link reads nothing, dialed or accepted", () =>
      Effect.gen(function* () {
        const listening = vi.spyOn(net.Server.prototype, "listen")
        const connecting = vi.spyOn(net.Socket.prototype, "connect")
        const links: Array<Link> = []
        const { address } = yield* listen("127.0.0.1", (link) => links.push(link))
        const [server] = listening.mock.contexts as unknown as [net.Server]
        const sockets: Array<net.Socket> = []
        server.on("connection", (socket: net.Socket) => sockets.push(socket))
        const near = yield* dial(address)
        sockets.push(...(connecting.mock.contexts as unknown as Array<net.Socket>))
        yield* until(() => links.length === 1)
        const ends = [near, links[0] as Link]
        for (const link of ends) yield* write(link, text(0, 5_000))
        yield* rounds(20)
        assert.deepStrictEqual(
          sockets.map((socket) => socket.bytesRead),
          [0, 0]
        )
        const heard = ends.map((link) => record(link))
        yield* until(() => heard.every(({ bytes }) => bytes === 5_000))
      })
    )
  })

  describe("bad peers", () => {
    scoped("a reset closes the link with its cause, and what is still to be written is told of it", () =>
      Effect.gen(function* () {
        const links: Array<Link> = []
        const { address } = yield* listen("127.0.0.1", (link) => links.push(link))
        const peer = yield* rawClient(address)
        yield* until(() => links.length === 1)
        const [link] = links as [Link]
        const heard = record(link)
        let told: unknown = undefined
        link.write([new Uint8Array(50_000_000)], (cause) => {
          told = cause
        })
        yield* rounds(5)
        peer.resetAndDestroy()
        yield* until(() => heard.events.includes("close"))
        assert.include(["ECONNRESET", "EPIPE"], (heard.cause as NodeJS.ErrnoException).code)
        assert.isDefined(told)
        assert.isDefined(yield* write(link, text(0, 1)))
      })
    )

    scoped("a dialed link that nobody has attached survives a reset, and tells of it when it is", () =>
      Effect.gen(function* () {
        const sockets: Array<net.Socket> = []
        const link = yield* dial(yield* rawServer((socket) => sockets.push(socket)))
        yield* until(() => sockets.length === 1)
        sockets[0]?.resetAndDestroy()
        yield* rounds(20)
        // The first write finds out, if nothing did before.
        yield* write(link, text(0, 10))
        yield* rounds(20)
        const heard = record(link)
        yield* until(() => heard.events.includes("close"))
        assert.isDefined(heard.cause)
        assert.deepStrictEqual(heard.events, ["close"])
      })
    )

    scoped("our own destroy resets, so that a stream cut short does not look like a whole one", () =>
      Effect.gen(function* () {
        const links: Array<Link> = []
        const { address } = yield* listen("127.0.0.1", (link) => links.push(link))
        const heard = record(yield* dial(address))
        yield* until(() => links.length === 1)
        yield* write(links[0] as Link, text(0, 100))
        yield* until(() => heard.bytes === 100)
        links[0]?.destroy()
        yield* until(() => heard.events.includes("close"))
        assert.deepStrictEqual(heard.events, ["data", "close"])
        assert.strictEqual((heard.cause as NodeJS.ErrnoException).code, "ECONNRESET")
      })
    )

    scoped("a link destroyed at any moment of its ending still closes", () =>
      Effect.gen(function* () {
        const links: Array<Link> = []
        const { address } = yield* listen("127.0.0.1", (link) => links.push(link))
        const before = handles()
        for (const bytes of [0, 100, 5_000_000]) {
          for (let turns = 0; turns < 6; turns++) {
            const link = yield* dial(address)
            const heard = record(link)
            if (bytes > 0) link.write([text(0, bytes)], () => {})
            link.end()
            yield* rounds(turns)
            link.destroy("now")
            yield* until(() => heard.events.includes("close"))
            assert.strictEqual(heard.cause, "now")
          }
        }
        yield* until(() => links.length === 18)
        for (const link of links) link.destroy()
        yield* until(() => handles() <= before)
      })
    )

    scoped("2,000 connections that come and go leave no handle and no warning behind", () =>
      Effect.gen(function* () {
        const warnings: Array<Error> = []
        const onWarning = (warning: Error): void => void warnings.push(warning)
        process.on("warning", onWarning)
        yield* Effect.addFinalizer(() => Effect.sync(() => process.off("warning", onWarning)))
        const before = handles()
        const scope = yield* Scope.make()
        let accepted = 0
        let closed = 0
        const { address } = yield* Scope.extend(
          listen("127.0.0.1", (link) => {
            accepted++
            link.attach({ onData: () => {}, onEnd: () => link.end(), onClose: () => closed++ })
          }),
          scope
        )
        const transport = yield* Transport
        yield* Effect.forEach(
          Array.from({ length: 2_000 }, (_, index) => index),
          (index) =>
            Effect.flatMap(transport.dial(address), (link) => {
              let over = false
              link.attach({
                onData: () => {},
                onEnd: () => {},
                onClose: () => {
                  over = true
                }
              })
              if (index % 2 === 0) link.end()
              else link.destroy()
              return until(() => over)
            }),
          { concurrency: 50, discard: true }
        )
        assert.isAtLeast(accepted, 1_000)
        yield* until(() => closed === accepted)
        yield* Scope.close(scope, Exit.void)
        yield* until(() => handles() <= before)
        assert.deepStrictEqual(warnings, [])
      })
    )

    scoped("a connection that is gone before it is accepted is not shown", () =>
      Effect.gen(function* () {
        const listening = vi.spyOn(net.Server.prototype, "listen")
        const links: Array<Link> = []
        yield* listen("127.0.0.1", (link) => links.push(link))
        const [server] = listening.mock.contexts as unknown as [net.Server]
        const gone = new net.Socket()
        server.emit("connection", gone)
        gone.emit("error", failure("ECONNRESET"))
        assert.deepStrictEqual(links, [])
        assert.isTrue(gone.destroyed)
      })
    )
  })

  describe("listening", () => {
    const hasIPv6 = Object.values(networkInterfaces()).some((all) => all?.some(({ family }) => family === "IPv6"))
    for (const host of hasIPv6 ? ["0.0.0.0", "::"] : ["0.0.0.0"]) {
      scoped(`at ${host} takes connections to any address of this machine, and shows IPv4 as IPv4`, () =>
        Effect.gen(function* () {
          const links: Array<Link> = []
          const listener = yield* listen(host, (link) => links.push(link))
          assert.strictEqual(listener.address.host, host)
          const near = yield* dial(PeerAddress.make("127.0.0.1", listener.address.port))
          yield* until(() => links.length === 1)
          assert.strictEqual(links[0]?.remote.host, "127.0.0.1")
          assert.strictEqual(links[0]?.local.host, "127.0.0.1")
          assert.strictEqual(near.remote.host, "127.0.0.1")
        })
      )
    }

    scoped("at a name, and dialing one, goes by its addresses", () =>
      Effect.gen(function* () {
        const links: Array<Link> = []
        const listener = yield* listen("localhost", (link) => links.push(link))
        assert.isTrue(PeerAddress.isLoopback(listener.address.host))
        const near = yield* dial(PeerAddress.make("localhost", listener.address.port))
        assert.deepStrictEqual(near.remote, listener.address)
        yield* until(() => links.length === 1)
      })
    )

    scoped("at an address of another machine is told as such", () =>
      Effect.gen(function* () {
        const error = yield* Effect.flip(listen("192.0.2.1", () => {}))
        assert.strictEqual(error.reason, "AddressNotAvailable")
      })
    )

    for (const [code, reason] of [
      ["EADDRINUSE", "AddressInUse"],
      ["EACCES", "PermissionDenied"],
      ["EADDRNOTAVAIL", "AddressNotAvailable"],
      ["ENOTFOUND", "AddressNotAvailable"],
      ["EMFILE", "Other"]
    ] as const) {
      scoped(`${code} is ${reason}`, () =>
        Effect.gen(function* () {
          vi.spyOn(net.Server.prototype, "listen").mockImplementation(function (this: net.Server) {
            queueMicrotask(() => this.emit("error", failure(code)))
            return this
          })
          const error = yield* Effect.flip(listen("127.0.0.1", () => {}))
          assert.strictEqual(error.reason, reason)
          assert.strictEqual((error.cause as NodeJS.ErrnoException | undefined)?.code, code)
        })
      )
    }

    scoped("abandoned before it has begun, is given up as soon as it begins", () =>
      Effect.gen(function* () {
        // Some versions of Node go on to listen after the host is looked up, though the server was closed meanwhile.
        const begin: (this: net.Server, port: number, host: string) => net.Server = net.Server.prototype.listen
        const begun: Array<net.Server> = []
        const servers: Array<net.Server> = []
        vi.spyOn(net.Server.prototype, "listen").mockImplementation(function (this: net.Server) {
          servers.push(this)
          return this
        })
        const fiber = yield* Effect.fork(listen("slow.example", () => {}))
        yield* rounds(2)
        yield* Fiber.interrupt(fiber)
        for (const server of servers) {
          server.on("listening", () => begun.push(server))
          begin.call(server, 0, "127.0.0.1")
        }
        yield* until(() => begun.length === 1)
        assert.isFalse(begun[0]?.listening)
      })
    )

    it.scopedLive("failures to accept are logged once, until accepting succeeds again", () => {
      const logged: Array<string> = []
      const logger = Logger.make(({ message }) => void logged.push(String(message)))
      return Effect.gen(function* () {
        const listening = vi.spyOn(net.Server.prototype, "listen")
        const links: Array<Link> = []
        const { address } = yield* listen("127.0.0.1", (link) => links.push(link))
        const [server] = listening.mock.contexts as unknown as [net.Server]
        server.emit("error", failure("EMFILE"))
        server.emit("error", failure("EMFILE"))
        yield* rounds(2)
        assert.deepStrictEqual(logged, [`cannot accept connections at ${address}: it says EMFILE`])
        yield* dial(address)
        yield* until(() => links.length === 1)
        server.emit("error", failure("EMFILE"))
        yield* rounds(2)
        assert.strictEqual(logged.length, 2)
      }).pipe(Effect.provide(TcpTransport.layer), Effect.provide(Logger.replace(Logger.defaultLogger, logger)))
    })
  })

  describe("dialing", () => {
    for (const [code, tag] of [
      ["ECONNREFUSED", "DialRefused"],
      ["ECONNRESET", "DialReset"],
      ["EPIPE", "DialReset"],
      ["ENOTFOUND", "AddressUnresolved"],
      ["EAI_AGAIN", "AddressUnresolved"],
      ["EHOSTUNREACH", "DialUnreachable"],
      ["ETIMEDOUT", "DialUnreachable"]
    ] as const) {
      scoped(`${code} is ${tag}`, () =>
        Effect.gen(function* () {
          names(failure(code))
          const address = PeerAddress.make("peer.example", 9470)
          const error = yield* Effect.flip(dial(address))
          assert.strictEqual(error._tag, tag)
          assert.deepStrictEqual(error.address, address)
          if ("cause" in error) assert.strictEqual((error.cause as NodeJS.ErrnoException).code, code)
        })
      )
    }

    scoped("of several errors at once the first tells what it is", () =>
      Effect.gen(function* () {
        const cause = new AggregateError([failure("ECONNRESET"), failure("ENOTFOUND")])
        names(cause)
        const error = yield* Effect.flip(dial(PeerAddress.make("peer.example", 9470)))
        assert.strictEqual(error._tag, "DialReset")
        assert.strictEqual(error._tag === "DialReset" ? error.cause : undefined, cause)
      })
    )

    scoped("a name of several addresses reaches the one that answers", () =>
      Effect.gen(function* () {
        const { address } = yield* listen("127.0.0.1", (link) => record(link))
        names(["::1", "127.0.0.1"])
        const near = yield* dial(PeerAddress.make("peer.example", address.port))
        assert.deepStrictEqual(near.remote, address)
      })
    )

    scoped("a name of several addresses of which none answers is refused, not merely unreachable", () =>
      Effect.gen(function* () {
        const { address } = yield* Effect.scoped(listen("127.0.0.1", () => {}))
        names(["127.0.0.1", "::1"])
        const error = yield* Effect.flip(dial(PeerAddress.make("peer.example", address.port)))
        assert.strictEqual(error._tag, "DialRefused")
      })
    )

    scoped("abandoned while connecting, closes its socket at once", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const { address } = yield* listen("127.0.0.1", (link) => record(link, { onEnd: () => link.end() }))
        const before = handles()
        const connecting = vi.spyOn(net.Socket.prototype, "connect")
        const fiber = yield* Effect.fork(transport.dial(address))
        yield* Effect.yieldNow()
        const [socket] = connecting.mock.contexts as unknown as [net.Socket]
        assert.isTrue(socket.connecting)
        yield* Fiber.interrupt(fiber)
        assert.isTrue(socket.destroyed)
        yield* until(() => handles() <= before)
      })
    )
  })

  describe("resolving", () => {
    scoped("a name gives all its addresses once, each with the port", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const found = yield* transport.resolve(PeerAddress.make("localhost", 9470))
        assert.isNotEmpty(found)
        for (const { host, port } of found) {
          assert.isTrue(PeerAddress.isLoopback(host))
          assert.isAbove(net.isIP(host), 0)
          assert.strictEqual(port, 9470)
        }
        assert.strictEqual(new Set(found.map(String)).size, found.length)
      })
    )

    scoped("a literal of any form stands for itself", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        for (const host of ["127.0.0.1", "::1", "2001:db8::5", "0.0.0.0", "::", ""]) {
          const address = PeerAddress.make(host, 9470)
          assert.deepStrictEqual(yield* transport.resolve(address), [address])
        }
      })
    )

    scoped("a name that stands for nothing is told as such", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const address = PeerAddress.make("no such host", 9470)
        const error = yield* Effect.flip(transport.resolve(address))
        assert.strictEqual(error._tag, "AddressUnresolved")
        assert.deepStrictEqual(error.address, address)
      })
    )
  })
})

describe("fromDuplex", () => {
  /** A stream whose writes wait to be let through. */
  class Gate extends Duplex {
    readonly writes: Array<Buffer> = []
    readonly finish: Array<() => void> = []
    constructor() {
      super({ allowHalfOpen: true })
    }
    override _read(): void {}
    override _write(chunk: Buffer, _: BufferEncoding, done: () => void): void {
      this.writes.push(chunk)
      this.finish.push(done)
    }
    override _writev(chunks: Array<{ chunk: Buffer }>, done: () => void): void {
      for (const { chunk } of chunks) this.writes.push(chunk)
      this.finish.push(done)
    }
  }

  it.live("joins small chunks into one write and hands long ones over together", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const link = TcpTransport.fromDuplex(gate, addresses)
      let done = 0
      const count = (cause?: unknown): void => {
        assert.isUndefined(cause)
        done++
      }
      link.write([text(0, 10), text(10, 20), text(30, 70)], count)
      assert.deepStrictEqual(gate.writes, [Buffer.from(text(0, 100))])
      link.write([text(100, 50_000), text(50_100, 50_000), text(100_100, 50_000)], count)
      assert.strictEqual(done, 0)
      gate.finish.shift()?.()
      yield* until(() => done === 1)
      assert.strictEqual(gate.finish.length, 1)
      assertText(gate.writes, 150_100)
      gate.finish.shift()?.()
      yield* until(() => done === 2)
      link.destroy()
    })
  )

  it.live("tells of writes that the stream itself forgets when it is destroyed, the oldest first", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const link = TcpTransport.fromDuplex(gate, addresses)
      const heard = record(link)
      const told: Array<readonly [number, unknown]> = []
      for (const number of [1, 2, 3]) link.write([text(0, 10)], (cause) => told.push([number, cause]))
      link.destroy("gone")
      yield* until(() => heard.events.includes("close"))
      for (const done of gate.finish) done()
      yield* rounds(3)
      assert.deepStrictEqual(told, [
        [1, "gone"],
        [2, "gone"],
        [3, "gone"]
      ])
    })
  )

  it.live("hands over nothing more once its receiver has destroyed it", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const link = TcpTransport.fromDuplex(gate, addresses)
      gate.push(text(0, 10))
      gate.push(text(10, 10))
      const heard = record(link, { onData: () => link.destroy() })
      yield* until(() => heard.events.includes("close"))
      assert.deepStrictEqual(heard.events, ["data", "close"])
    })
  )

  it.live("hands over nothing before it is attached, nor while it is paused", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const link = TcpTransport.fromDuplex(gate, addresses)
      gate.push(text(0, 10))
      link.pause()
      const heard = record(link)
      yield* rounds(3)
      assert.deepStrictEqual(heard.events, [])
      link.resume()
      yield* until(() => heard.bytes === 10)
      link.destroy()
    })
  )

  it.live("of a stream that was ended and closed before says so on attaching", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const fault = new Error("early")
      gate.on("error", () => {}).destroy(fault)
      yield* until(() => gate.closed)
      const heard = record(TcpTransport.fromDuplex(gate, addresses))
      assert.deepStrictEqual(heard.events, [])
      yield* until(() => heard.events.length > 0)
      assert.deepStrictEqual(heard.events, ["close"])
      assert.strictEqual(heard.cause, fault)
    })
  )

  it.live("of a stream that somebody else closes half way says that it did not end in peace", () =>
    Effect.gen(function* () {
      const gate = new Gate()
      const heard = record(TcpTransport.fromDuplex(gate, addresses))
      gate.push(null)
      yield* until(() => heard.events.includes("end"))
      gate.destroy()
      yield* until(() => heard.events.includes("close"))
      assert.instanceOf(heard.cause, Error)
    })
  )

  it.live("destroys with what it is given for that, unless all of it is said", () =>
    Effect.gen(function* () {
      const aborted: Array<Gate> = []
      const abort = (gate: Gate): void => {
        aborted.push(gate)
        gate.destroy()
      }
      const cut = new Gate()
      TcpTransport.fromDuplex(cut, addresses, abort).destroy()
      const ending = new Gate()
      const unsaid = TcpTransport.fromDuplex(ending, addresses, abort)
      unsaid.write([text(0, 10)], () => {})
      unsaid.end()
      unsaid.destroy()
      const whole = new Gate()
      const link = TcpTransport.fromDuplex(whole, addresses, abort)
      link.write([text(0, 10)], () => {})
      link.end()
      for (const done of whole.finish) done()
      yield* rounds(2)
      link.destroy()
      assert.isTrue(whole.destroyed)
      assert.deepStrictEqual(aborted, [cut, ending])
    })
  )
})
