/**
 * The payloads of the protocol's own messages: HELLO, HEARTBEAT, PEER_LIST and ERROR (docs/PROTOCOL.md, sections 3, 4,
 * 5 and 7). Each decoder gives the payload, or `member: what is wrong`, which names a member and repeats nothing else of
 * what was received. Unknown members are dropped.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"
import { defaultLimit } from "./Frame.js"
import { isObject } from "./internal/Json.js"
import { isTimestamp } from "./internal/Timestamp.js"
import { hasCharacters, utf8Length } from "./internal/Utf8.js"
import type { Json, JsonObject } from "./Message.js"
import { idPattern } from "./Message.js"
import * as NodeId from "./NodeId.js"
import { isUnspecified, normalizeHost } from "./PeerAddress.js"

/**
 * The most entries that a PEER_LIST carries; a longer one is read so far.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxPeerEntries = 256

/**
 * The most entries that an ERROR carries; a longer list is read so far.
 *
 * @since 0.1.0
 * @category constants
 */
export const maxErrorPeers = 16

const maxAddresses = 8
const maxHostBytes = 253

// --- Addresses ---

/**
 * A host and a port as they stand in a payload: the data of a `PeerAddress`.
 *
 * @since 0.1.0
 * @category models
 */
export type Address = {
  readonly host: string
  readonly port: number
}

const isHost = (u: unknown): u is string =>
  typeof u === "string" && u.length <= maxHostBytes && !/[[\]]/.test(u) && utf8Length(u) <= maxHostBytes

const isPort = (u: unknown): u is number => typeof u === "number" && Number.isInteger(u) && u >= 0 && u <= 65_535

// --- HELLO ---

const described = <A, I>(schema: Schema.Schema<A, I>, message: string): Schema.Schema<A, I> =>
  schema.annotations({ message: () => ({ message, override: true }) })

const string = (is: (text: string) => boolean, message: string): Schema.Schema<string> =>
  described(Schema.String.pipe(Schema.filter(is)), message)

const HelloAddress: Schema.Schema<Address> = Schema.Struct({
  host: Schema.transform(Schema.String.pipe(Schema.filter(isHost)), Schema.String, {
    strict: true,
    decode: normalizeHost,
    encode: normalizeHost
  }),
  port: Schema.Number.pipe(Schema.filter(isPort))
})

const Version = described(Schema.NonNegativeInt, "not an integer, 0 or more")

const Tags: Schema.Schema<{ readonly [name: string]: string }> = described(
  // Checked and passed on as it is: copying would have to mind names like __proto__.
  Schema.declare(
    (u): u is { readonly [name: string]: string } =>
      isObject(u) &&
      Object.values(u).every((value) => typeof value === "string") &&
      utf8Length(JSON.stringify(u)) <= 512
  ),
  "not an object of strings of up to 512 bytes as JSON"
)

const optional = <A, I>(schema: Schema.Schema<A, I>) => Schema.optionalWith(schema, { exact: true })

/**
 * What a node says about itself as it connects (docs/PROTOCOL.md, section 3). Decoding rewrites IPv4 mapped into IPv6 as
 * IPv4, and fills in `maxMessageBytes` and `tags` where they are absent. Hosts may be unspecified (`0.0.0.0`, `::`, ``):
 * they stand for the address that the receiver sees.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Hello = Schema.Struct({
  version: Version,
  minVersion: Version,
  network: string((text) => hasCharacters(text, 128), "not a string of 1 to 128 characters"),
  listen: described(
    Schema.Array(HelloAddress).pipe(Schema.maxItems(16)),
    "not a list of up to 16 addresses of host and port"
  ),
  features: described(
    Schema.Array(Schema.String.pipe(Schema.filter((text) => utf8Length(text) <= 64))).pipe(Schema.maxItems(32)),
    "not a list of up to 32 strings of up to 64 bytes"
  ),
  session: optional(string((text) => idPattern.test(text), "not 1 to 128 printable ASCII characters")),
  observed: optional(described(HelloAddress, "not an address of host and port")),
  agent: optional(string((text) => utf8Length(text) <= 256, "not a string of up to 256 bytes")),
  maxMessageBytes: Schema.optionalWith(
    described(Schema.Int.pipe(Schema.greaterThanOrEqualTo(65_536)), "not an integer, 65536 or more"),
    { exact: true, default: () => defaultLimit }
  ),
  tags: Schema.optionalWith(Tags, { exact: true, default: () => ({}) }),
  proof: optional(string(() => true, "not a string"))
})

/**
 * A HELLO's payload, defaults filled in.
 *
 * @since 0.1.0
 * @category models
 */
export type Hello = typeof Hello.Type

