/**
 * The settings of a node: what they are, what is allowed, and where they come from. Every source (values in code, a JSON
 * file, the environment, flags) is read by the one table below, so a key means the same in each. All that is wrong is
 * reported at once, and nothing starts.
 *
 * @since 0.1.0
 */
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import type * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Inspectable from "effect/Inspectable"
import * as Layer from "effect/Layer"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as ParseResult from "effect/ParseResult"
import * as Redacted from "effect/Redacted"
import * as Schema from "effect/Schema"
import * as Access from "./internal/Access.js"
import { version } from "./internal/version.js"
import { ConfigInvalid } from "./NetworkError.js"
import { NodeId } from "./NodeId.js"
import * as NodeIds from "./NodeId.js"
import * as PeerAddress from "./PeerAddress.js"

// --- What the settings are ---

/**
 * The settings of one node, checked and complete. Counts are integers of at least 1, durations at least a millisecond and
 * at most 24 days (the longest a timer can wait), unless said otherwise.
 *
 * @since 0.1.0
 * @category tags
 */
export class NetworkConfig extends Context.Tag("synapse-p2p/NetworkConfig")<
  NetworkConfig,
  {
    /**
     * The name of this node without TLS; no two nodes of a network may have the same. Default: random, kept in the state
     * folder if there is one. With TLS it follows from the key and is not given.
     */
    readonly nodeId: Option.Option<NodeId>
    /**
     * The network this node belongs to, 1 to 128 characters; nodes of different networks refuse each other. Default:
     * synapse.
     */
    readonly network: string
    /**
     * Where to listen: a name or an address of this machine. Default: 127.0.0.1. `0.0.0.0` or `::` opens the node to other
     * machines: whoever reaches it may join, unless there is a network key, and without encryption read too.
     */
    readonly host: string
    /** The TCP port to listen at, 0 to 65535; 0 takes any free one. Default: 9470. */
    readonly port: number
    /**
     * Where others are told to find this node, best first, at most 16; empty: what it listens on. Needed where a router
     * or a container hides the listening address. Default: what it listens on.
     */
    readonly advertise: ReadonlyArray<PeerAddress.PeerAddress>
    /**
     * Nodes to dial at the start and for ever after; a host name stands for all its addresses. Default: (none). Two or
     * three are enough: without one that is up, a new node finds nobody.
     */
    readonly bootstrap: ReadonlyArray<PeerAddress.PeerAddress>
    /**
     * Connections after the handshake, both directions. Default: 256. Higher: more memory (queues are per peer) and more
     * copies of each broadcast; lower: nodes are turned away, and the network is easier to split.
     */
    readonly maxPeers: number
    /**
     * Discovery dials until this many peers are connected; clamped to `maxPeers` less one, so that there is room to heal a
     * split network. Default: 32. Higher: more traffic for each broadcast; lower: a few lost peers may cut the node off.
     */
    readonly targetPeers: number
    /**
     * Connections dialed by others; clamped to `maxPeers`. Default: three quarters of maxPeers; with maxPeers under 8, all
     * of it. Higher: others can fill every place, and this node cannot dial out; lower: fewer newcomers get in.
     */
    readonly maxInbound: number
    /**
     * Connections from one IP address (of IPv6: one /64); loopback is exempt. Default: 64. Higher: one machine can take more of the places;
     * lower: nodes behind one address translation are refused.
     */
    readonly maxConnectionsPerIp: number
    /**
     * Connections that have not shaken hands yet, counted apart from `maxPeers`; when full, the oldest goes. Default:
     * 1024. Higher: a flood of connections costs more memory; lower: it pushes out honest ones sooner.
     */
    readonly maxPendingHandshakes: number
    /**
     * TLS handshakes a second that one IP address may have this node begin, over time; as many at once as it may have
     * connections. Loopback is exempt. Default: 10. Higher or off: one machine can keep this node busy; lower: nodes behind
     * one address translation wait when they come again.
     */
    readonly handshakeRate: Option.Option<number>
    /**
     * Invalid messages from one IP address within a minute, the last of which bans it. Default: 10. Higher: a broken peer
     * wastes more work; lower: a small fault of a peer bans it.
     */
    readonly maxInvalidMessages: number
    /**
     * How long a ban lasts; 0 turns bans off. Default: 5 minutes. Longer: a repaired peer stays out; shorter: a hostile
     * one is back sooner.
     */
    readonly banDuration: Duration.Duration
    /**
     * How long a frame may take from its first byte to its last, plus 1 second for each 16 KiB. Default: 30 seconds.
     * Longer: a stalled sender holds memory; shorter: slow links lose large messages.
     */
    readonly frameTimeout: Duration.Duration
    /**
     * How long a closing connection waits for the other end's FIN. Default: 2 seconds. Longer: dead peers delay closing;
     * shorter: the last messages may be lost.
     */
    readonly closeTimeout: Duration.Duration
    /**
     * How long messages of a duplicate connection may hold up those of the one that stays. Default: 5 seconds. Longer: a
     * stuck duplicate delays more; shorter: order may break at the change.
     */
    readonly drainTimeout: Duration.Duration
    /**
     * How long the operating system may take nothing while data waits, before the connection is destroyed. Default: 60
     * seconds. Longer: a dead reader holds its queue; shorter: a peer that pauses for a moment is lost.
     */
    readonly slowConsumerTimeout: Duration.Duration
    /**
     * How many links a broadcast may cross after the first, 0 to 255. Default: 8. Higher: no harm but longer echoes in
     * large networks; lower: far nodes do not hear it.
     */
    readonly broadcastTtl: number
    /**
     * What the application says about this node to its peers: strings, at most 512 bytes as JSON. Default: (none). Seen by
     * every peer, so no place for secrets.
     */
    readonly tags: Readonly<Record<string, string>>
    /** The program's name and version, told to peers; at most 256 bytes. Default: synapse-p2p/version. */
    readonly agent: string
    /**
     * How long a dial may take until there is a TCP connection. Default: 5 seconds. Longer: dead addresses keep a place in
     * the queue of dials; shorter: far nodes are not reached.
     */
    readonly connectTimeout: Duration.Duration
    /**
     * How long the handshake may take from then on. Default: 5 seconds. Longer: silent connections stay; shorter: busy or
     * far nodes fail to join.
     */
    readonly handshakeTimeout: Duration.Duration
    /**
     * How long a send waits for room in the peer's queue. Default: 5 seconds. Longer: senders hang on slow peers; shorter:
     * a burst fails that a moment's patience would have carried.
     */
    readonly sendTimeout: Duration.Duration
    /**
     * How long a request waits for its answer. Default: 10 seconds. Longer: a lost answer is noticed late; shorter: slow
     * handlers are taken for lost.
     */
    readonly requestTimeout: Duration.Duration
    /**
     * How long stopping may take: handlers end, queues empty, peers are told. Default: 5 seconds. Longer: a slow peer delays
     * the exit; shorter: queued messages are lost.
     */
    readonly shutdownGrace: Duration.Duration
    /**
     * Between two pings of a peer; must be shorter than `heartbeatTimeout`. Default: 5 seconds. Longer: failures are seen
     * late; shorter: more traffic on idle connections.
     */
    readonly heartbeatInterval: Duration.Duration
    /**
     * How long a peer may be silent before it is dead, and half of it before it is suspect. Default: 15 seconds. Longer:
     * dead peers keep their place; shorter: a pause of the other process ends the connection. Three intervals or more let
     * two pings be lost.
     */
    readonly heartbeatTimeout: Duration.Duration
    /**
     * Between two rounds of asking peers for others. Default: 10 seconds. Longer: the network grows together slowly;
     * shorter: more traffic.
     */
    readonly discoveryInterval: Duration.Duration
    /**
     * The wait after the first failed dial; clamped to `retryMax`. Default: 200 millis. Longer: a brief fault costs more
     * time; shorter: more dials to nodes that are down.
     */
    readonly retryBase: Duration.Duration
    /**
     * What each further failure multiplies the wait by, at least 1. Default: 2. Higher: fewer dials, slower recovery; 1:
     * the wait never grows.
     */
    readonly retryFactor: number
    /**
     * The longest wait between dials. Default: 30 seconds. Longer: a node that is back is found late; shorter: more dials
     * to nodes that are gone for good.
     */
    readonly retryMax: Duration.Duration
    /**
     * The longest message taken or sent, bytes of its JSON, 65536 to 67108864. Default: 1048576. Higher: one message holds
     * up the others on its link for longer and costs more memory; lower: long messages fail at home.
     */
    readonly maxMessageBytes: number
    /**
     * Messages that may wait to be sent to one peer. Default: 1024. Higher: more memory and older messages; lower: bursts
     * wait or are skipped.
     */
    readonly outboundQueue: number
    /**
     * The same in bytes. Default: 8388608. Times `maxPeers` it is the most memory that slow readers can take.
     */
    readonly outboundQueueBytes: number
    /**
     * Messages of one peer that may wait for a handler; when full, reading of that peer pauses. Default: 256. Higher: more
     * memory; lower: the peer feels a slow handler sooner.
     */
    readonly inboundQueue: number
    /** The same in bytes. Default: 4194304. Times `maxPeers` it is the most memory that slow handlers can take. */
    readonly inboundQueueBytes: number
    /**
     * Messages a second taken from one peer; none: as many as it sends. As many answers as messages were sent to it are not
     * counted. Default: off. Higher or off: a noisy peer keeps handlers busy; lower: bursts are refused.
     */
    readonly rateLimit: Option.Option<number>
    /**
     * Between two dials of a bootstrap or remembered node that is not connected, for ever. Default: 30 seconds. Longer: the
     * halves of a split network find each other late; shorter: more dials to nodes that are gone.
     */
    readonly healingInterval: Duration.Duration
    /**
     * Dials side by side. Default: 8. Higher: bursts of connections at the start; lower: dead addresses hold up live ones.
     */
    readonly dialConcurrency: number
    /**
     * Addresses heard of, not yet shaken hands with, that are kept in all. Default: 1024. Higher: more memory for hearsay;
     * lower: fewer to choose from in a large network.
     */
    readonly maxHints: number
    /**
     * The same from any one peer; clamped to `maxHints`. Default: 64. Higher: one lying peer can fill the list; lower: a
     * node with one peer learns slowly.
     */
    readonly maxHintsPerTeller: number
    /**
     * How long the ids of passing messages are remembered, so that none is delivered twice. Default: 2 minutes. Longer: no
     * harm up to `seenIds`; shorter: a late copy is delivered again.
     */
    readonly seenMemory: Duration.Duration
    /**
     * How many of these ids are remembered. Default: 65536. Higher: more memory; lower: under load copies are delivered
     * again.
     */
    readonly seenIds: number
    /**
     * The folder that keeps this node's key and the peers it knows, for one process at a time. Default: (none). Without it
     * the node has another id after each start and knows bootstrap nodes only.
     */
    readonly stateDir: Option.Option<string>
    /** The least level that is logged. Default: info. `debug` shows payloads: not where they are private. */
    readonly logLevel: LogLevel.LogLevel
    /** How log lines look: `pretty` for people, `json` or `logfmt` for programs. Default: pretty. */
    readonly logFormat: "pretty" | "json" | "logfmt"
    /**
     * How connections are encrypted. Default: tls. With `tls` a node's id is that of its key, which every other node
     * proves too, and nothing can be read or changed on the way. `none` proves and hides nothing: for this machine alone,
     * and for other implementations that have no TLS yet. All nodes of a network need the same.
     */
    readonly encryption: "tls" | "none"
    /**
     * The private key that this node is known by: PKCS#8 in PEM, Ed25519 or P-256. Default: (none). Without it the key of
     * the state folder is used, and without such a folder a new one at each start.
     */
    readonly identityKey: Option.Option<Redacted.Redacted<string>>
    /**
     * Secrets that the nodes of the network share, each of at least 32 bytes: a node that has none of them is refused. The
     * first is used to prove, any is accepted, so that a new one can be brought in without a gap. In one text they are
     * separated by commas; in a list a secret may hold any character. Only with TLS.
     * Default: (none). Without one, whoever reaches the port may join.
     */
    readonly networkKey: ReadonlyArray<Redacted.Redacted<string>>
    /**
     * The only nodes that may be connected; none named: all. With encryption ids that keys have, as others match nobody.
     * Default: (none). Can be changed while the node runs.
     */
    readonly allow: ReadonlyArray<NodeId>
    /** Nodes that may not be connected, also where `allow` names them. Default: (none). Can be changed likewise. */
    readonly deny: ReadonlyArray<NodeId>
    /**
     * Request handlers that run side by side for one connection. Default: 16. Higher: one peer can keep more of the node
     * busy; lower: its slow requests hold up its quick ones.
     */
    readonly handlerConcurrency: number
  }
