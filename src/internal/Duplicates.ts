/**
 * Which of two connections between the same two nodes stays: docs/PROTOCOL.md, section 3, as a pure decision that both
 * ends make from what each knows.
 *
 * @internal
 */
import type { NodeId } from "../NodeId.js"
import * as NodeIds from "../NodeId.js"
import type { Direction } from "../Peer.js"

/** What the rules look at: a connection whose HELLOs are both exchanged. */
export interface Contender {
  readonly session: string | undefined
  readonly direction: Direction
  /** When this side had seen both HELLOs, monotonic milliseconds. */
  readonly openedAt: number
}

export interface Outcome {
  readonly rule: 1 | 2 | 3
  readonly stays: "existing" | "newcomer"
  /** Whether this side closes the loser; otherwise both stand until the other side does. */
  readonly decides: boolean
}

/**
 * `window` is twice `handshakeTimeout`, milliseconds: within it, two connections in opposite directions count as dialed at
 * once.
 */
export const decide = (options: {
  readonly self: NodeId
  readonly peer: NodeId
  readonly existing: Contender
  readonly newcomer: Contender
  readonly window: number
}): Outcome => {
  const { existing, newcomer, peer, self, window } = options
  const sameSession =
    existing.session === undefined || newcomer.session === undefined || existing.session === newcomer.session
  if (!sameSession) return { rule: 1, stays: "newcomer", decides: true }
  if (existing.direction !== newcomer.direction && newcomer.openedAt - existing.openedAt <= window) {
    const dialedBySmaller: Direction = NodeIds.isSmaller(self, peer) ? "outbound" : "inbound"
    return { rule: 2, stays: newcomer.direction === dialedBySmaller ? "newcomer" : "existing", decides: true }
  }
  return { rule: 3, stays: "newcomer", decides: newcomer.direction === "inbound" }
}
