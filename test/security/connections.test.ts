/** Who gets in, and who does not: attacks on the connection itself, carried out over real sockets. */
import { assert, describe } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import * as crypto from "node:crypto"
import net from "node:net"
import { networkInterfaces } from "node:os"
import { Duplex } from "node:stream"
import tls from "node:tls"
import type * as NetworkConfig from "../../src/NetworkConfig.js"
import * as NodeId from "../../src/NodeId.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import type { HostileNode } from "../utils/hostileNode.js"
import { Chat, hostile, startNode } from "../utils/hostileNode.js"
import { until } from "../utils/links.js"
import { dial as dialPlain, frame, helloPayload, listen as listenPlain, message } from "../utils/rawPeer.js"
import * as Tls from "../utils/tlsPeer.js"

const key = "a network key of thirty-two bytes or more"
const otherKey = "another key that has thirty-two bytes as well"

/** A node as it is by default: encrypted. */
const start = (settings: NetworkConfig.Input = {}): ReturnType<typeof startNode> =>
  startNode({ encryption: "tls", nodeId: undefined, ...settings })

/** Another node, which keeps to itself. */
const another = (settings: NetworkConfig.Input = {}) =>
  Effect.map(
    Layer.build(P2PNetworkNode.layer({ port: 0, targetPeers: 1, healingInterval: "1 hour", ...settings })),
    Context.get(P2PNetwork)
  ).pipe(Effect.orDie)

const portOf = (network: P2PNetwork["Type"]) => Effect.map(network.status, ({ address }) => address?.port ?? 0)

const codeOf = ({ payload }: { readonly payload: Readonly<Record<string, unknown>> }) => payload["code"]

/** The error of the handshake that failed, once it has. */
const failedHandshake = (node: HostileNode) =>
  Effect.map(
    node.until("a handshake has failed", () => node.events.some(({ _tag }) => _tag === "HandshakeFailed")),
    () => node.events.flatMap((event) => (event._tag === "HandshakeFailed" ? [event.error] : []))[0]
  )

const nobodyIsIn = ({ network }: HostileNode) =>
  Effect.map(network.status, ({ connections, peers }) => {
    assert.strictEqual(peers.connected, 0)
    assert.strictEqual(connections.inbound + connections.outbound, 0)
  })

