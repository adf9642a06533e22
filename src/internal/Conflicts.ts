/**
 * Two nodes with one id, which push each other out: docs/PROTOCOL.md, section 3, as far as a third node, or one of the
 * two, can tell.
 *
 * @internal
 */
import type { NodeId } from "../NodeId.js"

const minute = 60_000

/** Changes of session within a minute, or connections running that ended as duplicates, that are a conflict. */
const tooMany = 3

/** How long a node in conflict is not dialed, milliseconds. */
export const conflictPause = 30_000

/** Nodes remembered at most; the one quiet for longest is forgotten first. */
const maxNodes = 4096

interface Record {
  /** When its session changed, of the last minute, oldest first. */
  readonly changes: ReadonlyArray<number>
  /** Connections running to it that ended as duplicates while none stood. */
  readonly endings: number
  readonly until: number
}

const calm: Record = { changes: [], endings: 0, until: 0 }

export class Conflicts {
  private readonly records = new Map<NodeId, Record>()
  private readonly stableAfter: number

  /** A connection that stood for `stableAfter` milliseconds begins a new count. */
  constructor(stableAfter: number) {
    this.stableAfter = stableAfter
  }

  /** The node came as another session, without having said goodbye; whether that is a conflict. */
  changed(id: NodeId, now: number): boolean {
    const before = this.records.get(id) ?? calm
    const changes = [...before.changes.filter((at) => now - at < minute), now]
    return this.set(id, { ...before, changes }, changes.length >= tooMany, now)
  }

  /** The only connection, which stood for so long, ended as a duplicate, and no other came; whether that is a conflict. */
  pushedOut(id: NodeId, stoodMillis: number, now: number): boolean {
    const before = this.records.get(id) ?? calm
    const endings = stoodMillis >= this.stableAfter ? 1 : before.endings + 1
    return this.set(id, { ...before, endings }, endings >= tooMany, now)
  }

  /** A connection ended otherwise: those that end as duplicates are counted anew. */
  endedOtherwise(id: NodeId): void {
    const before = this.records.get(id)
    if (before !== undefined && before.endings > 0) this.records.set(id, { ...before, endings: 0 })
  }

  /** For how long the node is still not to be dialed, milliseconds. */
  pauseOf(id: NodeId, now: number): number {
    return Math.max(0, (this.records.get(id) ?? calm).until - now)
  }

  private set(id: NodeId, record: Record, isConflict: boolean, now: number): boolean {
    this.records.delete(id)
    this.records.set(id, isConflict ? { changes: [], endings: 0, until: now + conflictPause } : record)
    const oldest = this.records.keys().next()
    if (this.records.size > maxNodes && oldest.done !== true) this.records.delete(oldest.value)
    return isConflict
  }
}