>() {}

/**
 * What the service {@link NetworkConfig} holds.
 *
 * @since 0.1.0
 * @category models
 */
export type Settings = NetworkConfig["Type"]

/**
 * The name of a setting.
 *
 * @since 0.1.0
 * @category models
 */
export type Key = keyof Settings

type InputOf<A> = [A] extends [Option.Option<infer B>]
  ? InputOf<B> | A
  : [A] extends [Duration.Duration]
    ? Duration.DurationInput
    : [A] extends [Redacted.Redacted<string>]
      ? string | A
      : [A] extends [LogLevel.LogLevel]
        ? A | LogLevel.Literal | Lowercase<LogLevel.Literal>
        : [A] extends [NodeId]
          ? string
          : [A] extends [ReadonlyArray<PeerAddress.PeerAddress>]
            ? ReadonlyArray<string | PeerAddress.PeerAddress>
            : [A] extends [ReadonlyArray<Redacted.Redacted<string>>]
              ? string | Redacted.Redacted<string> | ReadonlyArray<string | Redacted.Redacted<string>>
              : [A] extends [ReadonlyArray<NodeId>]
                ? ReadonlyArray<string>
                : A

/**
 * Settings as they are given in code: any of them, each also in its handy form. Durations are `"5 seconds"`, milliseconds
 * or a `Duration`; addresses `"host:port"` or a `PeerAddress`; what is optional is given bare. `undefined` is not given.
 * {@link Settings} are an `Input` too.
 *
 * @since 0.1.0
 * @category models
 */