/**
 * The {@link Hello} that a HELLO's payload is; left: the first member, in the page's order, that breaks a rule. Whether
 * the connection may stand (versions, network, …) is for the handshake to say.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeHello = (payload: JsonObject): Either.Either<Hello, string> => {
  const hello = plainHello(payload)
  return hello === undefined ? Either.mapLeft(decodeHelloSchema(payload), firstFault) : Either.right(hello)
}

const decodeHelloSchema = Schema.decodeUnknownEither(Hello)

const isTags = Schema.is(Tags)

/**
 * The payload where every member is as it should be, else undefined: what is wrong, the schema says, which takes some 50 µs
 * at each handshake, and milliseconds at the first.
 */
const plainHello = (payload: JsonObject): Hello | undefined => {
  const { features, listen, maxMessageBytes = defaultLimit, minVersion, network, tags, version } = payload
  if (!isVersion(version) || !isVersion(minVersion)) return undefined
  if (typeof network !== "string" || !hasCharacters(network, 128)) return undefined
  if (!Array.isArray(listen) || listen.length > 16 || !listen.every(isAddress)) return undefined
  if (!Array.isArray(features) || features.length > 32 || !features.every(isTextOf(64))) return undefined
  if (!isVersion(maxMessageBytes) || maxMessageBytes < 65_536) return undefined
  if (tags !== undefined && !isTags(tags)) return undefined
  const { agent, observed, proof, session } = payload
  if (session !== undefined && !(typeof session === "string" && idPattern.test(session))) return undefined
  if (observed !== undefined && !isAddress(observed)) return undefined
  if (agent !== undefined && !isTextOf(256)(agent)) return undefined
  if (proof !== undefined && typeof proof !== "string") return undefined
  return {
    version,
    minVersion,
    network,
    listen: listen.map(normalized),
    features,
    ...(session === undefined ? undefined : { session }),
    ...(observed === undefined ? undefined : { observed: normalized(observed) }),
    ...(agent === undefined ? undefined : { agent }),
    maxMessageBytes,
    tags: tags ?? {},
    ...(proof === undefined ? undefined : { proof })
  }
}

const isVersion = (u: unknown): u is number => Number.isSafeInteger(u) && (u as number) >= 0

const isAddress = (u: unknown): u is Address => isObject(u) && isHost(u["host"]) && isPort(u["port"])

const isTextOf =
  (bytes: number) =>
  (u: unknown): u is string =>
    typeof u === "string" && utf8Length(u) <= bytes

const normalized = ({ host, port }: Address): Address => ({ host: normalizeHost(host), port })

const firstFault = (error: ParseResult.ParseError): string => {
  const issue = ParseResult.ArrayFormatter.formatErrorSync(error)[0]
  const member = issue?.path[0]
  return member === undefined
    ? "not an object"
    : `${String(member)}: ${issue?._tag === "Missing" ? "is missing" : issue?.message}`
}

// --- HEARTBEAT ---

/**
 * A ping, or the pong that answers it with the same `seq` (docs/PROTOCOL.md, section 4). `unknown`: a kind of a later
 * version, to be ignored.
 *
 * @since 0.1.0
 * @category models
 */
export type Heartbeat = { readonly kind: "ping" | "pong"; readonly seq: number } | { readonly kind: "unknown" }

const unknownKind = Either.right({ kind: "unknown" } as const)
const kindFault = Either.left("kind: not a string")
const seqFault = Either.left("seq: not an integer, 0 or more")

/**
 * The {@link Heartbeat} that a HEARTBEAT's payload is; left: the member that breaks a rule.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeHeartbeat = (payload: JsonObject): Either.Either<Heartbeat, string> => {
  const { kind, seq } = payload
  if (kind !== "ping" && kind !== "pong") return typeof kind === "string" ? unknownKind : kindFault
  return isCount(seq) ? Either.right({ kind, seq }) : seqFault
}

const isCount = (u: unknown): u is number => typeof u === "number" && Number.isInteger(u) && u >= 0

// --- PEER_LIST ---

/**
 * A node and where to dial it; `lastSeen` is RFC 3339.
 *
 * @since 0.1.0
 * @category models
 */
export type PeerEntry = {
  readonly id: NodeId.NodeId
  readonly addresses: ReadonlyArray<Address>
  readonly lastSeen?: string
}

/**
 * A request for nodes, the answer to one, or unasked news of nodes (docs/PROTOCOL.md, section 5). `unknown`: a kind of a
 * later version, to be ignored.
 *
 * @since 0.1.0
 * @category models
 */
export type PeerList =
  | { readonly kind: "request"; readonly limit: number }
  | { readonly kind: "response" | "announce"; readonly peers: ReadonlyArray<PeerEntry> }
  | { readonly kind: "unknown" }

