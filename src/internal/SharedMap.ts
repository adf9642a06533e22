/**
 * A map that callbacks change and read as it is at that moment, and fibers read through a Ref, as they read any other state:
 * what they got does not change under them. It is copied where one of them may have it, and not at each change, which
 * would take the longer the more entries there are.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Readable from "effect/Readable"
import * as Ref from "effect/Ref"

export class SharedMap<K, V> extends Effectable.Class<ReadonlyMap<K, V>> implements Ref.Ref<ReadonlyMap<K, V>> {
  readonly [Ref.RefTypeId] = { _A: (map: ReadonlyMap<K, V>): ReadonlyMap<K, V> => map }
  readonly [Readable.TypeId]: Readable.TypeId = Readable.TypeId
  readonly get: Effect.Effect<ReadonlyMap<K, V>> = Effect.sync(() => this.share())
  private map = new Map<K, V>()
  private isShared = false

  override commit(): Effect.Effect<ReadonlyMap<K, V>> {
    return this.get
  }

  modify<A>(f: (map: ReadonlyMap<K, V>) => readonly [A, ReadonlyMap<K, V>]): Effect.Effect<A> {
    return Effect.sync(() => {
      const [result, next] = f(this.share())
      if (next !== this.map) this.map = new Map(next)
      return result
    })
  }

  /** As it is now, to be read at once: it goes on changing. */
  readonly unsafeGet = (): ReadonlyMap<K, V> => this.map

  /** `undefined` takes the entry out. */
  set(key: K, value: V | undefined): void {
    if (this.isShared) this.map = new Map(this.map)
    this.isShared = false
    if (value === undefined) this.map.delete(key)
    else this.map.set(key, value)
  }

  private share(): ReadonlyMap<K, V> {
    this.isShared = true
    return this.map
  }
}