export type Input = { readonly [K in Key]?: InputOf<Settings[K]> | undefined }

// --- Kinds of values: each reads what any source may give, text included ---

interface Kind<out A> {
  readonly allowed: string
  readonly decode: (u: unknown) => Option.Option<A>
}

const kind = <A, I>(allowed: string, schema: Schema.Schema<A, I>): Kind<A> => ({
  allowed,
  decode: Schema.decodeUnknownOption(schema)
})

const encoder = new TextEncoder()
const bytes = (text: string): number => encoder.encode(text).length

const Numeric = Schema.Union(Schema.Number, Schema.NumberFromString)

const integer = (min: number, max: number): Kind<number> =>
  kind(`an integer from ${min} to ${max}`, Numeric.pipe(Schema.int(), Schema.between(min, max)))

const count: Kind<number> = kind("an integer of at least 1", Numeric.pipe(Schema.int(), Schema.greaterThanOrEqualTo(1)))

const factor: Kind<number> = kind(
  "a number of at least 1",
  Numeric.pipe(Schema.finite(), Schema.greaterThanOrEqualTo(1))
)

// Duration.decode turns what is negative or not a number into zero, which would pass for a value that was meant.
const isNegative = (u: unknown): boolean =>
  typeof u === "string"
    ? u.startsWith("-")
    : typeof u === "number" || typeof u === "bigint"
      ? !(u >= 0)
      : Array.isArray(u) && u.some(isNegative)

const AnyDuration = Schema.transformOrFail(Schema.Unknown, Schema.DurationFromSelf, {
  strict: true,
  decode: (u, _, ast) => {
    const input = typeof u === "string" ? u.trim() : u
    return isNegative(input)
      ? Either.left(new ParseResult.Type(ast, u))
      : Either.fromOption(Duration.decodeUnknown(input), () => new ParseResult.Type(ast, u))
  },
  encode: Either.right
})

const durationFrom = (allowed: string, min: Duration.DurationInput): Kind<Duration.Duration> =>
  kind(allowed, AnyDuration.pipe(Schema.betweenDuration(min, "24 days")))

const duration = durationFrom("a duration from 1 millis to 24 days, such as 5 seconds or 200 millis", "1 millis")

const durationOrZero = durationFrom("a duration from 0 seconds to 24 days, such as 5 minutes", 0)

