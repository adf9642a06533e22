/**
 * A hash of all that happened, in order: two runs with the same hash took the same course. Two lanes of FNV-1a
 * (Fowler, Noll, Vo), so that 64 bits decide.
 *
 * @internal
 */
export class Trace {
  /** Things noted so far. */
  length = 0
  private kept: Array<string> = []
  private low = 0x811c9dc5
  private high = 0xcbf29ce4
  private readonly keep: number

  constructor(keep: number) {
    this.keep = keep
  }

  note(at: number, what: string): void {
    this.length++
    // Microseconds: finer differences are rounding.
    this.mix(Math.round(at * 1000))
    for (let index = 0; index < what.length; index++) this.mix(what.charCodeAt(index))
    if (this.keep === 0) return
    this.kept.push(`${at.toFixed(3)} ${what}`)
    if (this.kept.length > 2 * this.keep) this.kept = this.lines
  }

  /** Bytes that belong to what was noted last. */
  noteBytes(bytes: Uint8Array): void {
    let { low } = this
    for (let index = 0; index < bytes.length; index++) low = Math.imul(low ^ (bytes[index] ?? 0), 0x01000193)
    this.low = low
    this.mix(bytes.length)
  }

  /** The last things noted, in words, the oldest first; for finding out where two runs part. */
  get lines(): Array<string> {
    return this.keep === 0 ? [] : this.kept.slice(-this.keep)
  }

  get hash(): string {
    return (this.high >>> 0).toString(16).padStart(8, "0") + (this.low >>> 0).toString(16).padStart(8, "0")
  }

  private mix(value: number): void {
    this.low = Math.imul(this.low ^ value, 0x01000193)
    this.high = Math.imul(this.high ^ (value / 0x1_0000_0000) ^ this.low, 0x01000193)
  }
}
