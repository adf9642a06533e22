/**
 * The first message of a connection: a HELLO that is taken or refused, an ERROR, or what should not be.
 * docs/PROTOCOL.md, section 3.
 *
 * @internal
 */
import * as Either from "effect/Either"
import type { Connection } from "../../Connection.js"
import * as Handshake from "../../Handshake.js"
import type { Envelope, JsonObject } from "../../Message.js"
import * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import * as Payloads from "../../Payloads.js"
import * as PeerAddress from "../../PeerAddress.js"
import * as PeerBook from "../../PeerBook.js"
import type { Faults } from "./Faults.js"
import { errorFrame, localError, remoteError, retryWhenFull } from "./Refusals.js"
import type { Slots } from "./Slots.js"
import type { State } from "./State.js"

/** What the list of others may take in a refusal, bytes: the other end reads no longer frames before the handshake is done. */
const peersBytes = 4096

export const make = (
  state: State,
  faults: Faults,
  slots: Slots
): ((connection: Connection, envelope: Envelope) => void) => {
  const { book, deadlines, greetings, node } = state

  const samplePeers = (told: NodeId, toldAt: PeerAddress.PeerAddress): JsonObject => {
    const some = PeerBook.someKnown(book.get(), told, toldAt, Payloads.maxErrorPeers, node.random)
    return { peers: Payloads.fit(some, peersBytes) } as unknown as JsonObject
  }

  const onFirst = (connection: Connection, envelope: Envelope): void => {
    if (envelope.type === "ERROR") return onError(connection, envelope)
    if (envelope.type !== "HELLO") {
      return faults.close(connection, { code: "HANDSHAKE_REQUIRED", detail: "type: not HELLO" }, envelope.id)
    }
    const refuseInvalid = (detail: string): void => faults.invalid(connection, detail, envelope)
    if (envelope.recipient !== undefined) return refuseInvalid("recipient: HELLO belongs to one link")
    if (envelope.ttl !== undefined) return refuseInvalid("ttl: HELLO belongs to one link")
    const greeting = greetings.get(connection)
    if (greeting !== undefined && envelope.replyTo !== greeting.helloId) {
      return refuseInvalid("replyTo: not the id of the HELLO it answers")
    }
    const decoded = Payloads.decodeHello(envelope.payload)
    if (Either.isLeft(decoded)) return refuseInvalid(decoded.left)
    const theirs = decoded.right
    const { sender } = envelope
    const now = deadlines.now()
    const { direction } = connection
    const duplicate = slots.compare(sender, { session: theirs.session, direction, openedAt: now })
    const refusal = Handshake.judge(state.local(), sender, theirs, direction, {
      isSender: state.authentication.isSender(connection.proven, sender),
      isWelcome: state.access.isWelcome(sender),
      isMember: state.authentication.isMember(connection.proven, sender, theirs.proof),
      bannedForMs: faults.bannedFor(connection.remote.host),
      duplicate,
      hasRoom: state.hasRoom(sender, direction),
      retryAfterMs: retryWhenFull
    })
    if (refusal !== undefined) {
      if (refusal.isConflict === true) state.conflict(sender, connection.remote)
      const isFull = refusal.code === "TOO_MANY_CONNECTIONS"
      if (isFull && direction === "inbound") state.hasTurnedAway = true
      const more = isFull ? samplePeers(sender, connection.remote) : undefined
      return connection.close(
        localError(connection, refusal, sender),
        errorFrame(node, refusal, true, envelope.id, more)
      )
    }
    if (greeting?.expect !== undefined && greeting.expect !== sender) {
      const address = connection.dialed ?? connection.remote
      greetings.delete(connection)
      greeting.done(
        Either.left(new NetworkError.IdentityMismatch({ address, expected: greeting.expect, actual: sender }))
      )
      return faults.close(connection, { code: "DISCONNECTED", detail: "another node was wanted" }, envelope.id)
    }
    if (direction === "inbound") {
      connection.sendControl(node.control("HELLO", state.hello(connection), envelope.id))
    }
    state.halfOpen.delete(connection)
    connection.open(Handshake.identity(sender, theirs, connection.remote), now)
    slots.admit(connection, sender, duplicate)
  }

  const onError = (connection: Connection, envelope: Envelope): void => {
    const decoded = Payloads.decodeError(envelope.payload)
    if (Either.isLeft(decoded)) return faults.invalid(connection, decoded.left, envelope)
    const { code, peers } = decoded.right
    // Whoever says so, in whose name it says it.
    const sender = connection.proven?.id ?? envelope.sender
    // Who dialed was not asked for others, and has shown neither who it is nor that it belongs here.
    if (peers !== undefined && code === "TOO_MANY_CONNECTIONS" && connection.direction === "outbound") {
      const group = PeerAddress.group(connection.remote.host)
      book.update((before) => PeerBook.hinted(before, node.id, sender, peers, deadlines.now(), state.bookLimits, group))
    }
    // An address that is this node's own is never dialed again: who has another key does not get it taken for one.
    const isFalse = code === "SELF_CONNECTION" && connection.proven !== undefined && connection.proven.id !== node.id
    const error = isFalse ? { ...decoded.right, code: "INTERNAL" } : decoded.right
    connection.takeGoodbye(remoteError(connection, error, sender))
  }

  return onFirst
}
