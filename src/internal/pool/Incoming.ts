/**
 * What comes in over a connection: the first message, those of the protocol, and those of applications. docs/PROTOCOL.md,
 * sections 7 and 8.
 *
 * @internal
 */
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import type { Connection } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import type { Envelope } from "../../Message.js"
import * as Payloads from "../../Payloads.js"
import * as PeerBook from "../../PeerBook.js"
import * as LinkRules from "../LinkRules.js"
import { RateLimit } from "../RateLimit.js"
import type { Faults } from "./Faults.js"
import type { Peers } from "./Peers.js"
import { codePolicy, errorFrame, remoteError } from "./Refusals.js"
import type { Slots } from "./Slots.js"
import type { State } from "./State.js"

export interface Incoming {
  readonly receive: (connection: Connection, envelope: Envelope, bytes: number) => void
  /** Whether the peer is silent, or heard again. */
  readonly suspect: (connection: Connection, isSuspect: boolean) => void
}

export const make = (
  state: State,
  peers: Peers,
  faults: Faults,
  slots: Slots,
  onFirst: (connection: Connection, envelope: Envelope) => void
): Incoming => {
  const { book, config, deadlines, node, overtaken, overtaking, stats } = state
  const rateLimit = Option.getOrUndefined(config.rateLimit)
  const limits = new WeakMap<Connection, RateLimit>()

  const limitOf = (connection: Connection, perSecond: number, now: number): RateLimit => {
    const known = limits.get(connection)
    if (known !== undefined) return known
    const fresh = new RateLimit(perSecond, now)
    limits.set(connection, fresh)
    return fresh
  }

  /** Whether the message is within the limit of its peer; what is not is dropped here. */
  const isWithinRate = (connection: Connection, envelope: Envelope, perSecond: number): boolean => {
    const now = deadlines.now()
    const limit = limitOf(connection, perSecond, now)
    const isAnswer = envelope.replyTo !== undefined || envelope.type === "ERROR"
    if (isAnswer && limit.isOwed(connection.outbox.framesOut)) return true
    const verdict = limit.take(now)
    if (verdict === "taken") return true
    const refusal: Handshake.Refusal = { code: "RATE_LIMITED", detail: `more than ${perSecond} messages a second` }
    if (verdict === "flood") {
      faults.close(connection, refusal, envelope.id)
      return false
    }
    // What keeps the connection in order is only stopped where there is no end of it.
    if (envelope.type === "HEARTBEAT" || envelope.type === "ERROR") return true
    stats.error("RateLimited")
    if (verdict === "answered" && !isAnswer) connection.sendControl(errorFrame(node, refusal, false, envelope.id))
    return false
  }

  const receive = (connection: Connection, envelope: Envelope, bytes: number): void => {
    const { identity } = connection
    if (identity === undefined) return onFirst(connection, envelope)
    if (rateLimit !== undefined && !isWithinRate(connection, envelope, rateLimit)) return
    const kind = LinkRules.classify(envelope, node.id, identity.id, identity.relay)
    switch (kind._tag) {
      case "Own":
      case "Ignored":
        return
      case "Invalid":
        return faults.invalid(connection, kind.detail, envelope)
      case "Protocol":
        return connection.phase === "closing" ? undefined : onProtocol(connection, envelope)
      default:
        if (isTooLate(connection, envelope)) return stats.count("lost")
        return state.receiver?.message(connection, envelope, bytes, kind._tag)
    }
  }

  /**
   * Two connections of one session stand until the other end decides. Once the newer has brought a message, one that comes
   * over the older would be out of order. An answer never is.
   */
  const isTooLate = (connection: Connection, envelope: Envelope): boolean => {
    if (overtaking.size > 0) {
      for (const older of overtaking.get(connection) ?? []) if (state.all.has(older)) overtaken.add(older)
      overtaking.delete(connection)
    }
    return overtaken.size > 0 && overtaken.has(connection) && envelope.replyTo === undefined
  }

  const onProtocol = (connection: Connection, envelope: Envelope): void => {
    if (envelope.type === "HELLO") return faults.invalid(connection, "type: a second HELLO", envelope)
    if (envelope.type === "ERROR") return onError(connection, envelope)
    const detail = state.handlers.get(envelope.type)?.(connection, envelope)
    if (detail !== undefined) faults.invalid(connection, detail, envelope)
  }

  const onError = (connection: Connection, envelope: Envelope): void => {
    const decoded = Payloads.decodeError(envelope.payload)
    if (Either.isLeft(decoded)) return faults.invalid(connection, decoded.left, envelope)
    const error = decoded.right
    const policy = codePolicy(error.code)
    if (!error.fatal && policy?.fatal !== "always") {
      stats.error(policy?.tag ?? "PeerFault")
      return state.receiver?.error(connection, envelope, error)
    }
    const taken = remoteError(connection, error, envelope.sender)
    if (taken._tag === "DuplicateConnection") slots.handOver(connection)
    connection.takeGoodbye(taken)
  }

  const suspect = (connection: Connection, isSuspect: boolean): void => {
    const id = connection.identity?.id
    if (id === undefined || state.slots.get(id)?.current !== connection) return
    connection.isSuspect = isSuspect
    book.update((before) => PeerBook.suspected(before, id, isSuspect, deadlines.wallNow()))
    const peer = peers.get(id)
    if (peer !== undefined) state.report({ _tag: isSuspect ? "Suspect" : "Recovered", peer })
  }

  return { receive, suspect }
}
