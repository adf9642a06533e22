/**
 * A Ref whose state is also read and changed from callbacks: deciding, storing and giving out what follows is one
 * synchronous step there, which no fiber can come between.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Ref from "effect/Ref"

export interface SyncRef<S> {
  readonly ref: Ref.Ref<S>
  readonly get: () => S
  readonly modify: <A>(f: (state: S) => readonly [A, S]) => A
  readonly update: (f: (state: S) => S) => void
}

export const make = <S>(initial: S): SyncRef<S> => {
  const ref = Ref.unsafeMake(initial)
  return {
    ref,
    get: () => Effect.runSync(Ref.get(ref)),
    modify: (f) => Effect.runSync(Ref.modify(ref, f)),
    update: (f) => Effect.runSync(Ref.update(ref, f))
  }
}
