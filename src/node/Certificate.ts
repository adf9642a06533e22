/**
 * The certificate by which TLS shows a node's key: self-signed, in memory, new at each start. Names and dates in it mean
 * nothing, so it has the plainest that the format allows (docs/PROTOCOL.md, section 9).
 *
 * @internal
 */
import { AsnConvert } from "@peculiar/asn1-schema"
import * as X509 from "@peculiar/asn1-x509"
import * as Redacted from "effect/Redacted"
import * as crypto from "node:crypto"
import type { Credentials } from "../Credentials.js"

const commonName = "2.5.4.3"

const signatureAlgorithms = { ed25519: "1.3.101.112", ec: "1.2.840.10045.4.3.2" } as const

const name = (): X509.Name =>
  new X509.Name([
    new X509.RelativeDistinguishedName([
      new X509.AttributeTypeAndValue({ type: commonName, value: new X509.AttributeValue({ utf8String: "synapse" }) })
    ])
  ])

/** What RFC 5280 calls no well-defined end. */
const validity = (): X509.Validity =>
  new X509.Validity({ notBefore: new Date("2000-01-01T00:00:00Z"), notAfter: new Date("9999-12-31T23:59:59Z") })

/** Positive, as it must be, and of 16 bytes. */
const serialNumber = (): ArrayBuffer => {
  const bytes = new Uint8Array(crypto.randomBytes(16))
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40
  return bytes.buffer
}

const pemOf = (der: ArrayBuffer): string => {
  const lines =
    Buffer.from(der)
      .toString("base64")
      .match(/.{1,64}/g) ?? []
  return ["-----BEGIN CERTIFICATE-----", ...lines, "-----END CERTIFICATE-----", ""].join("\n")
}

/** A self-signed certificate of the key, as PEM. */
export const make = (credentials: Credentials): string => {
  const kind = crypto.createPrivateKey(Redacted.value(credentials.privateKey)).asymmetricKeyType
  const signatureAlgorithm = new X509.AlgorithmIdentifier({
    algorithm: signatureAlgorithms[kind === "ec" ? "ec" : "ed25519"]
  })
  const tbsCertificate = new X509.TBSCertificate({
    version: X509.Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: name(),
    validity: validity(),
    subject: name(),
    subjectPublicKeyInfo: AsnConvert.parse(credentials.publicKey, X509.SubjectPublicKeyInfo)
  })
  const signature = credentials.sign(new Uint8Array(AsnConvert.serialize(tbsCertificate)))
  return pemOf(
    AsnConvert.serialize(
      new X509.Certificate({ tbsCertificate, signatureAlgorithm, signatureValue: new Uint8Array(signature).buffer })
    )
  )
}
