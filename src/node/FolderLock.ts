/**
 * A folder for one process at a time: a file `lock` that says who has it. Where the holder's process can be looked up
 * (same boot, same process numbers), that decides whether the lock still counts; else it is watched, since its holder
 * touches it all the time. A lock that does not count is replaced, by exactly one of those that want it.
 *
 * @internal
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as NodeId from "../NodeId.js"
import * as ProcessInfo from "./ProcessInfo.js"
import { isReason } from "./systemError.js"

const Holder = Schema.Struct({
  version: Schema.Literal(1),
  pid: Schema.Int.pipe(Schema.between(1, 2 ** 31 - 1)),
  /** Another one for each lock there ever was. */
  token: Schema.String.pipe(Schema.pattern(/^[0-9a-f]{32}$/)),
  place: Schema.String,
  started: Schema.optionalWith(Schema.String, { exact: true })
})
type Holder = typeof Holder.Type

const decodeHolder = Schema.decodeEither(Schema.parseJson(Holder))

/** How often the holder touches the lock. */
const beat = "2 seconds"

/** How long a lock is watched for a beat, and how often it is looked at: 7 seconds, for 3 beats. */
const looks = 35
const lookEvery = "200 millis"

/** How often the lock is tried for while it changes hands, with a wait in between: 5 seconds. */
const attempts = 100
const attemptEvery = "50 millis"

/**
 * What came of wanting a lock: it is one's own; another process has it; or it just changed, and is to be tried again.
 */
type Outcome =
  | { readonly _tag: "Taken" }
  | { readonly _tag: "Held"; readonly pid: number }
  | { readonly _tag: "Changed" }

const taken: Outcome = { _tag: "Taken" }
const changed: Outcome = { _tag: "Changed" }

/**
 * @internal
 */
export interface FolderLock {
  /** Looks whether the lock is still this node's, and touches it. */
  readonly confirm: Effect.Effect<boolean>
}

/** Another process has the folder. */
export class Held {
  readonly _tag = "Held"
  readonly pid: number | undefined
  constructor(pid: number | undefined) {
    this.pid = pid
  }
}

