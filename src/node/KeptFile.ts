/**
 * A small JSON file that is always whole: it is written beside its place, brought to the disk and moved there. One that is
 * damaged is set aside, and never stops anybody.
 *
 * @internal
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import { isReason } from "./systemError.js"

export interface KeptFile<in out A> {
  /** What was written last; none where there is no file, or one that is damaged, which is then set aside. */
  readonly read: Effect.Effect<Option.Option<A>>
  readonly write: (value: A) => Effect.Effect<void, PlatformError>
}

/** The largest file that is read, bytes: far more than any that is written. */
const maxBytes = 32 * 1024 * 1024

/** For this user only: who else may know with whom the node speaks? */
const mode = 0o600

const writeThrough = (file: FileSystem.File, content: Uint8Array): Effect.Effect<void, PlatformError> =>
  Effect.zipRight(file.writeAll(content), file.sync)

/** `schema`: what is read must fit it. What is written is JSON as it is: checking thousands of nodes takes too long. */
export const make = <A extends I, I>(
  folder: string,
  name: string,
  schema: Schema.Schema<A, I>
): Effect.Effect<KeptFile<A>, never, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const paths = yield* Path.Path
    const path = paths.join(folder, name)
    const temporary = `${path}.tmp`
    const oneAtATime = yield* Effect.makeSemaphore(1)
    const decode = Schema.decode(Schema.parseJson(schema))

    const text = Effect.gen(function* () {
      const { size, type } = yield* files.stat(path)
      // A pipe would be waited for, and a device has no end.
      if (type !== "File") return yield* Effect.fail(`it is a ${type}`)
      if (size > maxBytes) return yield* Effect.fail(`it has ${size} bytes`)
      return yield* files.readFileString(path)
    })

    const setAside = (reason: string): Effect.Effect<void> =>
      Effect.gen(function* () {
        const at = new Date(yield* Clock.currentTimeMillis).toISOString().replaceAll(":", "-")
        const aside = `${path}.damaged-${at}`
        const moved = yield* Effect.option(files.rename(path, aside))
        yield* Effect.logWarning(
          `${path} is damaged and not used (${reason}); ${Option.isSome(moved) ? `it is kept as ${aside}` : "it will be written anew"}`
        )
      })

    const read: KeptFile<A>["read"] = text.pipe(
      Effect.flatMap((content) =>
        Effect.mapError(decode(content), () => "it does not have the form it was written in")
      ),
      Effect.asSome,
      Effect.catchAll((problem) => {
        if (typeof problem === "string") return Effect.as(setAside(problem), Option.none())
        return isReason("NotFound")(problem) ? Effect.succeedNone : Effect.as(setAside(problem.message), Option.none())
      })
    )

    const replace = (content: Uint8Array): Effect.Effect<void, PlatformError> =>
      Effect.scoped(
        Effect.flatMap(files.open(temporary, { flag: "w", mode }), (file) => writeThrough(file, content))
      ).pipe(
        Effect.zipRight(files.rename(temporary, path)),
        Effect.tapError(() => Effect.ignore(files.remove(temporary, { force: true })))
      )

    // Only then does the new name outlive a loss of power. Not every system can open a folder.
    const syncFolder = Effect.ignore(
      Effect.scoped(Effect.flatMap(files.open(folder, { flag: "r" }), (opened) => opened.sync))
    )

    const write: KeptFile<A>["write"] = (value) =>
      Effect.suspend(() => replace(new TextEncoder().encode(`${JSON.stringify(value)}\n`))).pipe(
        Effect.zipRight(syncFolder),
        Effect.uninterruptible,
        oneAtATime.withPermits(1)
      )

    return { read, write }
  })
