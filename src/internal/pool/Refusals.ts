/**
 * Refusals in their two forms: the error at home, and the ERROR on the wire.
 *
 * @internal
 */
import type { Connection, Identity } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import type { LocalNode } from "../../LocalNode.js"
import type { JsonObject } from "../../Message.js"
import * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import type * as Payloads from "../../Payloads.js"
import type * as PeerAddress from "../../PeerAddress.js"
import * as Policy from "../../Policy.js"

/** What a node is told that met a full one: come again after so long. */
export const retryWhenFull = 5_000

export const localError = (
  connection: { readonly remote: PeerAddress.PeerAddress; readonly identity?: Identity | undefined },
  refusal: Handshake.Refusal,
  peer = connection.identity?.id
): NetworkError.ConnectionError =>
  NetworkError.fromCode(refusal.code, {
    address: connection.remote,
    peer,
    origin: "local",
    detail: refusal.detail,
    retryAfterMs: refusal.retryAfterMs
  })

/** What the other end says is kept and told: no more of it than helps, also of a code that is none. */
export const remoteError = (
  connection: Connection,
  error: Payloads.ErrorPayload,
  peer: NodeId
): NetworkError.ConnectionError =>
  NetworkError.fromCode(error.code.slice(0, 64), {
    address: connection.dialed ?? connection.remote,
    peer,
    origin: "remote",
    detail: error.message.slice(0, 256),
    retryAfterMs: error.retryAfterMs
  })

export const errorFrame = (
  node: LocalNode["Type"],
  refusal: Handshake.Refusal,
  fatal: boolean,
  replyTo?: string,
  more?: JsonObject
): Uint8Array =>
  node.control(
    "ERROR",
    {
      code: refusal.code,
      message: refusal.detail,
      fatal,
      ...(refusal.retryAfterMs === undefined ? {} : { retryAfterMs: Math.ceil(refusal.retryAfterMs) }),
      ...more
    },
    replyTo
  )

export const codePolicy = (code: string): Policy.CodePolicy | undefined =>
  Policy.isCode(code) ? Policy.codes[code] : undefined

/** A connection that somebody wanted to end: no error to be counted. */
export const isMeant = (error: NetworkError.ConnectionError): boolean =>
  error._tag === "ShuttingDown" || error._tag === "Disconnected" || error._tag === "DuplicateConnection"
