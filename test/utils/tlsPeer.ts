/**
 * The other end of an encrypted connection, played by hand over `node:tls`, with whatever certificate a test gives it.
 * Written from docs/PROTOCOL.md, section 9; nothing of the package is used.
 */
import { AsnConvert, OctetString } from "@peculiar/asn1-schema"
import * as X509 from "@peculiar/asn1-x509"
import canonicalize from "canonicalize"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as crypto from "node:crypto"
import type net from "node:net"
import tls from "node:tls"
import type { Message } from "./rawPeer.js"
import { RawPeer, message } from "./rawPeer.js"

// --- Identities ---

const base32 = (bytes: Uint8Array): string => {
  const bits = [...bytes].map((byte) => byte.toString(2).padStart(8, "0")).join("")
  return (bits.match(/.{1,5}/g) ?? [])
    .map((five) => "abcdefghijklmnopqrstuvwxyz234567"[Number.parseInt(five.padEnd(5, "0"), 2)])
    .join("")
}

export const idOf = (info: Uint8Array): string => base32(crypto.createHash("sha256").update(info).digest())

export interface Identity {
  readonly id: string
  readonly info: Buffer
  readonly privateKey: crypto.KeyObject
}

type Kind = "ed25519" | "p256" | "p521" | "rsa"

const keyPair = (kind: Kind): crypto.KeyPairKeyObjectResult => {
  switch (kind) {
    case "ed25519":
      return crypto.generateKeyPairSync("ed25519")
    case "p256":
      return crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    case "p521":
      return crypto.generateKeyPairSync("ec", { namedCurve: "P-521" })
    case "rsa":
      return crypto.generateKeyPairSync("rsa", { modulusLength: 2048 })
  }
}

export const identity = (kind: Kind = "ed25519"): Identity => {
  const { privateKey, publicKey } = keyPair(kind)
  const info = publicKey.export({ type: "spki", format: "der" })
  return { id: idOf(info), info, privateKey }
}

const algorithms: Readonly<Record<string, string>> = {
  ed25519: "1.3.101.112",
  ec: "1.2.840.10045.4.3.2",
  rsa: "1.2.840.113549.1.1.11"
}

const nameOf = (utf8String: string): X509.Name =>
  new X509.Name([
    new X509.RelativeDistinguishedName([
      new X509.AttributeTypeAndValue({ type: "2.5.4.3", value: new X509.AttributeValue({ utf8String }) })
    ])
  ])

interface Odd {
  readonly notAfter?: string
  readonly name?: string
  readonly padBytes?: number
  readonly issuer?: { readonly name: string; readonly privateKey: crypto.KeyObject }
}

/** A self-signed certificate, as odd as asked for. */
export const certificate = ({ info, privateKey: own }: Identity, odd: Odd = {}): string => {
  const privateKey = odd.issuer?.privateKey ?? own
  const kind = privateKey.asymmetricKeyType ?? ""
  const algorithm = new X509.AlgorithmIdentifier({ algorithm: algorithms[kind] ?? "" })
  const subject = nameOf(odd.name ?? "by hand")
  const tbsCertificate = new X509.TBSCertificate({
    version: X509.Version.v3,
    serialNumber: new Uint8Array([1, ...crypto.randomBytes(8)]).buffer,
    signature: algorithm,
    issuer: odd.issuer === undefined ? subject : nameOf(odd.issuer.name),
    subject,
    validity: new X509.Validity({
      notBefore: new Date("2000-01-01T00:00:00Z"),
      notAfter: new Date(odd.notAfter ?? "2049-01-01T00:00:00Z")
    }),
    subjectPublicKeyInfo: AsnConvert.parse(info, X509.SubjectPublicKeyInfo),
    ...(odd.padBytes === undefined
      ? {}
      : {
          extensions: new X509.Extensions([
            new X509.Extension({
              extnID: "1.2.3.4",
              critical: false,
              extnValue: new OctetString(new Uint8Array(odd.padBytes).buffer)
            })
          ])
        })
  })
  const signature = crypto.sign(
    kind === "ed25519" ? null : "sha256",
    Buffer.from(AsnConvert.serialize(tbsCertificate)),
    privateKey
  )
  const der = AsnConvert.serialize(
    new X509.Certificate({
      tbsCertificate,
      signatureAlgorithm: algorithm,
      signatureValue: new Uint8Array(signature).buffer
    })
  )
  return `-----BEGIN CERTIFICATE-----\n${Buffer.from(der).toString("base64")}\n-----END CERTIFICATE-----\n`
}

/** A certificate that is proven by another, and that one by the next: each takes long to check. */
export const chain = (who: Identity, length: number): string => {
  const issuer = identity("p521")
  const proven = (holder: Identity, n: number): string =>
    certificate(holder, { name: `n${n}`, issuer: { name: `n${n + 1}`, privateKey: issuer.privateKey } })
  return [proven(who, 0), ...Array.from({ length: length - 1 }, (_, n) => proven(issuer, n + 1))].join("")
}

