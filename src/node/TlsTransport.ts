/**
 * The transport over TLS 1.3: both ends show a certificate of their key and prove that they have it, and a link says whose
 * key that is. There is no authority, and nothing in a certificate counts but its key (docs/PROTOCOL.md, section 9).
 *
 * An accepted link is handed over before its handshake, so that whoever takes it can destroy it before anything costly is
 * done for it, and limit how many are under way and for how long. What is written to it until then waits. Handshakes are
 * begun when the other end has said what it begins with, and no faster than leaves time for those who are connected.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as crypto from "node:crypto"
import type * as Net from "node:net"
import * as Tls from "node:tls"
import type { Credentials } from "../Credentials.js"
import { NetworkConfig } from "../NetworkConfig.js"
import type { DialError } from "../NetworkError.js"
import { DialReset, DialUnreachable, HandshakeTimeout, IdentityFailed, TlsFailed } from "../NetworkError.js"
import { NodeIdentity } from "../NodeIdentity.js"
import type * as PeerAddress from "../PeerAddress.js"
import type { Link, LinkProof, LinkReceiver } from "../Transport.js"
import { Transport } from "../Transport.js"
import * as Certificate from "./Certificate.js"
import type { Addresses } from "./DuplexLink.js"
import { fromDuplex, whenIdle } from "./DuplexLink.js"
import { HandshakeWatch, maxBytes } from "./HandshakeWatch.js"
import * as Hellos from "./Hellos.js"
import * as Keys from "./Keys.js"
import { RecordWatch } from "./RecordWatch.js"
import * as Sockets from "./Sockets.js"

/** The name of the protocol where TLS agrees on one (ALPN). */
const protocol = "synapse/1"

/**
 * As TLS writes it, and no list of texts or Uint8Array: those Node copies for each connection into the pool of its small
 * buffers, 64 KiB of which live as long as a connection that has ten bytes of them.
 */
const ALPNProtocols = new DataView(Uint8Array.from([protocol.length, ...Buffer.from(protocol)]).buffer)

const exporterLabel = "EXPORTER-synapse-p2p"
const exporterBytes = 32

// --- What is proven ---

type Fault = TlsFailed["reason"]

/** The bytes of a certificate and of those shown with it, as far as they matter: a node's own is alone, and has about 250. */
const bytesOf = (certificate: crypto.X509Certificate | undefined): number => {
  let bytes = 0
  for (let shown = certificate; shown !== undefined && bytes <= maxBytes; shown = shown.issuerCertificate) {
    bytes += shown.raw.length
  }
  return bytes
}

/** Whose key the other end has, or why that is not known. */
const proofOf = (socket: Tls.TLSSocket, certificate: crypto.X509Certificate | undefined): LinkProof | Fault => {
  if (socket.alpnProtocol !== protocol) return "Protocol"
  if (socket.getProtocol() !== "TLSv1.3") return "Version"
  // A session that is taken up again would stand for a certificate that is not shown.
  if (socket.isSessionReused()) return "Certificate"
  if (certificate === undefined) return "Certificate"
  const key = publicKeyIn(certificate)
  if (key === undefined) return "Certificate"
  const exported = socket.exportKeyingMaterial(exporterBytes, exporterLabel, Buffer.alloc(0))
  // Of Node's own, what is around the few bytes is several times as large.
  return { id: key.id, exporter: Uint8Array.from(exported) }
}

const publicKeyIn = (certificate: crypto.X509Certificate) => {
  try {
    return Keys.publicKeyOf(certificate.publicKey.export({ type: "spki", format: "der" }))
  } catch {
    return undefined
  }
}

/** What an error of OpenSSL means; undefined: the connection broke, which has nothing to do with TLS. */
const faultOf = (cause: unknown): Fault | undefined => {
  const code = Sockets.codeOf(cause)
  switch (code) {
    case "ERR_SSL_WRONG_VERSION_NUMBER":
    case "ERR_SSL_HTTP_REQUEST":
    case "ERR_SSL_PACKET_LENGTH_TOO_LONG":
    case "ERR_SSL_RECORD_LAYER_FAILURE":
      return "PlainText"
    case "ERR_SSL_UNSUPPORTED_PROTOCOL":
    case "ERR_SSL_TLSV1_ALERT_PROTOCOL_VERSION":
      return "Version"
    case "ERR_SSL_NO_APPLICATION_PROTOCOL":
    case "ERR_SSL_TLSV1_ALERT_NO_APPLICATION_PROTOCOL":
      return "Protocol"
    case "ERR_SSL_EXCESSIVE_MESSAGE_SIZE":
      return "Certificate"
    default:
      return code.startsWith("ERR_SSL_") || code.startsWith("ERR_TLS_") || code === "EPROTO" ? "Other" : undefined
  }
}

