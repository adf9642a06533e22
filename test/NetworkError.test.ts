import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as NetworkError from "../src/NetworkError.js"
import * as NodeId from "../src/NodeId.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as Policy from "../src/Policy.js"

const address = PeerAddress.make("10.0.0.6", 9470)
const peer = NodeId.make("node-b")
const id = "m-17"
const cause = new Error("EHOSTUNREACH")
const remote = { address, peer, origin: "remote", detail: "so it is", retryAfterMs: 1_500 } as const

/** One of each, and what its message has to tell. */
const samples: {
  readonly [Tag in NetworkError.NetworkError["_tag"]]: readonly [
    error: Error & { readonly _tag: string },
    tells: RegExp
  ]
} = {
  ConfigInvalid: [
    new NetworkError.ConfigInvalid({ issues: [{ key: "port", value: "99999", expected: "at most 65535" }] }),
    /^port is 99999, but must be at most 65535$/
  ],
  ListenFailed: [
    new NetworkError.ListenFailed({ address, reason: "AddressInUse", cause }),
    /10\.0\.0\.6:9470 is in use.*stop that one, or choose another port \(--port 0/
  ],
  StateFolderFailed: [
    new NetworkError.StateFolderFailed({ path: "/state", reason: "InUse", pid: 4711, cause }),
    /folder \/state is in use by process 4711: stop that process, or choose another folder/
  ],
  IdentityFailed: [
    new NetworkError.IdentityFailed({ path: "/state/identity.pem", reason: "ReadableByOthers" }),
    /key at \/state\/identity\.pem can be read by others.*chmod 600/
  ],
  NetworkNotRunning: [new NetworkError.NetworkNotRunning(), /start it first/],
  AddressInvalid: [new NetworkError.AddressInvalid({ detail: '"x" is not host:port' }), /"x" is not host:port/],
  DialRefused: [new NetworkError.DialRefused({ address }), /10\.0\.0\.6:9470 refused.*no node listens there/],
  DialTimeout: [new NetworkError.DialTimeout({ address, millis: 5_000 }), /10\.0\.0\.6:9470 .* within 5000 ms/],
  DialReset: [new NetworkError.DialReset({ address, cause }), /10\.0\.0\.6:9470 reset.*EHOSTUNREACH/],
  DialUnreachable: [new NetworkError.DialUnreachable({ address, cause }), /10\.0\.0\.6:9470 cannot be .*EHOSTUNREACH/],
  AddressUnresolved: [new NetworkError.AddressUnresolved({ address, cause }), /10\.0\.0\.6 cannot be resolved/],
  DialQueueFull: [
    new NetworkError.DialQueueFull({ address, limit: 1_024 }),
    /1024 dials wait already; try again later/
  ],
  IdentityMismatch: [
    new NetworkError.IdentityMismatch({ address, expected: peer, actual: NodeId.make("node-c") }),
    /at 10\.0\.0\.6:9470 is node-c, not node-b/
  ],
  MalformedFrame: [new NetworkError.MalformedFrame(remote), /malformed frame/],
  FrameTooLarge: [new NetworkError.FrameTooLarge(remote), /frame too large/],
  InvalidMessage: [new NetworkError.InvalidMessage(remote), /invalid message/],
  HandshakeRequired: [new NetworkError.HandshakeRequired(remote), /first message must be HELLO/],
  HandshakeTimeout: [new NetworkError.HandshakeTimeout(remote), /no handshake in time/],
  VersionMismatch: [new NetworkError.VersionMismatch(remote), /no common protocol version/],
  NetworkMismatch: [new NetworkError.NetworkMismatch(remote), /another network/],
  Unauthorized: [new NetworkError.Unauthorized(remote), /not authorized/],
  TlsFailed: [
    new NetworkError.TlsFailed({ address, origin: "local", detail: "", reason: "PlainText" }),
    /10\.0\.0\.6:9470: .*does not speak TLS; set encryption to the same at both ends/
  ],
  SelfConnection: [new NetworkError.SelfConnection(remote), /this node's own id/],
  DuplicateConnection: [new NetworkError.DuplicateConnection(remote), /another connection to that node stays/],
  TooManyConnections: [new NetworkError.TooManyConnections(remote), /try again later or raise its maxPeers/],
  Banned: [new NetworkError.Banned(remote), /banned for a while/],
  RateLimited: [new NetworkError.RateLimited(remote), /too many messages a second/],
  Disconnected: [new NetworkError.Disconnected(remote), /disconnected on purpose/],
  ShuttingDown: [new NetworkError.ShuttingDown(remote), /the node stops/],
  PeerFault: [new NetworkError.PeerFault(remote), /internal fault/],
  ConnectionLost: [new NetworkError.ConnectionLost({ ...remote, cause }), /connection lost: EHOSTUNREACH/],
  PeerSilent: [new NetworkError.PeerSilent(remote), /not heard from in time/],
  SlowConsumer: [new NetworkError.SlowConsumer(remote), /does not read/],
  PeerNotConnected: [new NetworkError.PeerNotConnected({ peer }), /node-b is not connected: connect to it first/],
  SendTimeout: [new NetworkError.SendTimeout({ peer, millis: 5_000 }), /node-b had no room within 5000 ms/],
  MessageTooLarge: [
    new NetworkError.MessageTooLarge({ type: "CHAT", bytes: 70_000, limit: 65_536 }),
    /CHAT of 70000 bytes is over the limit of 65536: send less, or raise maxMessageBytes/
  ],
  PayloadInvalid: [
    new NetworkError.PayloadInvalid({ type: "CHAT", detail: "text: missing" }),
    /CHAT cannot be sent: text: missing/
  ],
  BatchFailed: [
    new NetworkError.BatchFailed({ taken: 3, error: new NetworkError.PeerNotConnected({ peer }) }),
    /^3 messages were taken, then: node-b is not connected/
  ],
  RequestTimeout: [
    new NetworkError.RequestTimeout({ peer, id, millis: 10_000 }),
    /node-b did not answer m-17 within 10000 ms; it may have acted on it/
  ],
  RequestLost: [
    new NetworkError.RequestLost({ peer, id, sent: true }),
    /node-b went away .* m-17, which had been sent: it may have acted on it/
  ],
  RequestFailed: [
    new NetworkError.RequestFailed({ peer, id, detail: "no", failure: { reason: [1, null] } }),
    /^node-b refused m-17: no$/
  ],
  RequestBroke: [new NetworkError.RequestBroke({ peer, id, detail: "TypeError" }), /^node-b broke .* m-17: TypeError$/],
  ReplyInvalid: [
    new NetworkError.ReplyInvalid({ peer, id, detail: "answer: missing" }),
    /answer of node-b to m-17 does not fit its schema: answer: missing/
  ],
  UnsupportedType: [
    new NetworkError.UnsupportedType({ peer, id, detail: "" }),
    /node-b does not handle messages of that type: it must handle it/
  ],
  NoRoute: [new NetworkError.NoRoute({ peer, id, detail: "" }), /no way to node-b is known/],
  HandlerExists: [
    new NetworkError.HandlerExists({ type: "CHAT" }),
    /CHAT has a handler already: close its scope first, or use messages\("CHAT"\)/
  ],
  IdConflict: [new NetworkError.IdConflict({ peer, address }), /two nodes call themselves node-b .*give each a node id/]
}

type Coded = Schema.Schema<unknown, unknown>

const all = Object.entries(samples) as unknown as ReadonlyArray<
  readonly [NetworkError.NetworkError["_tag"], readonly [Error & { readonly _tag: string }, RegExp]]
>

const text = (reason: NetworkError.ListenFailed["reason"], cause?: unknown) =>
  new NetworkError.ListenFailed({ address, reason, cause }).message

const folderText = (reason: NetworkError.StateFolderFailed["reason"]) =>
  new NetworkError.StateFolderFailed({ path: "/state", reason }).message

describe("NetworkError", () => {
  it.each(all)("%s tells what happened, and its policy what to do", (tag, [error, tells]) => {
    assert.strictEqual(error._tag, tag)
    assert.match(error.message, tells)
    assert.notMatch(error.message, /undefined|\[object/)
    assert.match(Policy.of({ _tag: tag }).advice, /^[A-Z].{10,}\.$/s)
  })

  it.each(all)("%s comes back from its encoded form, as an instance with the same text", (tag, [error, tells]) => {
    const schema = (NetworkError as unknown as Readonly<Record<string, Coded>>)[tag] as Coded
    const encoded: unknown = JSON.parse(JSON.stringify(Schema.encodeUnknownSync(schema)(error)))
    const decoded = Schema.decodeUnknownSync(schema)(encoded)
    assert.strictEqual((decoded as Error).constructor, error.constructor)
    assert.match((decoded as Error).message, tells)
    assert.strictEqual((decoded as Error).message, error.message)
    assert.deepStrictEqual(Schema.encodeUnknownSync(schema)(decoded), Schema.encodeUnknownSync(schema)(error))
  })

  it.each(Object.entries(NetworkError.connectionErrors))("%s on the wire is its own error", (code, ErrorClass) => {
    const error = NetworkError.fromCode(code, remote)
    assert.strictEqual(error.constructor, ErrorClass)
    assert.strictEqual(error.retryAfterMs, 1_500)
    assert.strictEqual(error.peer, peer)
    assert.match(error.message, /^node-b at 10\.0\.0\.6:9470: .* \(it says: so it is\)$/)
    assert.strictEqual(Policy.codes[code as NetworkError.ConnectionCode].tag, error._tag)
  })

  it("takes an unknown code for a fault of the peer that names it", () => {
    for (const code of ["NEW_CODE", "toString", "__proto__", ""]) {
      const error = NetworkError.fromCode(code, { address, origin: "remote", detail: "" })
      assert.instanceOf(error, NetworkError.PeerFault)
      assert.include(error.message, `10.0.0.6:9470: internal fault (it says: ${code}: )`)
    }
  })

  it("says of a connection's end who found the fault, where it is known", () => {
    const found = NetworkError.fromCode("BANNED", { address, origin: "local", detail: "too many invalid messages" })
    assert.strictEqual(found.message, "10.0.0.6:9470: banned for a while (too many invalid messages)")
    const bare = NetworkError.fromCode("BANNED", { address, origin: "remote", detail: "" })
    assert.strictEqual(bare.message, "10.0.0.6:9470: banned for a while")
  })

  it("says for each reason not to listen what to change", () => {
    assert.match(text("AddressNotAvailable"), /is not an address of this machine: choose another host/)
    assert.match(text("PermissionDenied"), /not permitted: choose a port above 1023/)
    assert.strictEqual(text("Other", "EMFILE"), "cannot listen at 10.0.0.6:9470: EMFILE")
    assert.strictEqual(text("Other"), "cannot listen at 10.0.0.6:9470")
  })

  it("says for each reason not to use the state folder what to change", () => {
    assert.match(folderText("InUse"), /in use by another process: stop that process/)
    assert.match(folderText("NotWritable"), /cannot be written to: choose another folder/)
    assert.match(folderText("NotAFolder"), /is not a folder: choose another one/)
    assert.strictEqual(folderText("Other"), "the state folder /state cannot be used")
  })

  it("leaves out of a request's failure what was not said, and says what was not sent", () => {
    assert.strictEqual(new NetworkError.RequestFailed({ peer, id, detail: "" }).message, "node-b refused m-17")
    assert.strictEqual(
      new NetworkError.RequestBroke({ peer, id, detail: "" }).message,
      "node-b broke while it answered m-17"
    )
    assert.match(new NetworkError.RequestLost({ peer, id, sent: false }).message, /which had not been sent$/)
  })

  it("refuses encoded errors that are not whole", () => {
    const decode = Schema.decodeUnknownEither(NetworkError.PeerSilent)
    assert.isTrue(Either.isLeft(decode({ _tag: "PeerSilent", address: { host: "h", port: 1 }, detail: "" })))
    assert.isTrue(
      Either.isLeft(decode({ _tag: "Banned", address: { host: "h", port: 1 }, detail: "", origin: "local" }))
    )
  })
})
