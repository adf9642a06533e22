/**
 * The peers of a node as a table for people.
 *
 * @since 0.1.0
 */
import type { NetworkStatus, Peer, PeerStatus } from "../Peer.js"
import * as TextTable from "./TextTable.js"

/**
 * What the table shows.
 *
 * @since 0.1.0
 * @category models
 */
export interface View {
  readonly status: NetworkStatus
  readonly peers: ReadonlyArray<Peer>
  /** The time of day, milliseconds since 1970. */
  readonly now: number
}

// The live ones on top.
const order: Record<PeerStatus, number> = { connected: 0, suspect: 1, disconnected: 2, dead: 3, left: 4, banned: 5 }

const columns: ReadonlyArray<TextTable.Column> = [
  { title: "PEER" },
  { title: "STATUS" },
  { title: "FOR", align: "right" },
  { title: "DIRECTION" },
  { title: "ADDRESS" },
  { title: "ROUND TRIP", align: "right" },
  { title: "IN", align: "right" },
  { title: "OUT", align: "right" }
]

/**
 * A span of time in its largest unit: `45 s`, `12 min`, `3 h`, `2 d`.
 *
 * @since 0.1.0
 * @category formatting
 */
export const span = (millis: number): string => {
  const seconds = Math.max(0, Math.floor(millis / 1000))
  if (seconds < 60) return `${seconds} s`
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`
  return `${Math.floor(seconds / 86_400)} d`
}

const row = (peer: Peer, now: number): ReadonlyArray<string> => [
  peer.id,
  peer.status,
  span(now - Date.parse(peer.since)),
  peer.direction,
  peer.address.toString(),
  peer.roundTrip === undefined ? "" : `${peer.roundTrip.lastMs.toFixed(1)} ms`,
  String(peer.messages.in),
  String(peer.messages.out)
]

const counted = (count: number, one: string, many: string): string => `${count} ${count === 1 ? one : many}`

const headline = ({ peers, status }: View): string => {
  const parts = [
    `${status.nodeId}${status.address === undefined ? "" : ` at ${status.address}`}`,
    `network ${status.network}`,
    `up ${span(status.uptimeMs)}`,
    `${counted(peers.length, "peer", "peers")}, ${status.peers.connected + status.peers.suspect} connected`
  ]
  if (status.dialing.length > 0) parts.push(`${counted(status.dialing.length, "address", "addresses")} to dial`)
  return parts.join(" · ")
}

/**
 * The table in at most `height` lines of at most `width` characters: a line about the node, then the peers, the live
 * ones first; what does not fit is counted.
 *
 * @since 0.1.0
 * @category formatting
 */
export const render = (view: View, width: number, height: number): ReadonlyArray<string> => {
  const peers = [...view.peers].sort((a, b) => order[a.status] - order[b.status] || (a.id < b.id ? -1 : 1))
  const room = Math.max(1, height - 2)
  const fitting = peers.length > room ? peers.slice(0, room - 1) : peers
  const rows = fitting.map((peer) => row(peer, view.now))
  const lines = [headline(view), ...(rows.length === 0 ? [] : TextTable.render(columns, rows))]
  if (fitting.length < peers.length) lines.push(`… and ${peers.length - fitting.length} more`)
  return lines.map((line) => (line.length > width ? `${line.slice(0, Math.max(0, width - 1))}…` : line))
}