describe("A stranger", () => {
  hostile("without the network's key is refused", () =>
    Effect.gen(function* () {
      const node = yield* start({ networkKey: key })
      const who = Tls.identity()
      const answer = yield* Tls.answerTo(yield* Tls.dial(node.port, who))
      assert.deepInclude(answer, { type: "ERROR", sender: node.network.nodeId })
      assert.strictEqual(codeOf(answer), "UNAUTHORIZED")
      yield* nobodyIsIn(node)
    })
  )

  hostile("with another key is refused, whatever it calls a proof", () =>
    Effect.gen(function* () {
      const node = yield* start({ networkKey: key })
      const who = Tls.identity()
      const right = (exporter: Buffer) => Tls.proofOf(key, exporter, who.id)
      const wrong = [
        (exporter: Buffer) => Tls.proofOf(otherKey, exporter, who.id),
        (exporter: Buffer) => Tls.proofOf(key, exporter, String(node.network.nodeId)),
        (exporter: Buffer) => right(exporter).slice(0, -4),
        (exporter: Buffer) => `${right(exporter)}AAAA`,
        () => Tls.proofOf(key, Buffer.alloc(0), who.id),
        () => "",
        () => "not base64!"
      ]
      for (const proof of wrong) {
        const peer = yield* Tls.dial(node.port, who)
        const answer = yield* Tls.answerTo(peer, { proof: proof(Tls.exporterOf(peer.socket)) })
        assert.strictEqual(codeOf(answer), "UNAUTHORIZED")
      }
      yield* nobodyIsIn(node)
    })
  )

  hostile(
    "with the key gets in, by the first of several or any other, so that a key can be changed without a gap",
    () =>
      Effect.gen(function* () {
        const node = yield* start({ networkKey: [otherKey, key] })
        for (const secret of [key, otherKey]) yield* Tls.join(node.port, Tls.identity(), secret)
        yield* node.until("both are in", ({ peers }) => peers.connected === 2)
        // Old, both ways round, and new.
        const old = yield* another({ networkKey: key })
        const changing = yield* another({ networkKey: [key, otherKey] })
        const changed = yield* another({ networkKey: [otherKey, key] })
        const done = yield* another({ networkKey: otherKey })
        yield* old.connect(`127.0.0.1:${yield* portOf(changing)}`)
        yield* changing.connect(`127.0.0.1:${yield* portOf(changed)}`)
        yield* done.connect(`127.0.0.1:${yield* portOf(changed)}`)
        assert.strictEqual((yield* Effect.flip(done.connect(`127.0.0.1:${yield* portOf(old)}`)))._tag, "Unauthorized")
      })
  )

  hostile("that replays a proof from another connection of the same node is refused", () =>
    Effect.gen(function* () {
      const node = yield* start({ networkKey: key })
      const who = Tls.identity()
      const first = yield* Tls.dial(node.port, who)
      const proof = Tls.proofOf(key, Tls.exporterOf(first.socket), who.id)
      assert.strictEqual((yield* Tls.answerTo(first, { proof })).type, "HELLO")
      first.peer.end()
      const second = yield* Tls.dial(node.port, who)
      assert.strictEqual(codeOf(yield* Tls.answerTo(second, { proof })), "UNAUTHORIZED")
    })
  )

  hostile("whose HELLO is in another node's name is refused, that of the node itself included", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const other = Tls.identity()
      for (const sender of [other.id, String(node.network.nodeId), "node-b"]) {
        const answer = yield* Tls.answerTo(yield* Tls.dial(node.port, Tls.identity()), {}, { sender })
        assert.strictEqual(codeOf(answer), "UNAUTHORIZED")
      }
      assert.isFalse(node.events.some(({ _tag }) => _tag === "IdConflict"))
      yield* nobodyIsIn(node)
    })
  )
})

/** Sits between a node and whom it dials, with a certificate of its own on both sides, and passes all on. */
const manInTheMiddle = (to: number, who = Tls.identity()) => {
  const seen: Array<string> = []
  return Effect.map(
    Tls.listen(Tls.settings(who), (near) => {
      const far = tls.connect({ host: "127.0.0.1", port: to, ...Tls.settings(who) })
      for (const socket of [near, far]) socket.on("error", () => {})
      near.on("data", (chunk) => seen.push(String(chunk))).pipe(far)
      far.on("data", (chunk) => seen.push(String(chunk))).pipe(near)
    }),
    (port) => ({ port, seen })
  )
}

