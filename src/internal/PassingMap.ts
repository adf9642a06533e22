/**
 * A map for entries that come and go, many of them and soon.
 *
 * Each time a JavaScript `Map` has used up its table V8 gives it another, to which the old one points for as long as it
 * lives. Once one of these has grown old, the chain keeps all that came later through every collection of the young, dead
 * as it is: with requests and their answers that was 2.5 KB of each, and 4 to 9 ms for a collection instead of 1. A new
 * `Map` begins no longer than its number of entries later, and a new chain with it.
 *
 * The newest entry stands beside the `Map`: where one comes after the other is gone, as requests asked one at a time, neither
 * is looked up by a hash, and no table is shrunk.
 *
 * @internal
 */

/** A map smaller than this is renewed no more often than one of this size. */
const leastRenewed = 64

export class PassingMap<K, V> {
  private entries = new Map<K, V>()
  private removed = 0
  private hasNewest = false
  private newestKey: K | undefined
  private newestValue: V | undefined

  get size(): number {
    return this.entries.size + (this.hasNewest ? 1 : 0)
  }

  get(key: K): V | undefined {
    return this.isNewest(key) ? this.newestValue : this.entries.get(key)
  }

  set(key: K, value: V): void {
    const { entries } = this
    if (this.isNewest(key)) this.newestValue = value
    // Each keeps its place, as in a `Map`.
    else if (entries.size > 0 && entries.has(key)) entries.set(key, value)
    else {
      if (this.hasNewest) entries.set(this.newestKey as K, this.newestValue as V)
      this.hasNewest = true
      this.newestKey = key
      this.newestValue = value
    }
  }

  /** Takes the entry out, if it is there. */
  delete(key: K): void {
    if (this.isNewest(key)) {
      this.hasNewest = false
      this.newestKey = undefined
      this.newestValue = undefined
      return
    }
    if (!this.entries.delete(key)) return
    this.removed++
    if (this.removed < leastRenewed || this.removed < this.entries.size) return
    this.removed = 0
    this.entries = new Map(this.entries)
  }

  /** The values there are now, oldest key first. */
  values(): Array<V> {
    const values = [...this.entries.values()]
    if (this.hasNewest) values.push(this.newestValue as V)
    return values
  }

  private isNewest(key: K): boolean {
    return this.hasNewest && this.newestKey === key
  }
}
