/**
 * The peers as they are shown: what the book knows of them, with the traffic of their connections, past ones included.
 *
 * @internal
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type { Connection } from "../../Connection.js"
import type { Totals } from "../../NetworkStats.js"
import type { NodeId } from "../../NodeId.js"
import type { Peer } from "../../Peer.js"
import type * as PeerBook from "../../PeerBook.js"
import { timestampOf } from "../Timestamp.js"
import { knownPeers } from "./State.js"
import type { State } from "./State.js"

type MutableTotals = { -readonly [K in keyof Totals]: number }

const noTraffic = (): MutableTotals => ({ messagesIn: 0, messagesOut: 0, bytesIn: 0, bytesOut: 0 })

const addTraffic = (totals: MutableTotals, connection: Connection): void => {
  totals.messagesIn += connection.framesIn
  totals.messagesOut += connection.outbox.framesOut
  totals.bytesIn += connection.bytesIn
  totals.bytesOut += connection.outbox.bytesOut
}

export interface Peers {
  readonly get: (id: NodeId) => Peer | undefined
  /** A peer as the book had it at another moment. */
  readonly show: (record: PeerBook.PeerRecord) => Peer
  readonly all: () => ReadonlyArray<Peer>
  readonly totals: () => Totals
  /** The connection is one of its peer's. */
  readonly opened: (connection: Connection, id: NodeId) => void
  /** The link is gone: its traffic is kept, with the peer as long as the book knows that. */
  readonly closed: (connection: Connection) => void
  /** The book does not know the peer any more. */
  readonly forget: (id: NodeId) => void
  /** The book forgets those that were away for longest; so does this. */
  readonly trim: () => void
}

export const make = ({ all, book, slots }: State): Peers => {
  /** The connections of each peer whose links are not gone. */
  const present = new Map<NodeId, ReadonlyArray<Connection>>()
  const past = new Map<NodeId, MutableTotals>()
  const pastOfAll = noTraffic()

  const trafficOf = (id: NodeId): Totals => {
    const totals = { ...(past.get(id) ?? noTraffic()) }
    for (const connection of present.get(id) ?? []) addTraffic(totals, connection)
    return totals
  }

  /** The same of all peers, in one pass over the connections. */
  const trafficOfAll = (): ReadonlyMap<NodeId, Totals> => {
    const traffic = new Map(Array.from(past, ([id, totals]) => [id, { ...totals }]))
    for (const connection of all) {
      const id = connection.identity?.id
      if (id === undefined) continue
      const totals = traffic.get(id) ?? noTraffic()
      traffic.set(id, totals)
      addTraffic(totals, connection)
    }
    return traffic
  }

  const show = (record: PeerBook.PeerRecord, totals: Totals = trafficOf(record.id)): Peer => {
    const trips = slots.get(record.id)?.current.roundTrips
    return {
      id: record.id,
      status: record.status,
      direction: record.direction,
      address: record.address,
      addresses: record.addresses,
      since: timestampOf(record.since),
      ...(record.agent === undefined ? {} : { agent: record.agent }),
      tags: record.tags,
      ...(trips === undefined || trips.count === 0
        ? {}
        : { roundTrip: { lastMs: trips.last ?? 0, meanMs: trips.mean ?? 0, p99Ms: trips.quantile(0.99) ?? 0 } }),
      bytes: { in: totals.bytesIn, out: totals.bytesOut },
      messages: { in: totals.messagesIn, out: totals.messagesOut },
      attempts: record.attempts
    }
  }

  return {
    get: (id) => {
      const record = Option.getOrUndefined(HashMap.get(book.get().peers, id))
      return record === undefined ? undefined : show(record)
    },
    show,
    all: () => {
      const traffic = trafficOfAll()
      return Array.from(HashMap.values(book.get().peers), (record) =>
        show(record, traffic.get(record.id) ?? noTraffic())
      )
    },
    totals: () => {
      const totals = { ...pastOfAll }
      for (const connection of all) addTraffic(totals, connection)
      return totals
    },
    opened: (connection, id) => {
      present.set(id, [...(present.get(id) ?? []), connection])
    },
    closed: (connection) => {
      addTraffic(pastOfAll, connection)
      const id = connection.identity?.id
      if (id === undefined) return
      const others = (present.get(id) ?? []).filter((other) => other !== connection)
      if (others.length === 0) present.delete(id)
      else present.set(id, others)
      if (!HashMap.has(book.get().peers, id)) return
      const totals = past.get(id) ?? noTraffic()
      addTraffic(totals, connection)
      past.set(id, totals)
    },
    forget: (id) => {
      past.delete(id)
    },
    trim: () => {
      if (past.size <= knownPeers) return
      for (const id of past.keys()) if (!HashMap.has(book.get().peers, id)) past.delete(id)
    }
  }
}
