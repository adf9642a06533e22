/** What was sent, taken, handled and reported, and what of it cannot be: the properties of delivery. */
import type { NetworkEvent } from "../../../src/Peer.js"
import type { Truth } from "./Truth.js"
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
  /** What the events of each run say of each peer. */
  private readonly shown = new Map<string, string>()
  /** How often a run saw another run of a peer take the place of the one before. */
  private readonly replaced = new Map<string, number>()
  private readonly truth: Truth

  constructor(truth: Truth) {
    this.truth = truth
  }

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

  event(run: Run, event: NetworkEvent, at: number): void {
    if (event._tag === "MessagesLost") {
      for (const id of event.ids) this.reported.add(`${id}>${event.peer}`)
      this.lost += event.ids.length
      return
    }
    const next = statusAfter(event)
    if (next === undefined) return
    const key = `${run}<${next.peer}`
    const before = this.shown.get(key)
    // Another run of a peer may take the place of the one before, unseen.
    if (event._tag === "PeerConnected" && before !== undefined && alive.includes(before)) {
      const times = (this.replaced.get(key) ?? 0) + 1
      this.replaced.set(key, times)
      if (times > this.truth.restarts(next.peer, at)) this.wrong.push(`${run} shows ${next.peer} as connected twice`)
    } else if (!next.after.includes(before)) {
      this.wrong.push(`${run} shows ${next.peer} as ${next.status} after ${before}`)
    }
    this.shown.set(key, next.status)
  }

  /** What a run's events say of a peer. */
  statusOf(run: Run, peer: string): string | undefined {
    return this.shown.get(`${run}<${peer}`)
  }

  /** Messages of a run that were taken on, and of which nobody knows what became. */
  unaccounted(run: Run, wire: Wire): ReadonlyArray<string> {
    return [...(this.taken.get(run) ?? [])].filter((key) => !wire.written.has(key) && !this.reported.has(key))
  }
}

const gone = [undefined, "dead", "left", "disconnected", "banned"]
const alive = ["connected", "suspect"]

/** What an event says of a peer, and what it may be said after. */
const statusAfter = (
  event: NetworkEvent
):
  | { readonly peer: string; readonly status: string; readonly after: ReadonlyArray<string | undefined> }
  | undefined => {
  switch (event._tag) {
    case "PeerConnected":
      return { peer: event.peer.id, status: "connected", after: gone }
    case "PeerSuspect":
      return { peer: event.peer.id, status: "suspect", after: ["connected"] }
    case "PeerRecovered":
      return { peer: event.peer.id, status: "connected", after: ["suspect"] }
    case "PeerDead":
      return { peer: event.peer.id, status: "dead", after: alive }
    case "PeerLeft":
      return { peer: event.peer.id, status: "left", after: alive }
    case "PeerDisconnected":
      return { peer: event.peer.id, status: event.peer.status, after: alive }
    default:
      return undefined
  }
}
