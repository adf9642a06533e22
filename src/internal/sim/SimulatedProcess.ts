/**
 * One process of a simulated world, as Effect sees it: its clock, its scheduler and its randomness. It can be stopped and
 * go on (SIGSTOP, SIGCONT): what falls due in between comes late, in order. Once killed, nothing of it ever runs again.
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import type * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberRef from "effect/FiberRef"
import * as Random from "effect/Random"
import * as Runtime from "effect/Runtime"
import type * as Scheduler from "effect/Scheduler"
import * as Supervisor from "effect/Supervisor"
import type { World } from "./World.js"

/** Where the wall clocks stand at the beginning: 2026-01-01T00:00:00Z. */
const epoch = 1_767_225_600_000

/** The wall clock of a host: by how much it is wrong, milliseconds. */
export interface WallClock {
  error: number
}

/** Counts the fibers that are forked under it. */
class LiveFibers extends Supervisor.AbstractSupervisor<void> {
  count = 0
  override readonly value = Effect.void
  override onStart(): void {
    this.count++
  }
  override onEnd(): void {
    this.count--
  }
}

export class SimulatedProcess implements Scheduler.Scheduler {
  isKilled = false
  /** Sleeps under way. */
  sleeping = 0
  readonly clock: Clock.Clock
  /** Its fibers that have not ended. */
  readonly fibers = new LiveFibers()
  private readonly pauses = new Set<object>()
  private held: Array<() => void> = []
  private readonly whenKilled = new Set<() => void>()
  private readonly world: World
  private readonly random: Random.Random

  constructor(world: World, name: string, wall: WallClock = { error: 0 }) {
    this.world = world
    this.random = Random.make(`${world.random.integer(0x7fffffff)} ${name}`)
    const millis = (): number => epoch + Math.floor(world.now) + wall.error
    const nanos = (): bigint => BigInt(Math.round(world.now * 1e6))
    this.clock = {
      [Clock.ClockTypeId]: Clock.ClockTypeId,
      unsafeCurrentTimeMillis: millis,
      currentTimeMillis: Effect.sync(millis),
      unsafeCurrentTimeNanos: nanos,
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) => this.sleep(duration)
    }
  }

  // --- Scheduler ---

  shouldYield(fiber: Fiber.RuntimeFiber<unknown, unknown>): number | false {
    return fiber.currentOpCount > fiber.getFiberRef(FiberRef.currentMaxOpsBeforeYield)
      ? fiber.getFiberRef(FiberRef.currentSchedulingPriority)
      : false
  }

  scheduleTask(task: () => void): void {
    this.deliver(task)
  }

  /** Does something of this process: in this instant, later where it is stopped, never where it is killed. */
  deliver(task: () => void): void {
    this.world.soon(() => this.take(task))
  }

  private take(task: () => void): void {
    if (this.isKilled) return
    // What is held comes first, also where it may go on already.
    if (this.pauses.size > 0 || this.held.length > 0) this.held.push(task)
    else task()
  }

  private sleep(duration: Duration.Duration): Effect.Effect<void> {
    return Effect.async((resume) => {
      const millis = Duration.toMillis(duration)
      // As Effect's own clock: what is too long never ends.
      if (!Number.isFinite(millis)) return
      let isOver = false
      const end = (): void => {
        if (!isOver) this.sleeping--
        isOver = true
      }
      this.sleeping++
      const cancel = this.world.after(millis, () =>
        this.deliver(() => {
          end()
          resume(Effect.void)
        })
      )
      return Effect.sync(() => {
        end()
        cancel()
      })
    })
  }

  // --- Faults ---

  /** Stops it; it goes on when the function returned has been called for every stop. */
  pause(): () => void {
    const pause = {}
    this.pauses.add(pause)
    return () => {
      if (this.pauses.delete(pause) && this.pauses.size === 0) this.world.soon(() => this.goOn())
    }
  }

  /** Lets it go on, however often it was stopped. */
  release(): void {
    this.pauses.clear()
    this.world.soon(() => this.goOn())
  }

  private goOn(): void {
    const { held } = this
    let done = 0
    // A task may stop the process again, or kill it.
    while (done < held.length && this.pauses.size === 0 && !this.isKilled) held[done++]?.()
    this.held = this.isKilled ? [] : held.slice(done)
  }

  kill(): void {
    if (this.isKilled) return
    this.isKilled = true
    this.held = []
    for (const tell of this.whenKilled) tell()
    this.whenKilled.clear()
  }

  // --- Running ---

  /** Begins an effect in this process. */
  fork<A, E, R>(runtime: Runtime.Runtime<R>, effect: Effect.Effect<A, E, R>): Fiber.RuntimeFiber<A, E> {
    // Whoever asks for it may be beyond interruption; the process is not.
    const bound = effect.pipe(
      Effect.interruptible,
      Effect.withClock(this.clock),
      Effect.withRandom(this.random),
      Effect.supervised(this.fibers)
    )
    return Runtime.runFork(runtime)(bound, { scheduler: this, immediate: false })
  }

  /**
   * Runs an effect in this process, for a caller in another one; where this one is killed meanwhile, the caller gets
   * `killed`.
   */
  run<A, E, R, B, E2>(
    effect: Effect.Effect<A, E, R>,
    caller: SimulatedProcess,
    killed: Effect.Effect<B, E2>
  ): Effect.Effect<A | B, E | E2, R> {
    return Effect.flatMap(Effect.runtime<R>(), (runtime) =>
      Effect.async<A | B, E | E2>((resume) => {
        if (this.isKilled) return resume(killed)
        const fiber = this.fork(runtime, effect)
        const over = (): void => caller.deliver(() => resume(killed))
        this.whenKilled.add(over)
        fiber.addObserver((exit: Exit.Exit<A, E>) => {
          this.whenKilled.delete(over)
          caller.deliver(() => resume(exit))
        })
        return Effect.sync(() => {
          this.whenKilled.delete(over)
          if (!this.isKilled) fiber.unsafeInterruptAsFork(fiber.id())
        })
      })
    )
  }
}