const tlsFailed = (address: PeerAddress.PeerAddress, reason: Fault, cause?: unknown, detail = ""): TlsFailed =>
  new TlsFailed({
    address,
    origin: "local",
    detail,
    reason,
    // OpenSSL's own words say nothing more where the reason is known.
    ...(reason === "Other" ? { cause } : {})
  })

const tooMuch = `more than ${maxBytes} bytes of handshake`
const tooMuchOfLate = `${tooMuch}, or than messages need, came from there of late`

/** Ends a link over which far more comes than messages. */
const cutOf = (link: Link, watch: HandshakeWatch) => (): void => {
  watch.shutOut(link.remote.host)
  link.destroy(new Error("far more came than messages"))
}

const tookTooMuch = (address: PeerAddress.PeerAddress, detail = tooMuch): TlsFailed =>
  tlsFailed(address, "Certificate", undefined, detail)

// --- Links ---

/** A link that was accepted: nothing but a socket until its handshake is done. */
class AcceptedLink implements Link {
  readonly remote: PeerAddress.PeerAddress
  readonly local: PeerAddress.PeerAddress
  proven: LinkProof | undefined = undefined
  readonly socket: Net.Socket
  /** Hears of the socket no more: from the handshake on, the stream over it tells. */
  private letGo: (() => void) | undefined
  private inner: Link | undefined = undefined
  private receiver: LinkReceiver | undefined = undefined
  private isPaused = false
  private isEnded = false
  private readonly unwritten: Array<Parameters<Link["write"]>> = []
  private isClosed = false
  private cause: unknown = undefined
  private destroyedHere = false

  /** `isOver` is called when the handshake is, in whatever way. */
  constructor(socket: Net.Socket, { local, remote }: Addresses, isOver: () => void) {
    this.socket = socket
    this.remote = remote
    this.local = local
    const onError = (cause: unknown): void => {
      this.cause ??= cause
    }
    const onClose = (): void => {
      this.isClosed = true
      if (!this.destroyedHere) this.cause ??= new Error("the connection ended before the handshake was done")
      for (const [, done] of this.unwritten.splice(0)) this.refuse(done)
      this.report()
      this.letGo?.()
    }
    socket.on("error", onError).on("close", onClose)
    this.letGo = () => {
      this.letGo = undefined
      socket.off("error", onError).off("close", onClose)
      isOver()
    }
  }

  /** The handshake has failed. */
  fail(stream: Tls.TLSSocket, cause: unknown): void {
    this.cause ??= cause
    // Never the socket under it: this is called from within the stream, and Node does not survive that.
    stream.destroy()
  }

  /** The handshake is done. */
  secure(stream: Tls.TLSSocket, proven: LinkProof): void {
    this.letGo?.()
    this.proven = proven
    stream.allowHalfOpen = true
    this.inner = fromDuplex(stream, this)
    if (this.isPaused) this.inner.pause()
    if (this.receiver !== undefined) this.inner.attach(this.receiver)
    for (const [chunks, done] of this.unwritten.splice(0)) this.inner.write(chunks, done)
    if (this.isEnded) this.inner.end()
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    if (this.inner !== undefined) this.inner.attach(receiver)
    else if (this.isClosed) queueMicrotask(() => this.report())
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    if (this.inner !== undefined) this.inner.write(chunks, done)
    else if (this.isEnded || this.isClosed || this.destroyedHere) queueMicrotask(() => this.refuse(done))
    else this.unwritten.push([chunks, done])
  }

  get isTaken(): boolean {
    return this.inner?.isTaken === true
  }

  whenIdle(run: () => void): void {
    whenIdle(run)
  }

  pause(): void {
    this.isPaused = true
    this.inner?.pause()
  }

  resume(): void {
    this.isPaused = false
    this.inner?.resume()
  }

  end(): void {
    this.isEnded = true
    this.inner?.end()
  }

  destroy(cause?: unknown): void {
    if (this.inner !== undefined) return this.inner.destroy(cause)
    if (this.isClosed || this.destroyedHere) return
    this.destroyedHere = true
    this.cause = cause
    Sockets.reset(this.socket)
  }