describe("Somebody on the way", () => {
  hostile("with a certificate of its own on both sides joins nobody, with or without a network key", () =>
    Effect.gen(function* () {
      for (const settings of [{}, { networkKey: key }]) {
        const node = yield* start(settings)
        const victim = yield* another(settings)
        const middle = yield* manInTheMiddle(node.port)
        const error = yield* Effect.flip(victim.connect(`127.0.0.1:${middle.port}`, { retryFor: 0 }))
        assert.include(["Unauthorized", "ConnectionLost"], error._tag)
        yield* nobodyIsIn(node)
        assert.strictEqual((yield* victim.status).peers.connected, 0)
      }
    })
  )

  hostile("is told nothing where the dialer knows whom it wants", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const victim = yield* another()
      const middle = yield* manInTheMiddle(node.port)
      const error = yield* Effect.flip(
        victim.connect(`127.0.0.1:${middle.port}`, { id: node.network.nodeId, retryFor: 0 })
      )
      assert.strictEqual(error._tag, "IdentityMismatch")
      assert.deepStrictEqual(middle.seen, [])
    })
  )

  hostile("reads nothing of what two nodes say, and what it changes ends the connection", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const other = yield* another()
      const bytes: Array<Buffer> = []
      const sockets: Array<net.Socket> = []
      const proxy = net.createServer((near) => {
        const far = net.connect({ host: "127.0.0.1", port: node.port })
        sockets.push(near, far)
        for (const socket of [near, far]) socket.on("error", () => {})
        near.on("data", (chunk) => bytes.push(chunk)).pipe(far)
        far.on("data", (chunk) => bytes.push(chunk)).pipe(near)
      })
      yield* Effect.acquireRelease(
        Effect.async<void>((resume) => void proxy.listen(0, "127.0.0.1", () => resume(Effect.void))),
        () =>
          Effect.sync(() => {
            proxy.close()
            for (const socket of sockets) socket.destroy()
          })
      )
      const peer = yield* other.connect(`127.0.0.1:${(proxy.address() as net.AddressInfo).port}`)
      yield* other.sendMessage(peer.id, Chat, { text: "nobody else's business" })
      yield* node.until("the message has come", () => node.delivered.length === 1)
      const seen = Buffer.concat(bytes).toString("latin1")
      assert.isAbove(seen.length, 1000)
      for (const word of ["business", "CHAT", "HELLO", String(peer.id)]) assert.notInclude(seen, word)
      // A record of its own, put in between.
      sockets[1]?.write(Buffer.concat([Buffer.from([0x17, 0x03, 0x03, 0x00, 0x20]), crypto.randomBytes(32)]))
      // It may be back by another connection at once.
      yield* node.until("the connection has ended", ({ errors }) => (errors["ConnectionLost"] ?? 0) > 0)
    })
  )

  hostile("cannot have a session taken up again, which would skip the certificate", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const who = Tls.identity()
      const first = yield* Tls.dial(node.port, who)
      let session: Buffer | undefined
      first.socket.on("session", (one) => {
        session = one
      })
      yield* Tls.answerTo(first)
      yield* first.peer.until("whatever TLS has to say of sessions", () => first.peer.received.length >= 0)
      session ??= first.socket.getSession()
      assert.isDefined(session)
      const again = yield* Tls.dial(node.port, who, { ...Tls.settings(who), session })
      assert.isFalse(again.socket.isSessionReused())
    })
  )
})

describe("Whoever is dialed", () => {
  hostile("and has another identity than the one wanted is left", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const wanted = yield* another()
      const dialer = yield* another()
      const error = yield* Effect.flip(
        dialer.connect(`127.0.0.1:${node.port}`, { id: wanted.nodeId, retryFor: "5 seconds" })
      )
      assert.deepInclude(error, { _tag: "IdentityMismatch", expected: wanted.nodeId, actual: node.network.nodeId })
      assert.strictEqual(
        (yield* dialer.connect(`127.0.0.1:${node.port}`, { id: node.network.nodeId })).status,
        "connected"
      )
    })
  )
})

describe("Whoever answers at an address", () => {
  hostile("cannot make the node take it for its own, which it would never dial again", () =>
    Effect.gen(function* () {
      const who = Tls.identity()
      const port = yield* Tls.listen(Tls.settings(who), (socket) => {
        const claim = { code: "SELF_CONNECTION", message: "", fatal: true }
        socket.on("error", () => {}).once("data", () => socket.end(frame(message(who.id, "ERROR", claim))))
      })
      const address = `127.0.0.1:${port}`
      const dialer = yield* another({ bootstrap: [address] })
      const error = yield* Effect.flip(dialer.connect(address, { retryFor: 0 }))
      assert.strictEqual(error._tag, "PeerFault")
      const { dialing } = yield* dialer.status
      assert.deepStrictEqual(
        dialing.map(({ address, nextAttemptInMs }) => [String(address), nextAttemptInMs !== undefined]),
        [[address, true]]
      )
    })
  )
})