/** Scope: gives the folder free. Interruption is heeded while another's lock is watched. */
export const acquire = (
  folder: string
): Effect.Effect<FolderLock, PlatformError | Held, FileSystem.FileSystem | Path.Path | Scope.Scope> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const lock = paths.join(folder, "lock")
    const { lookUp, self } = yield* ProcessInfo.make
    const me: Holder = { version: 1, token: yield* NodeId.randomHex, ...self }
    const mine = JSON.stringify(me)

    /** What stands in a lock; none where there is none. */
    const read = (path: string): Effect.Effect<Option.Option<string>, PlatformError> =>
      files.readFileString(path).pipe(
        Effect.asSome,
        Effect.catchIf(isReason("NotFound"), () => Effect.succeedNone)
      )

    const isMine = (path: string) => Effect.map(read(path), (content) => Option.contains(content, mine))

    const write = (path: string, flag: "w" | "wx"): Effect.Effect<void, PlatformError> =>
      Effect.flatMap(files.open(path, { flag, mode: 0o600 }), (file) =>
        file.writeAll(new TextEncoder().encode(mine)).pipe(Effect.tapError(() => Effect.ignore(files.remove(path))))
      ).pipe(Effect.scoped)

    /** False: there is a lock already. */
    const create = (path: string): Effect.Effect<boolean, PlatformError> =>
      write(path, "wx").pipe(
        Effect.as(true),
        Effect.catchIf(isReason("AlreadyExists"), () => Effect.succeed(false))
      )

    /** Whether anybody stands behind a lock: undefined where that cannot be known from here. */
    const isAlive = (holder: Holder): Effect.Effect<boolean | undefined> =>
      holder.place === self.place
        ? Effect.map(lookUp(holder.pid), (found) => {
            if (found === undefined) return false
            if (found.started === undefined || holder.started === undefined) return undefined
            return found.started === holder.started
          })
        : Effect.succeed(undefined)

    const touchedAt = (path: string) =>
      Effect.map(files.stat(path), ({ mtime }) => Option.getOrUndefined(mtime)?.getTime())

    /** Whether the lock is touched while it is watched; `Changed` where it says something else then. */
    const watch = (path: string, content: string): Effect.Effect<"Beats" | "Still" | "Changed", PlatformError> =>
      Effect.gen(function* () {
        const before = yield* touchedAt(path)
        for (let look = 0; look < looks; look++) {
          yield* Effect.interruptible(Effect.sleep(lookEvery))
          if (!Option.contains(yield* read(path), content)) return "Changed"
          if ((yield* touchedAt(path)) !== before) return "Beats"
        }
        return "Still"
      }).pipe(Effect.catchIf(isReason("NotFound"), () => Effect.succeed("Changed" as const)))

    const attempt = (path: string): Effect.Effect<Outcome, PlatformError> =>
      Effect.gen(function* () {
        // One that came to write only after it was taken for dead finds another's lock here.
        if (yield* create(path)) return (yield* isMine(path)) ? taken : changed
        const content = yield* read(path)
        if (Option.isNone(content)) return changed
        const holder = decodeHolder(content.value)
        const alive = Either.isRight(holder) ? yield* isAlive(holder.right) : undefined
        if (Either.isRight(holder) && alive === true) return { _tag: "Held", pid: holder.right.pid } as const
        if (alive === undefined) {
          const seen = yield* watch(path, content.value)
          if (seen === "Changed") return changed
          if (seen === "Beats") return Either.isRight(holder) ? { _tag: "Held", pid: holder.right.pid } : changed
        }
        return yield* replace(path, content.value, Either.isRight(holder) ? holder.right.token : "damaged")
      })

    /**
     * Only who holds the lock on replacing a lock of that token may do so, and only while that one is still there: so
     * whoever judged it earlier, but comes later, finds that it is gone.
     */
    const replace = (path: string, stale: string, token: string): Effect.Effect<Outcome, PlatformError> =>
      Effect.gen(function* () {
        const claim = `${path}.${token}`
        if ((yield* attempt(claim))._tag !== "Taken") return changed
        const replaced = Effect.gen(function* () {
          if (!Option.contains(yield* read(path), stale)) return changed
          const fresh = `${path}.${me.token}.new`
          yield* write(fresh, "w")
          yield* files.rename(fresh, path)
          return (yield* isMine(path)) ? taken : changed
        })
        return yield* Effect.ensuring(replaced, Effect.ignore(files.remove(claim)))
      })

    const take = Effect.gen(function* () {
      for (let tried = 0; tried < attempts; tried++) {
        const outcome = yield* attempt(lock)
        if (outcome._tag === "Taken") return
        if (outcome._tag === "Held") return yield* Effect.fail(new Held(outcome.pid))
        yield* Effect.interruptible(Effect.sleep(attemptEvery))
      }
      return yield* Effect.fail(new Held(undefined))
    })

    const release = Effect.ignore(Effect.flatMap(isMine(lock), (is) => (is ? files.remove(lock) : Effect.void)))

    yield* Effect.acquireRelease(
      Effect.onError(take, () => release),
      () => release
    )

    const touch = Effect.gen(function* () {
      const content = yield* read(lock)
      // Somebody removed it, or the whole folder.
      if (Option.isNone(content)) return yield* create(lock)
      if (content.value !== mine) return false
      const now = (yield* Clock.currentTimeMillis) / 1000
      yield* files.utimes(lock, now, now)
      return true
    }).pipe(Effect.uninterruptible)

    // A folder that cannot be read now says nothing of the lock.
    const confirm = Effect.orElseSucceed(touch, () => true)

    yield* confirm.pipe(Effect.schedule(Schedule.spaced(beat)), Effect.interruptible, Effect.forkScoped)
    return { confirm }
  })