  private refuse(done: (cause?: unknown) => void): void {
    try {
      done(this.cause ?? new Error("the link is closed for writing"))
    } catch (thrown) {
      this.destroy(thrown)
    }
  }

  private report(): void {
    const { receiver } = this
    if (receiver === undefined || this.inner !== undefined) return
    this.receiver = undefined
    if (this.cause === undefined) receiver.onClose()
    else receiver.onClose(this.cause)
  }
}

/** A link that was dialed: its handshake is done. */
const dialedLink = (stream: Tls.TLSSocket, addresses: Addresses, proven: LinkProof): Link =>
  Object.assign(fromDuplex(stream, addresses), { proven })

// --- The transport ---

/**
 * How the two ends agree on a key: what is cheap, and what no quantum computer breaks, which OpenSSL has from 3.5 on. A
 * stranger chooses, before anything is known of it, and others of OpenSSL's list cost a hundred times as much.
 */
const groups = ((): string => {
  const [major = 0, minor = 0] = process.versions.openssl.split(".").map(Number)
  const hasHybrid = major > 3 || (major === 3 && minor >= 5)
  return hasHybrid ? "X25519MLKEM768:X25519:P-256" : "X25519:P-256"
})()

/**
 * By what the two ends prove their keys: the kinds that a node may have. Others of OpenSSL's list take up to ten times as
 * long to check.
 */
const signatures = "ed25519:ECDSA+SHA256"

/**
 * Both ends of a connection have the same settings: the identity of the other end is checked here, by its key, and not by
 * OpenSSL, which knows of authorities and names only.
 */
const settings = { rejectUnauthorized: false, ALPNProtocols } as const

const contextOf = (credentials: Credentials) =>
  ({
    key: Redacted.value(credentials.privateKey),
    cert: Certificate.make(credentials),
    minVersion: "TLSv1.3",
    maxVersion: "TLSv1.3",
    ecdhCurve: groups,
    sigalgs: signatures,
    secureOptions: crypto.constants.SSL_OP_NO_TICKET | crypto.constants.SSL_OP_NO_RENEGOTIATION
  }) as const

/** Two connections to one listener differ in this. */
const endsOf = ({ localAddress, remoteAddress, remotePort }: Net.Socket): string =>
  `${remoteAddress} ${remotePort} ${localAddress}`

/**
 * Takes sockets through the server's side of the handshake. Node's server tells of a socket by the stream it has put over
 * it: the two have the same ends.
 */
const makeAcceptor = (context: ReturnType<typeof contextOf>, watch: HandshakeWatch, records: RecordWatch) => {
  const links = new Map<string, AcceptedLink>()
  const server = Tls.createServer({ ...settings, ...context, requestCert: true })
  // OpenSSL has the key by now. Every socket leads to its server, and so would whoever looks into one to the key.
  // Of the protocol Node's server has made a Uint8Array.
  Object.assign(server, { key: undefined, ALPNProtocols })

  server.on("secureConnection", (stream) => {
    const link = links.get(endsOf(stream))
    if (link === undefined) return void stream.destroy()
    const certificate = stream.getPeerX509Certificate()
    if (watch.end(link.socket, bytesOf(certificate))) return link.fail(stream, tookTooMuch(link.remote))
    const proven = proofOf(stream, certificate)
    if (typeof proven === "string") link.fail(stream, tlsFailed(link.remote, proven))
    else {
      link.secure(stream, proven)
      records.begin(link.socket, stream, cutOf(link, watch))
    }
  })
  server.on("tlsClientError", (cause, stream) => {
    const link = links.get(endsOf(stream))
    if (link === undefined) return
    if (watch.end(link.socket)) return link.fail(stream, tookTooMuch(link.remote))
    const fault = faultOf(cause)
    link.fail(stream, fault === undefined ? cause : tlsFailed(link.remote, fault, cause))
  })

  return {
    toLink: (socket: Net.Socket, addresses: Addresses): Link => {
      const ends = endsOf(socket)
      const link: AcceptedLink = new AcceptedLink(socket, addresses, () => {
        // By then another may have come from the same port.
        if (links.get(ends) === link) links.delete(ends)
      })
      links.set(ends, link)
      return link
    },
    handshake: (socket: Net.Socket): void => {
      const link = links.get(endsOf(socket))
      if (link?.socket !== socket) return void socket.destroy()
      const { remote } = link
      if (watch.isShutOut(remote.host)) return link.destroy(tookTooMuch(remote, tooMuchOfLate))
      watch.begin(socket, remote.host, () => link.destroy(tookTooMuch(remote)))
      server.emit("connection", socket)
    }
  }
}