describe("What another node says of itself", () => {
  hostile("in an ERROR is told and remembered no further than it helps, whatever its length", () =>
    Effect.gen(function* () {
      const who = Tls.identity()
      const claim = { code: "C".repeat(7_000), message: "m".repeat(900), fatal: true }
      const port = yield* Tls.listen(Tls.settings(who), (socket) => {
        socket.on("error", () => {}).once("data", () => socket.end(frame(message(who.id, "ERROR", claim))))
      })
      const address = `127.0.0.1:${port}`
      const dialer = yield* another({ bootstrap: [address] })
      const error = yield* Effect.flip(dialer.connect(address, { retryFor: 0 }))
      assert.strictEqual(error._tag, "PeerFault")
      assert.isBelow(error.message.length, 600)
      const { dialing } = yield* dialer.status
      assert.isBelow(JSON.stringify(dialing).length, 1_000)
    })
  )
})

describe("Plain text", () => {
  hostile("at a TLS port is refused at once, with an error that says so", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const peer = yield* dialPlain(node.port, "node-b")
      peer.keeps = false
      peer.write(frame(message("node-b", "HELLO", helloPayload)))
      const error = yield* failedHandshake(node)
      assert.strictEqual(error?._tag, "TlsFailed")
      assert.include(error?.message ?? "", "does not speak TLS; set encryption to the same at both ends")
      yield* nobodyIsIn(node)
    })
  )

  hostile("of a node that dials a TLS port is told apart from other trouble at both ends", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const plain = yield* another({ encryption: "none" })
      const error = yield* Effect.flip(plain.connect(`127.0.0.1:${node.port}`, { retryFor: 0 }))
      assert.include(["TlsFailed", "ConnectionLost"], error._tag)
      assert.strictEqual((yield* failedHandshake(node))?._tag, "TlsFailed")
    })
  )

  hostile("of a node that is dialed with TLS is told apart from other trouble at both ends", () =>
    Effect.gen(function* () {
      const plain = yield* start({ encryption: "none" })
      const dialer = yield* another()
      const error = yield* Effect.flip(dialer.connect(`127.0.0.1:${plain.port}`, { retryFor: "5 seconds" }))
      assert.deepInclude(error, { _tag: "TlsFailed", reason: "PlainText" })
      const seen = yield* failedHandshake(plain)
      assert.strictEqual(seen?._tag, "TlsFailed")
      assert.include(seen?.message ?? "", "speaks TLS and this node does not")
    })
  )

  hostile("of somebody who never answers a TLS handshake does not hold up the dialer", () =>
    Effect.gen(function* () {
      const silent = yield* listenPlain
      const dialer = yield* another({ handshakeTimeout: "200 millis" })
      const error = yield* Effect.flip(dialer.connect(silent.address, { retryFor: 0 }))
      assert.strictEqual(error._tag, "HandshakeTimeout")
    })
  )
})

describe("Certificates", () => {
  hostile("that are expired, or name whom they like, count by their key alone", () =>
    Effect.gen(function* () {
      const node = yield* start()
      for (const who of [Tls.identity(), Tls.identity("p256")]) {
        const pem = Tls.certificate(who, { notAfter: "2001-01-01T00:00:00Z", name: "somebody.example" })
        const answer = yield* Tls.answerTo(yield* Tls.dial(node.port, who, Tls.settings(who, pem)))
        assert.strictEqual(answer.type, "HELLO")
      }
      yield* node.until("both are in", ({ peers }) => peers.connected === 2)
    })
  )

  hostile("of another kind of key, oversized ones, none at all, TLS 1.2 and other protocols are refused", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const who = Tls.identity()
      const { cert: _, key: __, ...bare } = Tls.settings(who)
      const attempts: ReadonlyArray<readonly [string, tls.ConnectionOptions]> = [
        ["RSA", Tls.settings(Tls.identity("rsa"))],
        ["of 30 KB", Tls.settings(who, Tls.certificate(who, { padBytes: 30_000 }))],
        ["of 300 KB", Tls.settings(who, Tls.certificate(who, { padBytes: 300_000 }))],
        ["none", bare],
        ["TLS 1.2", { ...Tls.settings(who), minVersion: "TLSv1.2", maxVersion: "TLSv1.2" }],
        ["another protocol", { ...Tls.settings(who), ALPNProtocols: ["http/1.1"] }],
        ["no protocol", { ...Tls.settings(who), ALPNProtocols: [] }]
      ]
      for (const [what, given] of attempts) {
        const ended = yield* Tls.dial(node.port, who, given).pipe(
          Effect.tap(({ peer }) => {
            peer.hello()
            return Effect.zipRight(
              peer.closed,
              Effect.sync(() => assert.deepStrictEqual(peer.received, [], what))
            )
          }),
          Effect.either
        )
        assert.isDefined(ended, what)
      }
      yield* node.until("all have failed", ({ counts }) => counts["handshakesFailed"] === attempts.length)
      const errors = node.events.flatMap((event) => (event._tag === "HandshakeFailed" ? [event.error._tag] : []))
      assert.deepStrictEqual(new Set(errors), new Set(["TlsFailed"]))
      yield* nobodyIsIn(node)
    })
  )
})

