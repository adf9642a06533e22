/**
 * How many handshakes each address may have this node begin: a bucket of tokens for each, so that many at once pass and
 * one after the other without end do not. All that is kept of an address is when its bucket will be full again.
 *
 * @internal
 */
import { normalizeHost } from "../PeerAddress.js"

/** Addresses remembered at most; the one quiet for longest is forgotten first. */
const maxAddresses = 4096

export class HandshakeRate {
  private readonly millisEach: number
  private readonly burst: number
  /** By address, the one quiet for longest first. */
  private readonly fullAt = new Map<string, number>()

  /** `perSecond`, and `burst`, as many at once: at least 1 each. */
  constructor(perSecond: number, burst: number) {
    this.millisEach = 1_000 / perSecond
    this.burst = burst
  }

  /** One more of a source ({@link sourceOf}); undefined where it may begin, else milliseconds until the next one may. `now`: monotonic milliseconds. */
  take(source: string, now: number): number | undefined {
    const fullAt = Math.max(now, this.fullAt.get(source) ?? 0) + this.millisEach
    const wait = fullAt - now - this.burst * this.millisEach
    // Sums of fractions are not exact.
    if (wait > 1e-6) return wait
    this.fullAt.delete(source)
    this.fullAt.set(source, fullAt)
    this.trim(now)
    return undefined
  }

  /** How many addresses are remembered. */
  get size(): number {
    return this.fullAt.size
  }

  private trim(now: number): void {
    for (const [source, fullAt] of this.fullAt) {
      if (fullAt > now && this.fullAt.size <= maxAddresses) return
      this.fullAt.delete(source)
    }
  }
}

/**
 * Whose address it is: whoever has one of IPv6 has all that share its first 64 bits with it.
 *
 * @internal
 */
export const sourceOf = (host: string): string => {
  const plain = normalizeHost(host)
  if (!plain.includes(":")) return plain
  const [left = "", right] = plain.split("::")
  const before = left === "" ? [] : left.split(":")
  const after = right === undefined || right === "" ? [] : right.split(":")
  const zeros = Array.from({ length: Math.max(0, 8 - before.length - after.length) }, () => "0")
  return [...before, ...(right === undefined ? [] : zeros), ...after].slice(0, 4).join(":")
}
