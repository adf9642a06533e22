/** What was sent, taken, handled and reported, and what of it cannot be: the properties of delivery. */
import type { NetworkEvent } from "../../../src/Peer.js"
import type { Wire } from "./Wire.js"

/** One run of a node: its host, and how often that was started. */
export type Run = string

export class Ledger {
  /** What is wrong, in words. */
  readonly wrong: Array<string> = []
  /** Handled messages in all. */
  handled = 0
  lost = 0
  /** Calls that have not ended, by the run that made them. */
  readonly open = new Map<string, number>()
  private readonly once = new Set<string>()
  private readonly last = new Map<string, number>()
  /** Messages that a run took on for a peer: `id>peer`. */
  private readonly taken = new Map<Run, Set<string>>()
  private readonly reported = new Set<string>()
  private readonly leftOf = new Set<string>()

  /** A message was handled. `order`: its number among those of that sender for this receiver. */
  deliver(at: Run, id: string, from: Run, order: number | undefined): void {
    this.handled++
    const key = `${at} ${id}`
    if (this.once.has(key)) this.wrong.push(`${at} handled ${id} of ${from} twice`)
    this.once.add(key)
    if (order === undefined) return
    const stream = `${at}<${from}`
    const before = this.last.get(stream) ?? -1
    if (order <= before) this.wrong.push(`${at} handled number ${order} of ${from} after number ${before}`)
    this.last.set(stream, order)
  }

  hasHandled(at: Run, id: string): boolean {
    return this.once.has(`${at} ${id}`)
  }

  took(run: Run, id: string, peer: string): void {
    const ids = this.taken.get(run) ?? new Set()
    this.taken.set(run, ids)
    ids.add(`${id}>${peer}`)
  }

  event(run: Run, host: string, event: NetworkEvent): void {
    switch (event._tag) {
      case "MessagesLost":
        for (const id of event.ids) this.reported.add(`${id}>${event.peer}`)
        this.lost += event.ids.length
        return
      case "PeerLeft":
        this.leftOf.add(`${run}<${event.peer.id}`)
        return
      case "PeerConnected":
        this.leftOf.delete(`${run}<${event.peer.id}`)
        return
      case "PeerDead":
        if (this.leftOf.has(`${run}<${event.peer.id}`)) {
          this.wrong.push(`${host} shows ${event.peer.id} as dead, which had left`)
        }
        return
      default:
        return
    }
  }

  /** Messages of a run that were taken on, and of which nobody knows what became. */
  unaccounted(run: Run, wire: Wire): ReadonlyArray<string> {
    return [...(this.taken.get(run) ?? [])].filter((key) => !wire.written.has(key) && !this.reported.has(key))
  }
}