/** A client of the node behind which somebody passes on, of each piece that it says, what `pass` leaves of it. */
const passing = (port: number, pem: string, pass: (said: Buffer, to: net.Socket) => void, ciphers?: string) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const socket = net.connect({ host: "127.0.0.1", port, noDelay: true })
      const through = new Duplex({
        read: () => {},
        write: (chunk: Buffer, _, done) => {
          pass(chunk, socket)
          done()
        }
      })
      socket.on("data", (chunk) => through.push(chunk))
      for (const stream of [socket, through]) stream.on("error", () => {})
      const client = tls
        .connect({ socket: through, ...Tls.settings(who, pem), ...(ciphers && { ciphers }) })
        .on("error", () => {})
      return { client, socket }
    }),
    ({ client, socket }) =>
      Effect.sync(() => {
        client.destroy()
        socket.destroy()
      })
  )

const who = Tls.identity()

/** The handshake has failed, for what it takes. */
const isRefused = (node: HostileNode) =>
  Effect.map(failedHandshake(node), (error) => {
    assert.strictEqual(error?._tag, "TlsFailed")
    assert.include(error?.message ?? "", "more than 4096 bytes of handshake")
  })

describe("Chains of certificates, which take long to check", () => {
  hostile("are refused at a listener, and none are that have what a node needs", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const { peer } = yield* Tls.dial(node.port, who, Tls.settings(who, Tls.chain(who, 12)))
      yield* peer.closed
      yield* isRefused(node)
      assert.deepStrictEqual(peer.received, [])
      yield* nobodyIsIn(node)
      const padded = Tls.certificate(who, { padBytes: 3_500 })
      assert.strictEqual(
        (yield* Tls.answerTo(yield* Tls.dial(node.port, who, Tls.settings(who, padded)))).type,
        "HELLO"
      )
    })
  )

  hostile("are refused where nothing comes after them", () =>
    Effect.gen(function* () {
      const node = yield* start({ handshakeTimeout: "1 minute" })
      const { socket } = yield* passing(node.port, Tls.chain(who, 12), (said, to) => {
        to.write(said.length > 2_000 ? said.subarray(0, -100) : said)
      })
      yield* isRefused(node)
      yield* until(() => socket.destroyed)
    })
  )

  hostile("are cut off while they come, if they come slowly", () =>
    Effect.gen(function* () {
      const node = yield* start({ handshakeTimeout: "1 minute" })
      let passed = 0
      let whole = 0
      const { socket } = yield* passing(node.port, Tls.chain(who, 90), (said, to) => {
        whole += said.length
        for (let at = 0; at < said.length; at += 1_000) {
          setTimeout(() => {
            if (!to.destroyed) to.write(said.subarray(at, at + 1_000), () => (passed += 1_000))
          }, at / 50)
        }
      })
      yield* isRefused(node)
      yield* until(() => socket.destroyed)
      assert.isAbove(whole, 35_000)
      assert.isBelow(passed, whole / 2)
    })
  )

  hostile("are refused by who dials", () =>
    Effect.gen(function* () {
      const port = yield* Tls.listen(Tls.settings(who, Tls.chain(who, 12)), (socket) => {
        socket.on("error", () => {})
      })
      const dialer = yield* another()
      const error = yield* Effect.flip(dialer.connect(`127.0.0.1:${port}`, { retryFor: 0 }))
      assert.deepInclude(error, { _tag: "TlsFailed", reason: "Certificate" })
      assert.include(error.message, "more than 4096 bytes of handshake")
    })
  )
})