/** A stream whose handshake has begun: what becomes of it is known whether or not anybody waits for it yet. */
interface Begun {
  readonly stream: Net.Socket
  readonly outcome: Deferred.Deferred<Link, DialError>
}

/** Takes a socket through the dialer's side of the handshake. */
const begin = (
  address: PeerAddress.PeerAddress,
  socket: Net.Socket,
  addresses: Addresses,
  secureContext: Tls.SecureContext,
  watch: HandshakeWatch,
  records: RecordWatch
): Begun => {
  const outcome = Deferred.unsafeMake<Link, DialError>(FiberId.none)
  const fail = (error: DialError): void => Deferred.unsafeDone(outcome, Effect.fail(error))
  const { host } = addresses.remote
  if (watch.isShutOut(host)) {
    fail(new DialUnreachable({ address, cause: new Error(tooMuchOfLate) }))
    socket.destroy()
    return { stream: socket, outcome }
  }
  const stream = Tls.connect({ ...settings, secureContext, socket, checkServerIdentity: () => undefined })
  watch.begin(socket, host, () => {
    fail(tookTooMuch(address))
    stream.destroy()
  })
  stream.on("error", (cause) => {
    if (watch.end(socket)) return fail(tookTooMuch(address))
    const fault = faultOf(cause)
    fail(fault === undefined ? Sockets.dialFailed(address, cause) : tlsFailed(address, fault, cause))
  })
  stream.on("close", () => fail(watch.end(socket) ? tookTooMuch(address) : new DialReset({ address })))
  stream.once("secureConnect", () => {
    const certificate = stream.getPeerX509Certificate()
    const proven = watch.end(socket, bytesOf(certificate)) ? undefined : proofOf(stream, certificate)
    if (typeof proven === "object") {
      const link = dialedLink(stream, addresses, proven)
      records.begin(socket, stream, cutOf(link, watch))
      return Deferred.unsafeDone(outcome, Effect.succeed(link))
    }
    fail(proven === undefined ? tookTooMuch(address) : tlsFailed(address, proven))
    stream.destroy()
  })
  return { stream, outcome }
}

/**
 * TLS 1.3 with the key of this node's identity, which must have one: it dies otherwise. The handshake of a link that is
 * dialed may take `handshakeTimeout`; that of an accepted one is limited by whoever takes the link.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport, never, NodeIdentity | NetworkConfig> = Layer.effect(
  Transport,
  Effect.gen(function* () {
    const { credentials } = yield* NodeIdentity
    const { handshakeTimeout } = yield* NetworkConfig
    if (credentials === undefined) {
      return yield* Effect.die(
        new IdentityFailed({ reason: "KeyInvalid", detail: "TLS needs a key, and none is given" })
      )
    }
    const context = contextOf(credentials)
    // Of all dials: each would read the key again, and its stream show it to whoever looks into it.
    const secureContext = Tls.createSecureContext(context)
    const millis = Duration.toMillis(handshakeTimeout)
    const clock = yield* Effect.clock
    const watch = new HandshakeWatch(() => Number(clock.unsafeCurrentTimeNanos()) / 1e6)
    const records = new RecordWatch()

    return Transport.of({
      listen: (address, onLink) =>
        Effect.suspend(() => {
          const { handshake, toLink } = makeAcceptor(context, watch, records)
          const mayBegin = ({ remoteAddress }: Net.Socket): boolean => watch.hasRoom(remoteAddress ?? "")
          return Effect.flatMap(Hellos.make(handshake, mayBegin), (isTaken) =>
            Sockets.listen(address, onLink, toLink, isTaken)
          )
        }),
      dial: (address) =>
        Effect.uninterruptibleMask((restore) =>
          Effect.flatMap(
            restore(
              Sockets.connect(address, (socket, addresses) =>
                begin(address, socket, addresses, secureContext, watch, records)
              )
            ),
            ({ outcome, stream }) =>
              restore(Deferred.await(outcome)).pipe(
                Effect.timeoutFail({
                  duration: handshakeTimeout,
                  onTimeout: () =>
                    new HandshakeTimeout({ address, origin: "local", detail: `no TLS handshake within ${millis} ms` })
                }),
                // It may have been done in the very moment in which nobody waited for it any more.
                Effect.onError(() => Effect.sync(() => stream.destroy()))
              )
          )
        ),
      resolve: Sockets.resolve
    })
  })
)
