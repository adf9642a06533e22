/**
 * Which process this is, in words that no other one will ever share, and whether another one still runs.
 *
 * @internal
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { hostname } from "node:os"

/**
 * A running process.
 *
 * @internal
 */
export interface Running {
  /** When it started, since the machine did; undefined where the system does not tell. */
  readonly started: string | undefined
}

/**
 * This process. `place`: where its number means it, which is one boot of one machine, or one container on it.
 *
 * @internal
 */
export interface Self {
  readonly pid: number
  readonly place: string
  readonly started?: string
}

/**
 * State and start of a process as Linux writes them: the name in parentheses may hold anything.
 *
 * @internal
 */
export const parseStat = (stat: string): { readonly isOver: boolean; readonly started: string | undefined } => {
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ")
  const started = fields[19]
  return {
    // A zombie only waits for its parent to take notice.
    isOver: fields[0] === "Z" || fields[0] === "X",
    started: started !== undefined && /^[1-9]\d*$/.test(started) ? started : undefined
  }
}

const isThere = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    // Of another user, then.
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

/**
 * @internal
 */
export const make: Effect.Effect<
  { readonly self: Self; readonly lookUp: (pid: number) => Effect.Effect<Running | undefined> },
  never,
  FileSystem.FileSystem
> = Effect.gen(function* () {
  const files = yield* FileSystem.FileSystem

  const lookUp = (pid: number): Effect.Effect<Running | undefined> =>
    Effect.map(Effect.option(files.readFileString(`/proc/${pid}/stat`)), (stat) => {
      if (Option.isNone(stat)) return isThere(pid) ? { started: undefined } : undefined
      const { isOver, started } = parseStat(stat.value)
      return isOver ? undefined : { started }
    })

  const place = yield* Effect.zipWith(
    files.readFileString("/proc/sys/kernel/random/boot_id"),
    files.readLink("/proc/self/ns/pid"),
    (boot, numbers) => `${boot.trim()} ${numbers}`
  ).pipe(Effect.orElseSucceed(() => hostname()))

  const started = (yield* lookUp(process.pid))?.started
  return { self: { pid: process.pid, place, ...(started === undefined ? {} : { started }) }, lookUp }
})