/** What TLS is to be done with. */
export const settings = (
  who: Identity,
  pem = certificate(who)
): tls.SecureContextOptions & tls.CommonConnectionOptions => ({
  key: who.privateKey.export({ type: "pkcs8", format: "pem" }),
  cert: pem,
  minVersion: "TLSv1.3",
  rejectUnauthorized: false,
  ALPNProtocols: ["synapse/1"]
})

// --- What is proven ---

export const exporterOf = (socket: tls.TLSSocket): Buffer =>
  socket.exportKeyingMaterial(32, "EXPORTER-synapse-p2p", Buffer.alloc(0))

export const proofOf = (key: string, exporter: Buffer, id: string): string =>
  crypto.createHmac("sha256", key).update(exporter).update(id).digest("base64")

export const sign = (who: Identity, said: Message, network = "synapse"): Message & { readonly signature: object } => {
  const { ttl: _, ...rest } = said
  const bytes = Buffer.from(`synapse-p2p/1 message\n${network}\n${canonicalize(rest)}`)
  const digest = who.privateKey.asymmetricKeyType === "ed25519" ? null : "sha256"
  return {
    ...said,
    signature: {
      key: who.info.toString("base64"),
      value: crypto.sign(digest, bytes, who.privateKey).toString("base64")
    }
  }
}

/** A message that its sender has signed. */
export const signed = (
  who: Identity,
  type: string,
  payload: Message["payload"],
  more: Partial<Message> = {},
  network?: string
) => sign(who, message(who.id, type, payload, more), network)

// --- Peers ---

export interface TlsPeer {
  readonly peer: RawPeer
  readonly socket: tls.TLSSocket
}

/** Why the handshake came to nothing. */
export class NoHandshake extends Error {}

/** A connection past its TLS handshake, on which nothing has been said. Scope: destroys it. */
export const dial = (
  port: number,
  who: Identity,
  given: tls.ConnectionOptions = settings(who)
): Effect.Effect<TlsPeer, NoHandshake, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.async<TlsPeer, NoHandshake>((resume) => {
      const socket = tls.connect({ host: "127.0.0.1", port, ...given })
      const fail = (cause?: Error): void => resume(Effect.fail(new NoHandshake(cause?.message ?? "closed")))
      socket.once("error", fail)
      socket.once("close", () => fail())
      socket.once("secureConnect", () => resume(Effect.succeed({ peer: new RawPeer(socket, who.id), socket })))
    }),
    ({ socket }) => Effect.sync(() => socket.destroy())
  )

/** What the node answers to a HELLO: its own, or an ERROR. */
export const answerTo = (
  { peer }: TlsPeer,
  hello: Readonly<Record<string, unknown>> = {},
  more: Partial<Message> = {}
): Effect.Effect<Message> => {
  peer.hello(hello, more)
  return peer.next("an answer to HELLO", ({ type }) => type === "HELLO" || type === "ERROR")
}

/** A peer whose handshake is done. */
export const join = (
  port: number,
  who: Identity,
  key?: string,
  given?: tls.ConnectionOptions
): Effect.Effect<RawPeer, NoHandshake, Scope.Scope> =>
  Effect.gen(function* () {
    const tlsPeer = yield* dial(port, who, given)
    const proof = key === undefined ? {} : { proof: proofOf(key, exporterOf(tlsPeer.socket), who.id) }
    const answer = yield* answerTo(tlsPeer, proof)
    return answer.type === "HELLO" ? tlsPeer.peer : yield* Effect.dieMessage(`refused: ${JSON.stringify(answer)}`)
  })

/** A TLS server, for a node to dial: what it was told, and where. Scope: closes it. */
export const listen = (
  given: tls.TlsOptions,
  onSocket: (socket: tls.TLSSocket) => void,
  host = "127.0.0.1"
): Effect.Effect<number, never, Scope.Scope> =>
  Effect.map(
    Effect.acquireRelease(
      Effect.async<{ readonly server: tls.Server; readonly sockets: Set<net.Socket> }>((resume) => {
        const sockets = new Set<net.Socket>()
        const server = tls.createServer({ ...given, requestCert: true, rejectUnauthorized: false }, onSocket)
        server.on("connection", (socket: net.Socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
        })
        server.on("tlsClientError", () => {})
        server.listen(0, host, () => resume(Effect.succeed({ server, sockets })))
      }),
      ({ server, sockets }) =>
        Effect.sync(() => {
          server.close()
          for (const socket of sockets) socket.destroy()
        })
    ),
    ({ server }) => (server.address() as net.AddressInfo).port
  )
