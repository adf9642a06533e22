/**
 * The last durations measured on a connection, for its round-trip statistics. Mutable, synchronous; nothing is
 * allocated before the first sample.
 *
 * @since 0.1.0
 */

const firstCapacity = 8

/**
 * A window of the last `window` samples (default 128), in whatever unit they are added in. Where there are none yet,
 * the statistics are `undefined`.
 *
 * @since 0.1.0
 * @category models
 */
export class Samples {
  private readonly window: number
  private ring: Float64Array | undefined
  private length = 0
  private next = 0

  constructor(window = 128) {
    this.window = Math.max(1, window)
  }

  /** Adds a sample; over a full window the oldest goes. */
  add(millis: number): void {
    const ring = this.withRoom()
    ring[this.next] = millis
    this.next = (this.next + 1) % this.window
    this.length = Math.min(this.length + 1, this.window)
  }

  /** Samples in the window. */
  get count(): number {
    return this.length
  }

  /** The newest sample. */
  get last(): number | undefined {
    return this.ring?.[(this.next + this.window - 1) % this.window]
  }

  /** The arithmetic mean of the window. */
  get mean(): number | undefined {
    if (this.ring === undefined) return undefined
    let sum = 0
    for (const sample of this.ring.subarray(0, this.length)) sum += sample
    return sum / this.length
  }

  /**
   * The smallest sample that at least the share `p` (0 to 1) of the window does not exceed (nearest rank): 0.5 gives the
   * median, 0.99 the p99, 1 the maximum. O(n log n): for reports.
   */
  quantile(p: number): number | undefined {
    if (this.ring === undefined) return undefined
    const sorted = this.ring.slice(0, this.length).sort()
    return sorted[Math.min(this.length, Math.max(1, Math.ceil(p * this.length))) - 1]
  }

  /** The samples of the window, in no particular order. */
  get values(): Iterable<number> {
    return this.ring?.subarray(0, this.length) ?? []
  }

  /** The ring grows only until it has the window's length, thus before it wraps: what it holds keeps its place. */
  private withRoom(): Float64Array {
    const ring = this.ring
    if (ring !== undefined && (this.length < ring.length || ring.length === this.window)) return ring
    const grown = new Float64Array(Math.min(this.window, ring === undefined ? firstCapacity : ring.length * 2))
    if (ring !== undefined) grown.set(ring)
    this.ring = grown
    return grown
  }
}
