/**
 * One connection for each peer: which of two stays, what becomes of the other's messages, and what is told when the last
 * one of a peer ends. docs/PROTOCOL.md, section 3.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Either from "effect/Either"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Connection, Identity } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import type * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import * as PeerBook from "../../PeerBook.js"
import * as Policy from "../../Policy.js"
import * as Duplicates from "../Duplicates.js"
import type { Outgoing } from "../Outbox.js"
import { delayed, endingOf, lastsAfter } from "./Endings.js"
import type { Peers } from "./Peers.js"
import { errorFrame, isMeant, localError } from "./Refusals.js"
import type { Limbo, State } from "./State.js"

export interface Slots {
  /** How a newcomer compares with the connection there is to its peer; undefined if there is none. */
  readonly compare: (peer: NodeId, newcomer: Duplicates.Contender) => Duplicates.Outcome | undefined
  /** A handshake is done: the connection takes its place, or gives way. */
  readonly admit: (connection: Connection, id: NodeId, outcome: Duplicates.Outcome | undefined) => void
  /** The other end is about to close it for another: what waits here goes over that one, as soon as it is open. */
  readonly handOver: (loser: Connection) => void
  /** It serves no more. */
  readonly ended: (connection: Connection, error: NetworkError.ConnectionError, unsent: ReadonlyArray<Outgoing>) => void
  /** Its link is gone: a message of which it took a part only is lost. */
  readonly closed: (connection: Connection) => void
  /** Takes the peer's connections out of service, to be closed once what is queued has gone out. */
  readonly retire: (id: NodeId, refusal: Handshake.Refusal, drainMillis: number) => ReadonlyArray<Connection>
}

const duplicateRefusal: Handshake.Refusal = { code: "DUPLICATE_CONNECTION", detail: "the other connection stays" }

const idsOf = (unsent: ReadonlyArray<Outgoing>): ReadonlyArray<string> =>
  unsent.flatMap(({ id }) => (id === undefined ? [] : [id]))

/** The same node, but another run of it. */
const isRestart = ({ identity: before }: Connection, { identity: after }: Connection): boolean =>
  before?.session !== undefined && after?.session !== undefined && before.session !== after.session

