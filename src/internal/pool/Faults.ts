/**
 * What breaks the rules is answered and counted; at the last straw the other end's IP address is banned. docs/PROTOCOL.md,
 * sections 1 and 2.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import type { Connection } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import * as NetworkError from "../../NetworkError.js"
import { Offences } from "../Offences.js"
import { codePolicy, errorFrame, localError } from "./Refusals.js"
import type { State } from "./State.js"

export interface Faults {
  readonly close: (connection: Connection, refusal: Handshake.Refusal, replyTo?: string) => void
  /** A message that breaks a rule. */
  readonly invalid: (
    connection: Connection,
    detail: string,
    about: { readonly type?: string | undefined; readonly id?: string | undefined }
  ) => void
  /** The connection cannot go on; where that is an offence it is counted. */
  readonly fault: (connection: Connection, refusal: Handshake.Refusal, replyTo?: string) => void
  /** How long the IP address is still banned, milliseconds; undefined if it is not. */
  readonly bannedFor: (host: string) => number | undefined
}

const errorOf = (connection: Connection, refusal: Handshake.Refusal): NetworkError.ConnectionError =>
  refusal.isTls === true && connection.phase === "handshaking"
    ? new NetworkError.TlsFailed({
        address: connection.dialed ?? connection.remote,
        origin: "local",
        detail: "",
        reason: "Encrypted"
      })
    : localError(connection, refusal)

export const make = ({ config, deadlines, node, stats }: State): Faults => {
  const banDuration = Duration.toMillis(config.banDuration)
  const offences = new Offences(config.maxInvalidMessages, banDuration)

  const close: Faults["close"] = (connection, refusal, replyTo) =>
    connection.close(errorOf(connection, refusal), errorFrame(node, refusal, true, replyTo))

  /** Counts an offence; whether it was the last straw. */
  const isBan = (connection: Connection): boolean => {
    stats.count("invalid")
    return offences.count(connection.remote.host, deadlines.now())
  }

  const ban = (connection: Connection): void =>
    close(connection, { code: "BANNED", detail: "too many invalid messages", retryAfterMs: banDuration })

  const invalid: Faults["invalid"] = (connection, detail, about) => {
    if (connection.phase === "closing" || connection.phase === "closed") return
    const isBanned = isBan(connection)
    const refusal: Handshake.Refusal = { code: "INVALID_MESSAGE", detail }
    if (connection.phase === "handshaking" && !isBanned) {
      return connection.close(
        localError(connection, refusal),
        about.type === "ERROR" ? undefined : errorFrame(node, refusal, true, about.id)
      )
    }
    if (connection.phase !== "handshaking") stats.error("InvalidMessage")
    if (isBanned) return ban(connection)
    if (about.type !== "ERROR") connection.sendControl(errorFrame(node, refusal, false, about.id))
  }

  const fault: Faults["fault"] = (connection, refusal, replyTo) => {
    if (connection.phase === "closing" || connection.phase === "closed") return
    if (codePolicy(refusal.code)?.countsAsInvalid !== true) return close(connection, refusal, replyTo)
    return isBan(connection) ? ban(connection) : close(connection, refusal)
  }

  return { close, invalid, fault, bannedFor: (host) => offences.bannedFor(host, deadlines.now()) }
}
