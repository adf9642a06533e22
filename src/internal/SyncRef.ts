/**
 * A Ref whose state is also read and changed from callbacks: deciding, storing and giving out what follows is one
 * synchronous step there, which no fiber can come between. A Ref of Effect's own would take a fiber for each step, some
 * 3 µs, several times a message.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Effectable from "effect/Effectable"
import * as Readable from "effect/Readable"
import * as Ref from "effect/Ref"

export interface SyncRef<S> {
  readonly ref: Ref.Ref<S>
  readonly get: () => S
  readonly modify: <A>(f: (state: S) => readonly [A, S]) => A
  readonly update: (f: (state: S) => S) => void
}

class State<S> extends Effectable.Class<S> implements Ref.Ref<S> {
  readonly [Ref.RefTypeId] = { _A: (state: S): S => state }
  readonly [Readable.TypeId]: Readable.TypeId = Readable.TypeId
  readonly get: Effect.Effect<S> = Effect.sync(() => this.state)
  state: S

  constructor(initial: S) {
    super()
    this.state = initial
  }

  override commit(): Effect.Effect<S> {
    return this.get
  }

  modify<A>(f: (state: S) => readonly [A, S]): Effect.Effect<A> {
    return Effect.sync(() => this.change(f))
  }

  change<A>(f: (state: S) => readonly [A, S]): A {
    const [result, next] = f(this.state)
    this.state = next
    return result
  }
}

export const make = <S>(initial: S): SyncRef<S> => {
  const ref = new State(initial)
  return {
    ref,
    get: () => ref.state,
    modify: (f) => ref.change(f),
    update: (f) => {
      ref.state = f(ref.state)
    }
  }
}
