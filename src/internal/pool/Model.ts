/**
 * What the pool tells and is told: its events, who takes its messages, and the ways to dial.
 *
 * @internal
 */
import type { Connection } from "../../Connection.js"
import type { Envelope } from "../../Message.js"
import type * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import type * as Payloads from "../../Payloads.js"
import type { Direction, Peer } from "../../Peer.js"
import type * as PeerAddress from "../../PeerAddress.js"

/**
 * What happened to the pool's connections, in order. Peers are given as they were at that moment.
 *
 * @since 0.1.0
 * @category models
 */
export type PoolEvent =
  | { readonly _tag: "Opened"; readonly connection: Connection; readonly peer: Peer }
  /** The last connection of a peer ended. */
  | {
      readonly _tag: "Ended"
      readonly peer: Peer
      readonly error: NetworkError.ConnectionError
      readonly unsent: ReadonlyArray<string>
    }
  /** A peer came back as a new session while the connection of the old one still stood. */
  | { readonly _tag: "Restarted"; readonly peer: Peer; readonly unsent: ReadonlyArray<string> }
  | { readonly _tag: "Lost"; readonly peer: NodeId; readonly unsent: ReadonlyArray<string> }
  | { readonly _tag: "Suspect"; readonly peer: Peer }
  | { readonly _tag: "Recovered"; readonly peer: Peer }
  | {
      readonly _tag: "HandshakeFailed"
      readonly address: PeerAddress.PeerAddress
      readonly direction: Direction
      readonly error: NetworkError.ConnectionError
    }
  | {
      readonly _tag: "DialFailed"
      readonly address: PeerAddress.PeerAddress
      readonly error: NetworkError.ConnectError
      readonly attempts: number
      readonly retryIn: number | undefined
    }
  /** Two nodes call themselves `id`; one of them was met at `address`. */
  | { readonly _tag: "Conflict"; readonly id: NodeId; readonly address: PeerAddress.PeerAddress }

/**
 * Who takes the messages that belong to no connection but to the application or to other nodes.
 *
 * @since 0.1.0
 * @category models
 */
export interface Receiver {
  readonly message: (
    connection: Connection,
    envelope: Envelope,
    bytes: number,
    kind: "Direct" | "Broadcast" | "Targeted" | "RoutedError"
  ) => void
  /** All that one read brought over the connection is told. */
  readonly arrived?: (connection: Connection) => void
  /** A non-fatal ERROR of the other end about a message of ours. */
  readonly error: (connection: Connection, envelope: Envelope, error: Payloads.ErrorPayload) => void
  /** The connection is not read to its end yet, but another has taken its place: that one's messages come after. */
  readonly superseded: (loser: Connection, survivor: Connection, awaitEnd: boolean) => void
  /** The link is gone: nothing more comes of it. */
  readonly closed: (connection: Connection) => void
  /** Whether an answer of the peer is waited for, or one to it is being worked on. */
  readonly isBusy: (id: NodeId) => boolean
}

/**
 * `expect`: only that node will do. `hint`: the node said to be there; the hint is dropped if it is not. `isOnce`: the
 * caller decides about further attempts.
 *
 * @since 0.1.0
 * @category models
 */
export interface DialOptions {
  readonly expect?: NodeId
  readonly hint?: NodeId
  readonly isOnce?: boolean
}

/**
 * How many connections there are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Counts {
  readonly inbound: number
  readonly outbound: number
  readonly handshaking: number
  readonly closing: number
}