const Word = Schema.Trim.pipe(Schema.compose(Schema.Lowercase))

const oneOf = <const A extends ReadonlyArray<string>>(...words: A): Kind<A[number]> =>
  kind(words.join(", "), Word.pipe(Schema.compose(Schema.Literal(...words))))

const optional = <A>(inner: Kind<A>): Kind<Option.Option<A>> => ({
  allowed: inner.allowed,
  decode: (u) => {
    const given = Option.isOption(u) ? u : Option.some(u)
    return Option.isNone(given) ? Option.some(Option.none()) : Option.map(inner.decode(given.value), Option.some)
  }
})

const itemsOf = (text: string): Array<string> =>
  text
    .split(",")
    .map((item) => item.trim())
    .filter((item) => item !== "")

const Items = Schema.transform(Schema.String, Schema.Array(Schema.String), {
  strict: true,
  decode: itemsOf,
  encode: (items) => items.join(",")
})

const AnyAddress = Schema.Union(PeerAddress.FromString, PeerAddress.PeerAddress)

const addresses = (max: number): Kind<ReadonlyArray<PeerAddress.PeerAddress>> =>
  kind(
    `${max === Infinity ? "" : `at most ${max} of `}host:port, comma-separated, with a port from 1 to 65535 and an IPv6 host in brackets`,
    Schema.Union(Items.pipe(Schema.compose(Schema.Array(PeerAddress.FromString))), Schema.Array(AnyAddress)).pipe(
      Schema.filter((list) => list.length <= max && list.every(({ host, port }) => host !== "" && port > 0))
    )
  )

const tags: Kind<Readonly<Record<string, string>>> = kind(
  "name=value, comma-separated (or an object of strings), at most 512 bytes as JSON",
  Schema.Union(
    Items.pipe(
      Schema.compose(Schema.Array(Schema.String.pipe(Schema.pattern(/^[^=]+=/)))),
      Schema.transform(Schema.Record({ key: Schema.String, value: Schema.String }), {
        strict: true,
        decode: (items) =>
          Object.fromEntries(
            items.map((item) => [item.slice(0, item.indexOf("=")).trim(), item.slice(item.indexOf("=") + 1).trim()])
          ),
        encode: (record) => Object.entries(record).map(([name, value]) => `${name}=${value}`)
      })
    ),
    Schema.Record({ key: Schema.String, value: Schema.String })
  ).pipe(Schema.filter((record) => bytes(JSON.stringify(record)) <= 512))
)

const host: Kind<string> = kind(
  "a host name or an IP address (IPv6 without brackets), 1 to 253 bytes, without a port",
  Schema.String.pipe(
    Schema.filter(
      (text) =>
        bytes(text) <= 253 &&
        (/^[^\s:[\]/@]+$/.test(text) || /^[0-9A-Fa-f]*:[0-9A-Fa-f]*:[0-9A-Fa-f:.]*(?:%[\w.-]+)?$/.test(text))
    )
  )
)

const nodeIds: Kind<ReadonlyArray<NodeId>> = kind(
  "node ids, comma-separated",
  Schema.Union(Items, Schema.Array(Schema.String)).pipe(
    Schema.compose(Schema.Array(NodeId), { strict: false }),
    Schema.filter((list) => list.every((id) => NodeIds.is(id)))
  )
)

const secretText = (u: unknown): string | undefined => {
  const value = Redacted.isRedacted(u) ? Redacted.value(u) : u
  return typeof value === "string" ? value : undefined
}

const secret: Kind<Redacted.Redacted<string>> = {
  allowed: "a private key, PKCS#8 in PEM",
  decode: (u) => Option.map(Option.fromNullable(secretText(u)), Redacted.make)
}

/** The least a secret that others may guess at has to have, bytes. */
const minKeyBytes = 32

const secrets: Kind<ReadonlyArray<Redacted.Redacted<string>>> = {
  allowed: `secrets of at least ${minKeyBytes} bytes each, comma-separated`,
  decode: (u) => {
    const given = Array.isArray(u) ? u.map(secretText) : splitItems(secretText(u))
    const keys = given.flatMap((key) => (key !== undefined && bytes(key) >= minKeyBytes ? [Redacted.make(key)] : []))
    return keys.length === given.length ? Option.some(keys) : Option.none()
  }
}

const splitItems = (text: string | undefined): ReadonlyArray<string | undefined> =>
  text === undefined ? [undefined] : itemsOf(text)

const levels = {
  all: LogLevel.All,
  trace: LogLevel.Trace,
  debug: LogLevel.Debug,
  info: LogLevel.Info,
  warning: LogLevel.Warning,
  error: LogLevel.Error,
  fatal: LogLevel.Fatal,
  none: LogLevel.None
}

const isLevel = (u: unknown): u is LogLevel.LogLevel => LogLevel.allLevels.some((level) => level === u)

const levelName = oneOf("all", "trace", "debug", "info", "warning", "error", "fatal", "none")

const level: Kind<LogLevel.LogLevel> = {
  allowed: levelName.allowed,
  decode: (u) => (isLevel(u) ? Option.some(u) : Option.map(levelName.decode(u), (name) => levels[name]))
}

// "off" is how a later source takes back what an earlier one has set.
const limit: Kind<Option.Option<number>> = {
  allowed: "off, or an integer of at least 1",
  decode: (u) =>
    typeof u === "string" && u.trim().toLowerCase() === "off" ? Option.some(Option.none()) : optional(count).decode(u)
}

