/**
 * What two nodes tell each other first, and what each makes of it: docs/PROTOCOL.md, section 3. Pure: the pool carries it
 * out.
 *
 * @since 0.1.0
 */
import type { Identity } from "./Connection.js"
import type { Outcome } from "./internal/Duplicates.js"
import type { JsonObject } from "./Message.js"
import { protocolVersion } from "./Message.js"
import type { ConnectionCode } from "./NetworkError.js"
import type { NodeId } from "./NodeId.js"
import type { Hello } from "./Payloads.js"
import type { Direction } from "./Peer.js"
import * as PeerAddress from "./PeerAddress.js"

/**
 * The lowest version of the protocol that this package still speaks.
 *
 * @since 0.1.0
 * @category constants
 */
export const minVersion = 1

/**
 * What this node says of itself.
 *
 * @since 0.1.0
 * @category models
 */
export interface Local {
  readonly id: NodeId
  readonly session: string
  readonly network: string
  readonly listen: ReadonlyArray<PeerAddress.PeerAddress>
  readonly agent: string
  readonly maxMessageBytes: number
  readonly tags: Readonly<Record<string, string>>
}

/**
 * What the state of the node, besides the two HELLOs, has to say to a connection.
 *
 * @since 0.1.0
 * @category models
 */
export interface Situation {
  /** Whether the sender is who the link has proven it to be; true where this node asks for no proof. */
  readonly isSender: boolean
  /** Whether the lists of this node let the sender in. */
  readonly isWelcome: boolean
  /** Whether the sender has proven that it has the network's key; true where there is none. */
  readonly isMember: boolean
  /** How long the other node is still banned. */
  readonly bannedForMs: number | undefined
  /** How it compares with the connection there is to the same node, if any. */
  readonly duplicate: Outcome | undefined
  /** Whether one more connection is within the limits. */
  readonly hasRoom: boolean
  /** What to tell a node for which there is no room. */
  readonly retryAfterMs: number
}

/**
 * Why a connection is refused: the ERROR to send.
 *
 * @since 0.1.0
 * @category models
 */
export interface Refusal {
  readonly code: ConnectionCode
  readonly detail: string
  readonly retryAfterMs?: number
  /** The other end speaks TLS, and this one does not. */
  readonly isTls?: true
  /** Another node has this one's id. */
  readonly isConflict?: boolean
}

const features: ReadonlyArray<string> = ["relay"]

/**
 * The payload of this node's HELLO to the other end of a link, which is seen at `observed`. `proof`: that this node has the
 * network's key.
 *
 * @since 0.1.0
 * @category constructors
 */
export const hello = (local: Local, observed: PeerAddress.PeerAddress, proof?: string): JsonObject => ({
  version: protocolVersion,
  minVersion,
  network: local.network,
  session: local.session,
  listen: local.listen.map(({ host, port }) => ({ host, port })),
  features,
  observed: { host: observed.host, port: observed.port },
  agent: local.agent,
  maxMessageBytes: local.maxMessageBytes,
  ...(Object.keys(local.tags).length === 0 ? {} : { tags: local.tags }),
  ...(proof === undefined ? {} : { proof })
})

/**
 * Whether a HELLO is refused, and why: the checks in the page's order. An acceptor refuses a newcomer that would lose
 * against the connection there is; a dialer takes both and lets the rules decide.
 *
 * @since 0.1.0
 * @category decisions
 */
export const judge = (
  local: Local,
  sender: NodeId,
  theirs: Hello,
  direction: Direction,
  situation: Situation
): Refusal | undefined => {
  if (theirs.version < minVersion || theirs.minVersion > protocolVersion) {
    return {
      code: "VERSION_MISMATCH",
      detail: `this node speaks ${minVersion} to ${protocolVersion}`
    }
  }
  if (theirs.network !== local.network) {
    return { code: "NETWORK_MISMATCH", detail: "this node belongs to another network" }
  }
  if (!situation.isSender) {
    return { code: "UNAUTHORIZED", detail: "sender: not the node whose key the other end has" }
  }
  if (sender === local.id) {
    return {
      code: "SELF_CONNECTION",
      detail: "sender: this node's own id",
      isConflict: theirs.session !== undefined && theirs.session !== local.session
    }
  }
  if (situation.bannedForMs !== undefined) {
    return { code: "BANNED", detail: "too many invalid messages", retryAfterMs: situation.bannedForMs }
  }
  if (!situation.isWelcome) {
    return { code: "UNAUTHORIZED", detail: "this node may not be connected here" }
  }
  if (!situation.isMember) {
    return { code: "UNAUTHORIZED", detail: "proof: missing, or not made with a key of this network" }
  }
  const { duplicate } = situation
  if (duplicate !== undefined) {
    return direction === "inbound" && duplicate.stays === "existing"
      ? { code: "DUPLICATE_CONNECTION", detail: "the other connection stays" }
      : undefined
  }
  if (!situation.hasRoom) {
    return {
      code: "TOO_MANY_CONNECTIONS",
      detail: "this node has all the connections it takes",
      retryAfterMs: situation.retryAfterMs
    }
  }
  return undefined
}

/**
 * Who the other end is, by a HELLO that was accepted. Unspecified hosts are replaced by the host it is seen at.
 *
 * @since 0.1.0
 * @category decisions
 */
export const identity = (sender: NodeId, theirs: Hello, remote: PeerAddress.PeerAddress): Identity => ({
  id: sender,
  session: theirs.session,
  relay: theirs.features.includes("relay"),
  maxMessageBytes: theirs.maxMessageBytes,
  listen: theirs.listen.map(({ host, port }) =>
    PeerAddress.make(PeerAddress.isUnspecified(host) ? remote.host : host, port)
  ),
  agent: theirs.agent,
  tags: theirs.tags
})
