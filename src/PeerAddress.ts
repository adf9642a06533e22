/**
 * Where a node listens or a connection comes from: a host (name, IPv4, IPv6 without brackets) and a port.
 *
 * @since 0.1.0
 */
import * as Either from "effect/Either"
import * as ParseResult from "effect/ParseResult"
import * as Schema from "effect/Schema"

const mappedIPv4 = /^::ffff:(\d{1,3}(?:\.\d{1,3}){3})$/i
const encoder = new TextEncoder()

/**
 * The host, an IPv4 address mapped into IPv6 written as IPv4.
 *
 * @since 0.1.0
 * @category combinators
 */
export const normalizeHost = (host: string): string =>
  // Hardly any host begins so, and lists of many are gone through at each handshake.
  host.startsWith("::") ? (mappedIPv4.exec(host)?.[1] ?? host) : host

/**
 * A host of up to 253 bytes and a port from 0 to 65535. Compared by value (`Equal.equals`); `toString` gives the
 * `host:port` form that {@link parse} reads.
 *
 * @since 0.1.0
 * @category models
 */
export class PeerAddress extends Schema.Class<PeerAddress>("synapse-p2p/PeerAddress")({
  host: Schema.String.pipe(
    Schema.filter((host) => encoder.encode(host).length <= 253 || "a host has at most 253 bytes")
  ),
  port: Schema.Int.pipe(Schema.between(0, 65535))
}) {
  override toString(): string {
    return format(this.host, this.port)
  }
}

/**
 * The `host:port` form of an address, an IPv6 host in brackets: what {@link parse} reads.
 *
 * @since 0.1.0
 * @category accessors
 */
export const format = (host: string, port: number): string =>
  host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`

/**
 * An address of a host and a port; an IPv4 address mapped into IPv6 is written as IPv4. Throws a `ParseError` where
 * either is out of bounds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (host: string, port: number): PeerAddress => {
  const normal = normalizeHost(host)
  // A character has three bytes at most. Only what may be wrong is worth looking at with the schema, which takes far longer.
  const isFine = normal.length <= 84 && Number.isInteger(port) && port >= 0 && port <= 65535
  return isFine ? unchecked(normal, port) : new PeerAddress({ host: normal, port })
}

/** What the constructor makes, which looks for defaults each time, also where there are none and nothing is checked. */
const unchecked = (host: string, port: number): PeerAddress => {
  const address = Object.create(PeerAddress.prototype) as { -readonly [Name in keyof PeerAddress]: PeerAddress[Name] }
  address.host = host
  address.port = port
  return address
}

/**
 * Reads `host:port`, with an IPv6 host in brackets: `10.0.0.6:9470`, `node.example:9470`, `[::1]:9470`,
 * `[fe80::1%eth0]:9470`. The left side says what is wrong with the text.
 *
 * @since 0.1.0
 * @category constructors
 */
export const parse = (text: string): Either.Either<PeerAddress, string> => {
  const match = /^(?:\[([0-9A-Fa-f:.]+(?:%[\w.~-]+)?)\]|([^\s:[\]/@]+)):(\d{1,5})$/.exec(text.trim())
  if (match === null) {
    return Either.left(`"${text}" is not host:port (an IPv6 host stands in brackets: [::1]:9470)`)
  }
  const host = (match[1] ?? match[2])!
  const port = Number(match[3])
  if (port > 65535) return Either.left(`"${text}": a port is at most 65535`)
  if (encoder.encode(host).length > 253) return Either.left(`"${text.slice(0, 40)}…": a host has at most 253 bytes`)
  return Either.right(make(host, port))
}

/**
 * The `host:port` string as a schema: decodes to a {@link PeerAddress}.
 *
 * @since 0.1.0
 * @category schemas
 */
export const FromString: Schema.Schema<PeerAddress, string> = Schema.transformOrFail(
  Schema.String,
  Schema.typeSchema(PeerAddress),
  {
    strict: true,
    decode: (text, _, ast) => Either.mapLeft(parse(text), (message) => new ParseResult.Type(ast, text, message)),
    encode: (address) => Either.right(address.toString())
  }
)

/**
 * Whether the host is of this machine only: `localhost`, `127.0.0.0/8`, `::1`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLoopback = (host: string): boolean =>
  host === "127.0.0.1" || host === "localhost" || host === "::1" || /^127(?:\.\d{1,3}){3}$/.test(normalizeHost(host))

/**
 * The part of the network that a host is in, by which whoever has many addresses is told from many who have one: of an IPv4
 * address its first 16 bits, of an IPv6 address its first 32. Undefined for this machine and for names.
 *
 * @since 0.1.0
 * @category accessors
 */
export const group = (host: string): string | undefined => {
  const plain = normalizeHost(host)
  if (isLoopback(plain) || isUnspecified(plain)) return undefined
  const four = /^(\d{1,3}\.\d{1,3})\.\d{1,3}\.\d{1,3}$/.exec(plain)
  if (four !== null) return four[1]
  if (!plain.includes(":")) return undefined
  const [first = "", second = ""] = plain.toLowerCase().split(":")
  return `${first}:${second}`
}

/**
 * Whether the host is link-local: `169.254.0.0/16`, `fe80::/10`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isLinkLocal = (host: string): boolean =>
  /^169\.254(?:\.\d{1,3}){2}$/.test(normalizeHost(host)) || /^fe[89ab][0-9a-f]:/i.test(host)

/**
 * Whether the host stands for "any address": `0.0.0.0`, `::` or empty. In a HELLO it is to be replaced by the address
 * that the receiver sees.
 *
 * @since 0.1.0
 * @category guards
 */
export const isUnspecified = (host: string): boolean =>
  host === "" || host === "::" || normalizeHost(host) === "0.0.0.0"