const text = (min: number, max: number, unit: "characters" | "bytes"): Kind<string> =>
  kind(
    min === 0 ? `at most ${max} ${unit}` : `${min} to ${max} ${unit}`,
    Schema.String.pipe(
      Schema.filter((value) => {
        const length = unit === "bytes" ? bytes(value) : value.length
        return length >= min && length <= max
      })
    )
  )

// --- The table: all that is known about a setting, but for its type, stands here ---

interface Row<out A> {
  readonly kind: Kind<A>
  readonly description: string
  /** The default as its kind reads it, or what makes it of the other settings. */
  readonly initial: unknown
  readonly derive?: (settings: Settings) => unknown
  /** The default for people, where it is not simply `initial`. */
  readonly shown?: string
  readonly secret?: true
}

const three = (maxPeers: number): number => (maxPeers < 8 ? maxPeers : Math.floor((maxPeers * 3) / 4))

const none: Option.Option<never> = Option.none()

const table: { readonly [K in Key]: Row<Settings[K]> } = {
  nodeId: {
    kind: optional(kind("1 to 128 characters of A-Z a-z 0-9 . _ : -", NodeId)),
    initial: none,
    shown: "random, kept in the state folder if there is one",
    description: "The name of this node without TLS; with TLS its id follows from its key"
  },
  network: { kind: text(1, 128, "characters"), initial: "synapse", description: "The network this node belongs to" },
  host: { kind: host, initial: "127.0.0.1", description: "Where to listen" },
  port: { kind: integer(0, 65535), initial: 9470, description: "The TCP port to listen at; 0: any free one" },
  advertise: {
    kind: addresses(16),
    initial: [],
    shown: "what it listens on",
    description: "Where others are told to find this node"
  },
  bootstrap: {
    kind: addresses(Infinity),
    initial: [],
    shown: "(none)",
    description: "Nodes to dial at the start and for ever after; a name stands for all its addresses"
  },
  maxPeers: { kind: count, initial: 256, description: "Connections, both directions" },
  targetPeers: {
    kind: count,
    initial: 32,
    description: "Discovery dials until this many peers are connected; less than maxPeers"
  },
  maxInbound: {
    kind: count,
    initial: undefined,
    derive: ({ maxPeers }) => three(maxPeers),
    shown: "three quarters of maxPeers; with maxPeers under 8, all of it",
    description: "Connections dialed by others"
  },
  maxConnectionsPerIp: {
    kind: count,
    initial: 64,
    description: "Connections from one IP address (of IPv6: one /64); loopback is exempt"
  },
  maxPendingHandshakes: {
    kind: count,
    initial: 1024,
    description: "Connections before their handshake, apart from maxPeers; when full, the oldest goes"
  },
  handshakeRate: {
    kind: limit,
    initial: Option.some(10),
    shown: "10",
    description:
      "TLS handshakes a second that one IP address may begin; maxConnectionsPerIp at once; loopback is exempt"
  },
  maxInvalidMessages: {
    kind: count,
    initial: 10,
    description: "Invalid messages from one IP address within a minute, the last of which bans it"
  },
  banDuration: { kind: durationOrZero, initial: "5 minutes", description: "How long a ban lasts; 0 turns bans off" },
  frameTimeout: {
    kind: duration,
    initial: "30 seconds",
    description: "How long a frame may take to arrive, plus 1 second for each 16 KiB"
  },
  closeTimeout: {
    kind: duration,
    initial: "2 seconds",
    description: "How long a closing connection waits for the other end"
  },
  drainTimeout: {
    kind: duration,
    initial: "5 seconds",
    description: "How long messages of a duplicate connection may hold up those of the one that stays"
  },
  slowConsumerTimeout: {
    kind: duration,
    initial: "60 seconds",
    description: "How long a peer may read nothing while data waits, before its connection is destroyed"
  },
  broadcastTtl: {
    kind: integer(0, 255),
    initial: 8,
    description: "How many links a broadcast may cross after the first"
  },
  tags: { kind: tags, initial: {}, shown: "(none)", description: "What the application says about this node" },
  agent: {
    kind: text(0, 256, "bytes"),
    initial: `synapse-p2p/${version}`,
    shown: "synapse-p2p/version",
    description: "The program's name and version, told to peers"
  },
  connectTimeout: { kind: duration, initial: "5 seconds", description: "How long a dial may take" },
  handshakeTimeout: { kind: duration, initial: "5 seconds", description: "How long the handshake may take" },
  sendTimeout: { kind: duration, initial: "5 seconds", description: "How long a send waits for room in a queue" },
  requestTimeout: { kind: duration, initial: "10 seconds", description: "How long a request waits for its answer" },
  shutdownGrace: { kind: duration, initial: "5 seconds", description: "How long stopping may take" },
  heartbeatInterval: { kind: duration, initial: "5 seconds", description: "Between two pings of a peer" },
  heartbeatTimeout: {
    kind: duration,
    initial: "15 seconds",
    description: "How long a peer may be silent before it is dead; half of it: suspect"
  },
  discoveryInterval: {
    kind: duration,
    initial: "10 seconds",
    description: "Between two rounds of asking peers for others"
  },
  retryBase: { kind: duration, initial: "200 millis", description: "The wait after the first failed dial" },
  retryFactor: { kind: factor, initial: 2, description: "What each further failure multiplies the wait by" },
  retryMax: { kind: duration, initial: "30 seconds", description: "The longest wait between dials" },
  maxMessageBytes: {
    kind: integer(65536, 67108864),
    initial: 1048576,
    description: "The longest message taken or sent, bytes of JSON"
  },
  outboundQueue: { kind: count, initial: 1024, description: "Messages that may wait to be sent to one peer" },
  outboundQueueBytes: { kind: count, initial: 8388608, description: "The same in bytes" },
  inboundQueue: { kind: count, initial: 256, description: "Messages of one peer that may wait for a handler" },
  inboundQueueBytes: { kind: count, initial: 4194304, description: "The same in bytes" },
  rateLimit: { kind: limit, initial: none, shown: "off", description: "Messages a second taken from one peer" },
  healingInterval: {
    kind: duration,
    initial: "30 seconds",
    description: "Between two dials of a bootstrap or remembered node that is not connected"
  },
  dialConcurrency: { kind: count, initial: 8, description: "Dials side by side" },
  maxHints: { kind: count, initial: 1024, description: "Addresses heard of that are kept, in all" },
  maxHintsPerTeller: { kind: count, initial: 64, description: "The same from any one peer" },
  seenMemory: {
    kind: duration,
    initial: "2 minutes",
    description: "How long ids of passing messages are remembered, so that none is delivered twice"
  },
  seenIds: { kind: count, initial: 65536, description: "How many of these ids are remembered" },
  stateDir: {
    kind: optional(kind("a folder's path", Schema.NonEmptyString)),
    initial: none,
    shown: "(none)",
    description: "The folder that keeps this node's key and the peers it knows, for one process at a time"
  },
  logLevel: { kind: level, initial: "info", description: "The least level that is logged; debug shows payloads" },
  logFormat: { kind: oneOf("pretty", "json", "logfmt"), initial: "pretty", description: "How log lines look" },
  encryption: {
    kind: oneOf("tls", "none"),
    initial: "tls",
    description: "How connections are encrypted; none: not at all, and nobody proves who he is"
  },
  identityKey: {
    kind: optional(secret),
    initial: none,
    shown: "(none)",
    secret: true,
    description: "The private key of this node, in place of that of the state folder, or of a new one"
  },
  networkKey: {
    kind: secrets,
    initial: [],
    shown: "(none)",
    secret: true,
    description: "Secrets that all nodes of the network share; the first is used, all are accepted"
  },
  allow: {
    kind: nodeIds,
    initial: [],
    shown: "(none)",
    description: "The only nodes that may be connected; none named: all"
  },
  deny: { kind: nodeIds, initial: [], shown: "(none)", description: "Nodes that may not be connected" },
  handlerConcurrency: {
    kind: count,
    initial: 16,
    description: "Request handlers that run side by side for one connection"
  }
}