const limitFault = Either.left("limit: not an integer, 0 or more")
const peersFault = Either.left("peers: not a list")

/**
 * The {@link PeerList} that a PEER_LIST's payload is; left: the member that breaks a rule. Entries that are no
 * {@link PeerEntry} of 1 to 8 addresses that can be dialed are skipped, the rest is used.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodePeerList = (payload: JsonObject): Either.Either<PeerList, string> => {
  const { kind, limit, peers } = payload
  switch (kind) {
    case "request":
      return isCount(limit) ? Either.right({ kind, limit }) : limitFault
    case "response":
    case "announce":
      return Array.isArray(peers) ? Either.right({ kind, peers: peerEntries(peers, maxPeerEntries) }) : peersFault
    default:
      return typeof kind === "string" ? unknownKind : kindFault
  }
}

const peerEntries = (items: ReadonlyArray<unknown>, limit: number): ReadonlyArray<PeerEntry> => {
  const entries: Array<PeerEntry> = []
  for (const item of items) {
    const entry = peerEntry(item)
    if (entry !== undefined && entries.push(entry) === limit) break
  }
  return entries
}

const peerEntry = (u: unknown): PeerEntry | undefined => {
  if (!isObject(u)) return undefined
  const { addresses, id, lastSeen } = u
  if (!NodeId.is(id) || !Array.isArray(addresses)) return undefined
  if (addresses.length === 0 || addresses.length > maxAddresses) return undefined
  const dialable: Array<Address> = []
  for (const address of addresses) {
    if (!isAddress(address) || address.port === 0 || isUnspecified(address.host)) return undefined
    dialable.push(normalized(address))
  }
  if (lastSeen === undefined) return { id, addresses: dialable }
  return typeof lastSeen === "string" && isTimestamp(lastSeen) ? { id, addresses: dialable, lastSeen } : undefined
}

/**
 * The longest prefix of the entries whose list, as JSON, takes at most `bytes`.
 *
 * @since 0.1.0
 * @category encoding
 */
export const fit = (entries: ReadonlyArray<PeerEntry>, bytes: number): ReadonlyArray<PeerEntry> => {
  // Most lists are far shorter than they may be, which is known without their JSON.
  if (entries.reduce((sum, entry) => sum + mostBytes(entry), 2) <= bytes) return entries
  // "[" and "]", and a comma before every entry but the first.
  let used = 1
  for (let i = 0; i < entries.length; i++) {
    used += utf8Length(JSON.stringify(entries[i])) + 1
    if (used > bytes) return entries.slice(0, i)
  }
  return entries
}

/** An entry of a list takes no more than this: a unit of a string six bytes at most, and the rest far less. */
const mostBytes = ({ addresses, id, lastSeen = "" }: PeerEntry): number =>
  addresses.reduce((sum, { host }) => sum + 64 + 6 * host.length, 64 + 6 * (id.length + lastSeen.length))

// --- ERROR ---

/**
 * What went wrong (docs/PROTOCOL.md, section 7): one of the page's codes or an unknown one, which is taken by its
 * `fatal`. `failure` is any JSON, `retryAfterMs` 0 or more, and `peers` has up to 16 entries.
 *
 * @since 0.1.0
 * @category models
 */
export type ErrorPayload = {
  readonly code: string
  readonly message: string
  readonly fatal: boolean
  readonly retryAfterMs?: number
  readonly peers?: ReadonlyArray<PeerEntry>
  readonly failure?: Json
}

/**
 * The {@link ErrorPayload} that an ERROR's payload is; left: the first member that breaks a rule. Bad entries of `peers`
 * are skipped.
 *
 * @since 0.1.0
 * @category decoding
 */
export const decodeError = (payload: JsonObject): Either.Either<ErrorPayload, string> => {
  const { code, failure, fatal, message, peers, retryAfterMs } = payload
  if (typeof code !== "string") return Either.left("code: not a string")
  if (typeof message !== "string") return Either.left("message: not a string")
  if (typeof fatal !== "boolean") return Either.left("fatal: not a boolean")
  if (retryAfterMs !== undefined && !isDelay(retryAfterMs)) return Either.left("retryAfterMs: not a number, 0 or more")
  if (peers !== undefined && !Array.isArray(peers)) return peersFault
  return Either.right({
    code,
    message,
    fatal,
    ...(retryAfterMs === undefined ? undefined : { retryAfterMs }),
    ...(peers === undefined ? undefined : { peers: peerEntries(peers, maxErrorPeers) }),
    ...(failure === undefined ? undefined : { failure })
  })
}

const isDelay = (u: unknown): u is number => typeof u === "number" && Number.isFinite(u) && u >= 0