/** HKDF-Expand-Label of RFC 8446, for up to 32 bytes. */
const expand = (from: Buffer, label: string, length: number): Buffer => {
  const named = Buffer.from(`tls13 ${label}`)
  const info = Buffer.concat([Buffer.from([0, length, named.length]), named, Buffer.from([0, 1])])
  return crypto.createHmac("sha256", from).update(info).digest().subarray(0, length)
}

/** Bytes of a TLS 1.3 record that updates the sender's keys and asks for the same, and of the next, with the keys after. */
const keyUpdates = (secret: Buffer, count: number): Buffer => {
  let current = secret
  return Buffer.concat(
    Array.from({ length: count }, () => {
      const header = Buffer.from([0x17, 3, 3, 0, 22])
      const cipher = crypto.createCipheriv("aes-128-gcm", expand(current, "key", 16), expand(current, "iv", 12))
      cipher.setAAD(header)
      current = expand(current, "traffic upd", 32)
      return Buffer.concat([
        header,
        cipher.update(Buffer.from([24, 0, 0, 1, 1, 22])),
        cipher.final(),
        cipher.getAuthTag()
      ])
    })
  )
}

describe("Records of TLS that are no messages", () => {
  hostile("end the connection where they come without end, while others are served", () =>
    Effect.gen(function* () {
      const node = yield* start({ handshakeTimeout: "1 minute" })
      const friend = yield* Tls.join(node.port, Tls.identity())
      const secrets: Array<Buffer> = []
      const { client, socket } = yield* passing(
        node.port,
        Tls.certificate(who),
        (said, to) => void to.write(said),
        "TLS_AES_128_GCM_SHA256"
      )
      client.on("keylog", (line) => {
        const [name, , secret = ""] = String(line).trim().split(" ")
        if (name === "CLIENT_TRAFFIC_SECRET_0") secrets.push(Buffer.from(secret, "hex"))
      })
      yield* until(() => client.alpnProtocol === "synapse/1")
      const flood = keyUpdates(secrets[0] ?? Buffer.alloc(0), 12_000)
      socket.write(flood.subarray(0, 27 * 2_000))
      yield* node.until("what is little is read", ({ peers }) => peers.connected === 1)
      socket.write(flood.subarray(27 * 2_000))
      yield* until(() => socket.destroyed)
      const error = yield* failedHandshake(node)
      assert.strictEqual(error?._tag, "ConnectionLost")
      assert.include(error?.message ?? "", "far more came than messages")
      friend.write(frame(message(friend.id, "CHAT", { text: "still here" })))
      yield* node.until("the friend is served", () => node.delivered.length === 1)
    })
  )
})

/** An address of this machine that is not loopback, against which things can be held. */
const own = Object.values(networkInterfaces())
  .flat()
  .find((one) => one?.internal === false && one.family === "IPv4")?.address