const names = Object.keys(table) as ReadonlyArray<Key>

// The union of all kinds is of no use to the checker: what is read is put back under its key.
const rowOf = (key: Key): Row<unknown> => table[key]

const isKey = (key: string): key is Key => Object.hasOwn(table, key)

const snake = (key: string): string => key.replace(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()

const envName = (key: string): string => `SYNAPSE_${snake(key)}`

/**
 * A setting as documentation shows it. `default` and `allowed` are text for people.
 *
 * @since 0.1.0
 * @category models
 */
export interface KeyDescription {
  readonly key: Key
  readonly env: string
  readonly default: string
  readonly allowed: string
  readonly description: string
}

/**
 * Every setting, in the order of the documentation: the same table that reads and checks them.
 *
 * @since 0.1.0
 * @category accessors
 */
export const keys: ReadonlyArray<KeyDescription> = names.map((key) => ({
  key,
  env: envName(key),
  default: rowOf(key).shown ?? String(rowOf(key).initial),
  allowed: rowOf(key).kind.allowed,
  description: rowOf(key).description
}))

// --- Sources ---

type Issue = ConfigInvalid["issues"][number]

/** Values by key from one place, and what that place calls the key. */
interface Source {
  readonly values: Readonly<Record<string, unknown>>
  readonly name: (key: string) => string
  readonly issues: ReadonlyArray<Issue>
}

const fromInput = (input: Input): Source => ({ values: input, name: (key) => key, issues: [] })

const fromFlags = (flags: Input): Source => ({
  values: flags,
  name: (key) => `--${snake(key).toLowerCase().replaceAll("_", "-")}`,
  issues: []
})

const inFile = (key: string): string => `${key} (in the file)`

const badFile = (value: string): Source => ({
  values: {},
  name: inFile,
  issues: [{ key: "the file", value, expected: "one JSON object of settings" }]
})

const isRecord = (u: unknown): u is Readonly<Record<string, unknown>> =>
  typeof u === "object" && u !== null && !Array.isArray(u)

const parseJson = (text: string): Either.Either<unknown, string> =>
  Either.try({
    try: (): unknown => JSON.parse(text.replace(/^\uFEFF/, "")),
    // Only the place: the rest of the engine's message quotes the text, and secrets with it.
    catch: (error) => `not JSON${/ at position \d+/.exec(String(error))?.[0] ?? ""}`
  })

const fromFile = (file: unknown): Source => {
  const content = typeof file === "string" ? parseJson(file) : Either.right(file)
  if (Either.isLeft(content)) return badFile(content.left)
  return isRecord(content.right)
    ? { values: content.right, name: inFile, issues: [] }
    : badFile(Array.isArray(content.right) ? "an array" : String(content.right))
}

const envText = (key: Key): Config.Config<Option.Option<string>> =>
  Config.option(Config.string(envName(key))).pipe(Config.map(Option.filter((text) => text !== "")))

const fromTexts = (texts: Readonly<Record<string, Option.Option<string>>>, issues: ReadonlyArray<Issue>): Source => ({
  values: Object.fromEntries(
    Object.entries(texts).flatMap(([key, text]) => (Option.isSome(text) ? [[key, text.value]] : []))
  ),
  name: envName,
  issues
})

const readEnv: Effect.Effect<Source> = Effect.map(
  Effect.forEach(names, (key) => Effect.map(Effect.either(envText(key)), (result) => [key, result] as const)),
  (results) =>
    fromTexts(
      Object.fromEntries(results.map(([key, result]) => [key, Either.getOrElse(result, () => Option.none<string>())])),
      results.flatMap(([key, result]) =>
        Either.isLeft(result) ? [{ key: envName(key), value: "unreadable", expected: rowOf(key).kind.allowed }] : []
      )
    )
)

// --- Checks ---

/** Edits that turn one word into the other: insert, delete, replace. */
const distance = (a: string, b: string): number => {
  let row = Array.from({ length: b.length + 1 }, (_, index) => index)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const replaced = row[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(replaced, row[j]! + 1, next[j - 1]! + 1))
    }
    row = next
  }
  return row[b.length]!
}

