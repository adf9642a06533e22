/**
 * Invalid messages by IP address, and the bans that follow: docs/PROTOCOL.md, section 2.
 *
 * @internal
 */
import { OrderedQueue } from "./OrderedQueue.js"

const minute = 60_000

/** Addresses remembered at most; the one quiet for longest is forgotten first. */
const maxAddresses = 4096

export class Offences {
  /** When each was, of the last minute, oldest first. */
  private readonly offences = new Map<string, OrderedQueue<number>>()
  private readonly bans = new Map<string, number>()
  private readonly allowed: number
  private readonly banMillis: number

  /** The `allowed`-th offence within a minute is a ban of `banMillis`; 0 turns bans off. */
  constructor(allowed: number, banMillis: number) {
    this.allowed = allowed
    this.banMillis = banMillis
  }

  /** Counts one; whether the address is banned now. */
  count(host: string, now: number): boolean {
    if (this.banMillis === 0) return false
    const recent = this.offences.get(host) ?? new OrderedQueue<number>()
    for (let oldest = recent.peek(); oldest !== undefined && now - oldest >= minute; oldest = recent.peek()) {
      recent.shift()
    }
    recent.push(now)
    this.offences.delete(host)
    if (recent.length >= this.allowed) {
      this.bans.set(host, now + this.banMillis)
      trim(this.bans)
      return true
    }
    this.offences.set(host, recent)
    trim(this.offences)
    return false
  }

  /** How long the address is still banned, milliseconds; undefined if it is not. */
  bannedFor(host: string, now: number): number | undefined {
    const until = this.bans.get(host)
    if (until === undefined) return undefined
    if (until > now) return until - now
    this.bans.delete(host)
    return undefined
  }
}

const trim = (map: Map<string, unknown>): void => {
  if (map.size <= maxAddresses) return
  const oldest = map.keys().next()
  if (oldest.done !== true) map.delete(oldest.value)
}