describe.skipIf(own === undefined)("An address that has shown a chain of certificates", () => {
  const host = String(own)

  hostile("is shut out by a listener, with others that have it; who is connected stays", () =>
    Effect.gen(function* () {
      const node = yield* start({ host })
      const through = { host, localAddress: host }
      yield* Tls.join(node.port, who, undefined, { ...Tls.settings(who), ...through })
      const given = { ...Tls.settings(who, Tls.chain(who, 12)), ...through }
      yield* Effect.either(Effect.flatMap(Tls.dial(node.port, who, given), ({ peer }) => peer.closed))
      yield* isRefused(node)
      const other = Tls.identity()
      const again = Tls.dial(node.port, other, { ...Tls.settings(other), ...through })
      assert.isTrue(Either.isLeft(yield* Effect.either(again)))
      yield* node.until("it is told", ({ counts }) => counts["handshakesFailed"] === 2)
      const errors = node.events.flatMap((event) => (event._tag === "HandshakeFailed" ? [event.error.message] : []))
      assert.include(errors[1], "came from there of late")
      assert.strictEqual((yield* node.network.status).peers.connected, 1, "who was connected stays")
    })
  )

  hostile("is not dialed for a while", () =>
    Effect.gen(function* () {
      const node = yield* start({ host })
      const dialer = yield* another()
      const port = yield* Tls.listen(
        Tls.settings(who, Tls.chain(who, 12)),
        (socket) => socket.on("error", () => {}),
        host
      )
      const refused = yield* Effect.flip(dialer.connect(`${host}:${port}`, { retryFor: 0 }))
      assert.strictEqual(refused._tag, "TlsFailed")
      const shut = yield* Effect.flip(dialer.connect(`${host}:${node.port}`, { retryFor: 0 }))
      assert.strictEqual(shut._tag, "DialUnreachable")
      assert.include(shut.message, "came from there of late")
    })
  )
})

describe("Key exchanges", () => {
  hostile("that cost the node many times as much as needed are refused", () =>
    Effect.gen(function* () {
      const node = yield* start()
      const agreeing = (ecdhCurve: string) => {
        const who = Tls.identity()
        return Tls.dial(node.port, who, { ...Tls.settings(who), ecdhCurve })
      }
      for (const group of ["ffdhe8192", "ffdhe2048", "P-521", "P-384"]) {
        assert.isTrue(Either.isLeft(yield* Effect.either(agreeing(group))), group)
      }
      for (const group of ["X25519", "P-256"]) {
        assert.strictEqual((yield* Tls.answerTo(yield* agreeing(group))).type, "HELLO", group)
      }
    })
  )
})

describe("The lists of who may be connected", () => {
  hostile("are heeded, can be changed while the node runs, and close what they do not let in any more", () =>
    Effect.gen(function* () {
      const [good, bad] = [Tls.identity(), Tls.identity()]
      const node = yield* start({ deny: [bad.id] })
      const refusal = yield* Tls.answerTo(yield* Tls.dial(node.port, bad))
      assert.strictEqual(codeOf(refusal), "UNAUTHORIZED")
      const peer = yield* Tls.join(node.port, good)
      assert.deepStrictEqual(yield* node.network.access, { allow: [], deny: [NodeId.make(bad.id)] })

      yield* node.network.setAccess({ deny: [good.id] })
      const goodbye = yield* peer.next("a goodbye", ({ type }) => type === "ERROR")
      assert.deepInclude(goodbye.payload, { code: "UNAUTHORIZED", fatal: true })
      yield* nobodyIsIn(node)
      yield* Tls.join(node.port, bad)
      assert.strictEqual(codeOf(yield* Tls.answerTo(yield* Tls.dial(node.port, good))), "UNAUTHORIZED")

      yield* node.network.setAccess({ allow: [good.id], deny: [] })
      yield* node.until("only the allowed one may stay", ({ peers }) => peers.connected === 0)
      assert.strictEqual(codeOf(yield* Tls.answerTo(yield* Tls.dial(node.port, bad))), "UNAUTHORIZED")
      yield* Tls.join(node.port, good)
      for (const nobody of ["no id!", good.id.toUpperCase(), good.id.slice(1), "node-b"]) {
        const error = yield* Effect.flip(node.network.setAccess({ deny: [bad.id, nobody] }))
        assert.strictEqual(error._tag, "ConfigInvalid")
        assert.include(error.message, `deny is ${JSON.stringify(nobody)}`)
        assert.include(error.message, "52 characters of a-z and 2-7")
      }
      assert.deepStrictEqual(yield* node.network.access, { allow: [NodeId.make(good.id)], deny: [] })
    })
  )
})