const plain = (key: string): string => key.toLowerCase().replaceAll(/[^a-z0-9]/g, "")

const nearest = (key: string): Key => {
  const word = plain(key).slice(0, 64)
  return names.reduce((best, name) => (distance(word, plain(name)) < distance(word, plain(best)) ? name : best))
}

const shorten = (value: string): string => (value.length > 120 ? `${value.slice(0, 120)}…` : value)

const show = (key: Key, value: unknown): string => {
  if (rowOf(key).secret === true) return "<redacted>"
  if (typeof value === "string") return shorten(JSON.stringify(value))
  return shorten(Duration.isDuration(value) ? Duration.format(value) : Inspectable.toStringUnknown(value, 0))
}

/**
 * Checked settings, and what a person should know about them: values that another made senseless and that were clamped,
 * and a host open to other machines without encryption.
 *
 * @since 0.1.0
 * @category models
 */
export interface Loaded {
  readonly settings: Settings
  readonly warnings: ReadonlyArray<string>
}

/** What the sources say, each key as its last source has it: a value and its name there, or that it is bad. */
interface Gathered {
  readonly given: Map<string, { readonly value: unknown; readonly name: string }>
  readonly bad: Set<string>
  readonly issues: Array<Issue>
}

const gather = (gathered: Gathered, source: Source): Gathered => {
  const { bad, given, issues } = gathered
  issues.push(...source.issues)
  for (const [key, value] of Object.entries(source.values)) {
    const name = source.name(key)
    if (!isKey(key)) {
      issues.push({ key: name, value: "unknown", expected: `a known key (nearest: ${nearest(key)})` })
    } else if (value !== undefined) {
      const decoded = rowOf(key).kind.decode(value)
      if (Option.isSome(decoded)) {
        given.set(key, { value: decoded.value, name })
        bad.delete(key)
      } else {
        issues.push({ key: name, value: show(key, value), expected: rowOf(key).kind.allowed })
        given.delete(key)
        bad.add(key)
      }
    }
  }
  return gathered
}

const complete = ({ given }: Gathered): Settings => {
  const settings: Record<string, unknown> = {}
  for (const key of names) {
    const { initial, kind } = rowOf(key)
    settings[key] = given.has(key) ? given.get(key)?.value : Option.getOrUndefined(kind.decode(initial))
  }
  for (const key of names) settings[key] ??= rowOf(key).derive?.(settings as Settings)
  return settings as Settings
}

const checkTogether = (gathered: Gathered, settings: Settings): void => {
  checkHeartbeat(gathered, settings)
  checkLists(gathered, settings)
  const { bad, given, issues } = gathered
  if (bad.has("encryption") || settings.encryption === "tls") return
  for (const key of ["networkKey", "identityKey"] as const) {
    const name = given.get(key)?.name
    if (name !== undefined && isSet(settings[key])) {
      issues.push({ key: name, value: "<redacted>", expected: "left out where encryption is none" })
    }
  }
}

/** A list that names nobody whom it could mean would be heeded in silence. */
const checkLists = ({ bad, given, issues }: Gathered, settings: Settings): void => {
  if (bad.has("encryption") || settings.encryption !== "tls") return
  for (const key of ["allow", "deny"] as const) {
    const name = given.get(key)?.name
    const wrong = name === undefined ? undefined : settings[key].find((id) => !Access.isOfKey(id))
    if (name !== undefined && wrong !== undefined) {
      issues.push({ key: name, value: JSON.stringify(wrong), expected: Access.idsOfKeys })
    }
  }
}

const isSet = (value: Settings["networkKey"] | Settings["identityKey"]): boolean =>
  Option.isOption(value) ? Option.isSome(value) : value.length > 0

const checkHeartbeat = ({ bad, given, issues }: Gathered, settings: Settings): void => {
  const { heartbeatInterval, heartbeatTimeout } = settings
  if (bad.has("heartbeatInterval") || bad.has("heartbeatTimeout")) return
  if (Duration.greaterThan(heartbeatTimeout, heartbeatInterval)) return
  const timeout = given.get("heartbeatTimeout")
  const interval = given.get("heartbeatInterval")
  issues.push(
    timeout === undefined
      ? {
          key: interval?.name ?? "heartbeatInterval",
          value: show("heartbeatInterval", heartbeatInterval),
          expected: `shorter than heartbeatTimeout (${Duration.format(heartbeatTimeout)})`
        }
      : {
          key: timeout.name,
          value: show("heartbeatTimeout", heartbeatTimeout),
          expected: `longer than heartbeatInterval (${Duration.format(heartbeatInterval)})`
        }
  )
}