export const make = (state: State, peers: Peers): Slots => {
  const {
    book,
    config,
    conflicts,
    deadlines,
    greetings,
    limbo,
    node,
    overtaken,
    overtaking,
    report,
    setSlot,
    slots,
    stats
  } = state
  const backoff = Policy.backoff(config)
  const terms = {
    backoff,
    lastsAfter: lastsAfter(backoff, Duration.toMillis(config.heartbeatTimeout)),
    healingInterval: Duration.toMillis(config.healingInterval)
  }

  const compare = (peer: NodeId, newcomer: Duplicates.Contender): Duplicates.Outcome | undefined => {
    const existing = slots.get(peer)?.current
    return existing === undefined
      ? undefined
      : Duplicates.decide({
          self: node.id,
          peer,
          existing: {
            session: existing.identity?.session,
            direction: existing.direction,
            openedAt: existing.openedAt
          },
          newcomer,
          window: 2 * state.handshakeTimeout
        })
  }

  /** The loser gives way. `awaitEnd`: what is still on its way over it is delivered before what the survivor brings. */
  const dropLoser = (loser: Connection, survivor: Connection, awaitEnd: boolean): void => {
    loser.outbox.moveTo(survivor.outbox)
    state.receiver?.superseded(loser, survivor, awaitEnd)
    loser.close(localError(loser, duplicateRefusal), errorFrame(node, duplicateRefusal, true), {
      deliverMillis: awaitEnd ? state.drainTimeout : 0
    })
  }

  const admit = (connection: Connection, id: NodeId, outcome: Duplicates.Outcome | undefined): void => {
    peers.opened(connection, id)
    const slot = slots.get(id)
    const waiting = limbo.get(id)
    if (slot === undefined || outcome === undefined) {
      setSlot(id, { current: connection, standby: [] })
      if (waiting === undefined || isRestart(waiting.connection, connection)) remember(connection)
      else takeOver(connection, id)
      if (waiting !== undefined) leaveLimbo(id, waiting, connection)
      else reportOpened(connection, id)
    } else if (outcome.rule === 1) {
      const loser = slot.current
      setSlot(id, { current: connection, standby: [] })
      remember(connection)
      for (const old of [loser, ...slot.standby]) {
        state.receiver?.superseded(old, connection, false)
        old.close(localError(old, duplicateRefusal), errorFrame(node, duplicateRefusal, true))
      }
      reportOpened(connection, id)
    } else if (outcome.stays === "existing") {
      const { dialed } = connection
      if (dialed !== undefined) book.update((before) => PeerBook.answered(before, dialed, id))
      dropLoser(connection, slot.current, true)
    } else {
      const loser = slot.current
      const isSettled = outcome.decides
      setSlot(id, { current: connection, standby: isSettled ? slot.standby : [loser, ...slot.standby] })
      takeOver(connection, id)
      if (isSettled) {
        dropLoser(loser, connection, outcome.rule === 2)
        for (const old of slot.standby) dropLoser(old, connection, false)
        if (outcome.rule === 3) setSlot(id, { current: connection, standby: [] })
      } else {
        // Until the other end closes it, it may yet be the one that stays.
        loser.outbox.moveTo(connection.outbox)
        state.receiver?.superseded(loser, connection, false)
        overtaking.set(connection, [loser, ...slot.standby])
      }
    }
    const greeting = greetings.get(connection)
    greetings.delete(connection)
    const stays = slots.get(id)?.current ?? connection
    greeting?.done(Either.right(stays))
    for (const tell of state.whenOpen.get(id) ?? []) tell(stays)
    state.whenOpen.delete(id)
  }

  /** It serves in place of another. If that one was silent, the peer is heard again. */
  const takeOver = (connection: Connection, id: NodeId): void => {
    const wasSuspect = peers.get(id)?.status === "suspect"
    remember(connection)
    const peer = peers.get(id)
    if (wasSuspect && peer !== undefined) report({ _tag: "Recovered", peer })
  }

  const remember = (connection: Connection): void => {
    const { identity } = connection
    if (identity === undefined) return
    noteSession(connection, identity)
    book.update((before) =>
      PeerBook.connected(
        before,
        {
          identity,
          direction: connection.direction,
          address: connection.remote,
          dialed: connection.dialed,
          openedAt: connection.openedAt
        },
        deadlines.wallNow(),
        state.bookLimits
      )
    )
    peers.trim()
  }

  /** A node that said goodbye before it came as another session has only been started again. */
  const noteSession = (connection: Connection, { id, session }: Identity): void => {
    const known = Option.getOrUndefined(HashMap.get(book.get().peers, id))
    if (known?.session === undefined || session === undefined) return
    if (known.session === session || known.status === "left") return
    if (conflicts.changed(id, deadlines.now())) state.conflict(id, connection.remote)
  }

  const reportOpened = (connection: Connection, id: NodeId): void => {
    const peer = peers.get(id)
    if (peer === undefined) return
    report({ _tag: "Opened", connection, peer })
    state.opened?.(connection)
  }

  /** The connection that stays has come: unless the peer has restarted, it was never away, and what was not sent goes there. */
  const leaveLimbo = (id: NodeId, waiting: Limbo, survivor: Connection): void => {
    limbo.delete(id)
    waiting.cancel()
    state.receiver?.superseded(waiting.connection, survivor, false)
    const { outbox } = waiting.connection
    if (!isRestart(waiting.connection, survivor)) return outbox.moveTo(survivor.outbox)
    reportLost(id, waiting.connection, outbox.abandon())
    reportOpened(survivor, id)
  }

  const handOver = (loser: Connection): void => {
    const slot = loser.identity === undefined ? undefined : slots.get(loser.identity.id)
    if (slot?.current !== loser) return
    const [survivor] = slot.standby
    if (survivor === undefined) loser.outbox.park()
    else loser.outbox.moveTo(survivor.outbox)
  }

  const ended = (
    connection: Connection,
    error: NetworkError.ConnectionError,
    unsent: ReadonlyArray<Outgoing>
  ): void => {
    overtaking.delete(connection)
    overtaken.delete(connection)
    // That of a dial is counted with the dial.
    if (!isMeant(error) && !greetings.has(connection)) stats.error(error._tag)
    if (state.halfOpen.delete(connection)) return failed(connection, error)
    const id = connection.identity?.id
    if (id === undefined) return
    const slot = slots.get(id)
    if (slot === undefined || (slot.current !== connection && !slot.standby.includes(connection))) {
      return reportLost(id, connection, unsent)
    }
    const others = slot.current === connection ? slot.standby : slot.standby.filter((other) => other !== connection)
    const [next = undefined, ...rest] = slot.current === connection ? others : [slot.current, ...others]
    if (next !== undefined) {
      // Another connection to the same node stands: it takes over what was not sent.
      setSlot(id, { current: next, standby: rest })
      if (slot.current === connection) takeOver(next, id)
      overtaken.delete(next)
      return next.outbox.takeOver(unsent)
    }
    if (connection.outbox.isParked) return enterLimbo(id, connection, error)
    setSlot(id, undefined)
    conflicts.endedOtherwise(id)
    leave(id, error, unsent)
  }

  const enterLimbo = (id: NodeId, connection: Connection, error: NetworkError.ConnectionError): void => {
    setSlot(id, undefined, connection)
    const stood = deadlines.now() - connection.openedAt
    const giveUp = (): void => {
      limbo.delete(id)
      setSlot(id, undefined)
      if (conflicts.pushedOut(id, stood, deadlines.now())) state.conflict(id, connection.remote)
      leave(id, error, connection.outbox.abandon())
    }
    limbo.set(id, { connection, cancel: deadlines.after(state.handshakeTimeout, giveUp) })
  }

  /** It ended in its handshake. */
  const failed = (connection: Connection, error: NetworkError.ConnectionError): void => {
    const greeting = greetings.get(connection)
    greetings.delete(connection)
    // Of two dials that cross, one gives way: nothing has failed.
    if (error._tag !== "DuplicateConnection") {
      stats.count("handshakesFailed")
      report({ _tag: "HandshakeFailed", address: error.address, direction: connection.direction, error })
    }
    greeting?.done(Either.left(error))
  }

  const reportLost = (id: NodeId, connection: Connection, unsent: ReadonlyArray<Outgoing>): void => {
    const ids = idsOf(unsent)
    stats.count("lost", ids.length)
    const successor = slots.get(id)?.current
    const peer = peers.get(id)
    if (successor !== undefined && peer !== undefined && isRestart(connection, successor)) {
      report({ _tag: "Restarted", peer, unsent: ids })
    } else if (ids.length > 0) report({ _tag: "Lost", peer: id, unsent: ids })
  }

  const closed = (connection: Connection): void => {
    const { unfinished } = connection.outbox
    const id = connection.identity?.id
    if (unfinished?.id === undefined || id === undefined) return
    stats.count("lost")
    report({ _tag: "Lost", peer: id, unsent: [unfinished.id] })
  }

  /** The peer has no connection any more. */
  const leave = (id: NodeId, error: NetworkError.ConnectionError, unsent: ReadonlyArray<Outgoing>): void => {
    const now = deadlines.now()
    const before = Option.getOrUndefined(HashMap.get(book.get().peers, id))
    const { failures, upSince } = before ?? { failures: 0, upSince: now }
    const ending = delayed(
      endingOf(error, { ...terms, failures, stood: now - upSince, random: node.random() }),
      conflicts.pauseOf(id, now)
    )
    book.update((known) => PeerBook.ended(known, id, ending, now, deadlines.wallNow()))
    const ids = idsOf(unsent)
    stats.count("lost", ids.length)
    const after = peers.get(id)
    const peer = after ?? (before && { ...peers.show(before), status: ending.status })
    if (peer !== undefined) report({ _tag: "Ended", peer, error, unsent: ids })
    if (after === undefined) peers.forget(id)
  }

  const retire = (id: NodeId, refusal: Handshake.Refusal, drainMillis: number): ReadonlyArray<Connection> => {
    const waiting = limbo.get(id)
    if (waiting !== undefined) {
      limbo.delete(id)
      waiting.cancel()
      setSlot(id, undefined)
      leave(id, localError(waiting.connection, refusal), waiting.connection.outbox.abandon())
    }
    const slot = slots.get(id)
    if (slot === undefined) return []
    setSlot(id, undefined)
    const error = localError(slot.current, refusal)
    leave(id, error, [])
    slot.current.close(error, errorFrame(node, refusal, true), { drainMillis })
    for (const connection of slot.standby) {
      connection.close(localError(connection, refusal), errorFrame(node, refusal, true), { drainMillis })
    }
    return [slot.current, ...slot.standby]
  }

  return { compare, admit, handOver, ended, closed, retire }
}