const clamps = [
  // Where all places are taken, the halves of a split network cannot find each other.
  { key: "targetPeers", bound: "maxPeers less one", most: ({ maxPeers }) => Math.max(1, maxPeers - 1) },
  { key: "maxInbound", bound: "maxPeers", most: ({ maxPeers }) => maxPeers },
  { key: "maxHintsPerTeller", bound: "maxHints", most: ({ maxHints }) => maxHints },
  { key: "retryBase", bound: "retryMax", most: ({ retryMax }) => retryMax }
] as const satisfies ReadonlyArray<{
  readonly key: Key
  readonly bound: string
  readonly most: (settings: Settings) => number | Duration.Duration
}>

const amount = (value: number | Duration.Duration): number =>
  typeof value === "number" ? value : Duration.toMillis(value)

const clamp = ({ given }: Gathered, settings: Settings): Loaded => {
  const clamped: Record<string, unknown> = { ...settings }
  const warnings: Array<string> = []
  for (const { bound, key, most } of clamps) {
    const limit = most(settings)
    if (amount(settings[key]) <= amount(limit)) continue
    clamped[key] = limit
    const name = given.get(key)?.name
    // A default that gives way to what was asked for is no news.
    if (name !== undefined) {
      warnings.push(`${name} is ${show(key, settings[key])}, which is over ${bound}: ${show(key, limit)} is used`)
    }
  }
  if (settings.encryption === "none" && !PeerAddress.isLoopback(settings.host)) {
    warnings.push(
      `${given.get("host")?.name ?? "host"} is ${show("host", settings.host)} and encryption is ${settings.encryption}: whoever reaches the port can read and join; use tls, 127.0.0.1, or a network that you trust`
    )
  }
  return { settings: clamped as unknown as Settings, warnings }
}

const resolve = (sources: ReadonlyArray<Source>): Either.Either<Loaded, ConfigInvalid> => {
  const gathered = sources.reduce<Gathered>(gather, { given: new Map(), bad: new Set(), issues: [] })
  const settings = complete(gathered)
  checkTogether(gathered, settings)
  return gathered.issues.length === 0
    ? Either.right(clamp(gathered, settings))
    : Either.left(new ConfigInvalid({ issues: gathered.issues }))
}

// --- What others call ---

/**
 * The settings of a node that is told nothing.
 *
 * @since 0.1.0
 * @category constructors
 */
export const defaults: Settings = Either.getOrThrow(resolve([])).settings

/**
 * Checks values given in code and completes them with the defaults; nothing else is looked at. The left side names all
 * that is wrong.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (input: Input = {}): Either.Either<Loaded, ConfigInvalid> => resolve([fromInput(input)])

/**
 * The settings as the environment has them, `SYNAPSE_PORT` and so on, completed with the defaults. An empty variable
 * counts as not set. Fails with one `ConfigError` for all that is wrong. {@link layerFromEnv} also tells the warnings.
 *
 * @since 0.1.0
 * @category constructors
 */
export const config: Config.Config<Settings> = Config.all(
  Object.fromEntries(names.map((key) => [key, envText(key)]))
).pipe(
  Config.mapOrFail((texts) =>
    Either.mapBoth(resolve([fromTexts(texts, [])]), {
      onLeft: ({ issues }) =>
        issues
          .map(({ expected, key, value }) => ConfigError.InvalidData([key], `is ${value}, but must be ${expected}`))
          .reduce((all, error) => ConfigError.And(all, error)),
      onRight: ({ settings }) => settings
    })
  )
)

/**
 * The settings from all sources, the later winning: defaults, a JSON file (its text, or its parsed content), the
 * environment (the current `ConfigProvider`, or `env`), flags. A bad value is reported even where a later source
 * overrides it, each under its name at home: `port (in the file)`, `SYNAPSE_PORT`, `--port`.
 *
 * The warnings are handed out, not logged, so that a program can log them once its logger stands.
 *
 * Fails with: `ConfigInvalid`, naming all that is wrong.
 *
 * @since 0.1.0
 * @category constructors
 */
export const load = (
  options: {
    readonly file?: unknown
    readonly env?: ConfigProvider.ConfigProvider | undefined
    readonly flags?: Input | undefined
  } = {}
): Effect.Effect<Loaded, ConfigInvalid> =>
  Effect.flatMap(options.env === undefined ? readEnv : Effect.withConfigProvider(readEnv, options.env), (env) =>
    resolve([
      ...(options.file === undefined ? [] : [fromFile(options.file)]),
      env,
      ...(options.flags === undefined ? [] : [fromFlags(options.flags)])
    ])
  )

const layerOf = (loaded: Effect.Effect<Loaded, ConfigInvalid>): Layer.Layer<NetworkConfig, ConfigInvalid> =>
  Layer.effect(
    NetworkConfig,
    Effect.flatMap(loaded, ({ settings, warnings }) =>
      Effect.as(
        Effect.forEach(warnings, (warning) => Effect.logWarning(warning), { discard: true }),
        settings
      )
    )
  )

/**
 * Settings given in code, completed with the defaults. Does not look at the environment. Logs the warnings. Fails with:
 * `ConfigInvalid`, naming all that is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (input: Input = {}): Layer.Layer<NetworkConfig, ConfigInvalid> =>
  layerOf(Effect.suspend(() => make(input)))

/**
 * Settings from the environment (`SYNAPSE_…`, by the current `ConfigProvider`), completed with the defaults; what
 * `overrides` names wins. Logs the warnings. Fails with: `ConfigInvalid`, naming all that is wrong.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromEnv = (overrides: Input = {}): Layer.Layer<NetworkConfig, ConfigInvalid> =>
  layerOf(Effect.flatMap(readEnv, (env) => resolve([env, fromInput(overrides)])))
