/**
 * Hands the messages of each link to its handlers: one inbox and at most one loop per link, started when there is
 * something to do. One-way messages come one after the other; requests start in order and run side by side up to a
 * bound. Where a connection took the place of another, the old one's messages come first.
 *
 * @internal
 */
import type * as Cause from "effect/Cause"
import type * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import * as FiberRef from "effect/FiberRef"
import * as FiberRefs from "effect/FiberRefs"
import * as FiberSet from "effect/FiberSet"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import type { Connection } from "../Connection.js"
import type { Envelope } from "../Message.js"
import type { NodeId } from "../NodeId.js"
import { soon } from "./soon.js"

/** What a link has to deliver, and what has to come before it. */
interface Line {
  readonly connection: Connection
  /** A turn is about to come. */
  woken: boolean
  /** One-way messages are being handled. */
  running: boolean
  /** Requests being handled. */
  active: number
  readonly before: Array<{ readonly line: Line; readonly awaitEnd: boolean }>
  readonly after: Set<Line>
}

export interface Delivery {
  /** Puts a message into the link's inbox. */
  readonly push: (connection: Connection, envelope: Envelope, bytes: number) => void
  /** All that one read brought is pushed. */
  readonly arrived: (connection: Connection) => void
  /** From now on the survivor's messages come after the loser's; with `awaitEnd`, after the end of its link. */
  readonly follow: (loser: Connection, survivor: Connection, awaitEnd: boolean) => void
  /** The link is gone. */
  readonly closed: (connection: Connection) => void
  /** Messages and bytes that wait, over all links. */
  readonly waiting: () => { readonly messages: number; readonly bytes: number }
  /** Whether a request that came over a link of that peer is being handled, or a message of it waits. */
  readonly isServing: (peer: NodeId) => boolean
  /** Completes when nothing waits and no handler runs. */
  readonly idle: Effect.Effect<void>
}

/** How fibers begin. */
interface Beginning {
  readonly runtime: Runtime.Runtime<never>
  readonly options: Runtime.RunForkOptions
}

/** A fiber in which messages are handled. */
export type Handling = Fiber.RuntimeFiber<unknown, unknown>

/**
 * `handle` is what becomes of a one-way message, and `failed` of its failure. `handleRequest` must not fail nor throw. What
 * they give is run by the fiber that they are told of. Scope: interrupts the handlers.
 */
export const make = (options: {
  readonly concurrency: number
  /** What the handler of a message needs. */
  readonly contextOf: (envelope: Envelope | undefined) => Context.Context<never>
  readonly handle: (connection: Connection, envelope: Envelope, fiber: Handling) => Effect.Effect<unknown, unknown>
  readonly failed: (connection: Connection, envelope: Envelope, cause: Cause.Cause<unknown>) => Effect.Effect<void>
  readonly handleRequest: (connection: Connection, envelope: Envelope, fiber: Handling) => Effect.Effect<void>
}): Effect.Effect<Delivery, never, Scope.Scope> =>
  Effect.gen(function* () {
    const lines = new Map<Connection, Line>()
    const fibers = yield* FiberSet.make<void>()
    const { fiberRefs, runtimeFlags } = yield* Effect.runtime<never>()
    const whenIdle = new Set<() => void>()
    let isOpen = true
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => {
        isOpen = false
      })
    )

    /** How a fiber begins in a context: with its references made ready, which takes a third of what a fiber costs. */
    const beginnings = new WeakMap<Context.Context<never>, Beginning>()
    const forked = FiberRefs.forkAs(fiberRefs, FiberId.none)
    const beginningIn = (context: Context.Context<never>): Beginning => {
      const known = beginnings.get(context)
      if (known !== undefined) return known
      const refs = FiberRefs.updateAs(forked, {
        fiberId: FiberId.none,
        fiberRef: FiberRef.currentContext,
        value: context
      })
      const made: Beginning = {
        runtime: Runtime.make({ context, fiberRefs: FiberRefs.empty(), runtimeFlags }),
        options: { updateRefs: () => refs }
      }
      beginnings.set(context, made)
      return made
    }

    /**
     * Forks it in the context of the handler of that message: to give a fiber another one later costs as much as the fiber.
     * Nobody need know of one that is done by now.
     */
    const fork = (first: Envelope | undefined, effect: Effect.Effect<void>): Fiber.RuntimeFiber<void> => {
      const beginning = beginningIn(options.contextOf(first))
      const fiber = Runtime.runFork(beginning.runtime, isOpen ? effect : Effect.interrupt, beginning.options)
      if (fiber.unsafePoll() === null) FiberSet.unsafeAdd(fibers, fiber)
      return fiber
    }

    const lineOf = (connection: Connection): Line => {
      const known = lines.get(connection)
      if (known !== undefined) return known
      const line: Line = { connection, woken: false, running: false, active: 0, before: [], after: new Set() }
      lines.set(connection, line)
      return line
    }

    const isDone = ({ awaitEnd, line }: Line["before"][number]): boolean =>
      !line.running &&
      line.connection.inbox.length === 0 &&
      line.before.length === 0 &&
      (!awaitEnd || line.connection.phase === "closed")

    const isReady = (line: Line): boolean => {
      while (line.before[0] !== undefined && isDone(line.before[0])) {
        const [done] = line.before.splice(0, 1)
        done?.line.after.delete(line)
      }
      return line.before.length === 0 && line.connection.inbox.length > 0
    }

    /**
     * One turn for all that one read brings: a fiber for each message would cost several times what handling it does. It
     * comes at the end of that read, or else when all that runs now has let go of the thread.
     */
    const wake = (line: Line): void => {
      if (line.woken || line.running || !isOpen) return
      line.woken = true
      if (!line.connection.isArriving) soon(() => rouse(line))
    }

    const rouse = (line: Line): void => {
      if (!line.woken) return
      line.woken = false
      if (!line.running && isOpen) turn(line)
    }

    const turn = (line: Line): void => {
      if (!isOneWayNext(line)) return settle(line)
      line.running = true
      fork(line.connection.inbox.peek()?.envelope, loop(line)).addObserver(() => {
        line.running = false
        // A message may have come after the loop last looked.
        if (isReady(line)) wake(line)
        settle(line)
      })
    }

    const isRequestNext = (line: Line): boolean => isReady(line) && isRequest(line)

    const isRequest = ({ connection }: Line): boolean => connection.inbox.peek()?.envelope.expectsReply === true

    /** Starts the requests that are next, as far as they may run; whether a one-way message follows then. */
    const isOneWayNext = (line: Line): boolean => {
      while (isReady(line)) {
        if (!isRequest(line)) return true
        if (line.active >= options.concurrency) return false
        const first = line.connection.inbox.shift()
        if (first !== undefined) serve(line, first.envelope)
      }
      return false
    }

    /** Takes the one-way message that is next, once the requests before it have started. */
    const takeOneWay = (line: Line): Envelope | undefined =>
      isOneWayNext(line) ? line.connection.inbox.shift()?.envelope : undefined

    /**
     * One guard around all messages instead of one around each: a failure ends the loop, and the next message begins
     * another.
     */
    const loop = (line: Line): Effect.Effect<void> =>
      Effect.withFiberRuntime((fiber) => {
        const { connection } = line
        let current: Envelope | undefined
        const messages = Effect.whileLoop({
          while: () => (current = takeOneWay(line)) !== undefined,
          body: (): Effect.Effect<unknown, unknown> =>
            current === undefined ? Effect.void : options.handle(connection, current, fiber),
          step: () => {}
        })
        const guarded: Effect.Effect<void> = Effect.catchAllCause(messages, (cause) =>
          current === undefined ? Effect.void : Effect.zipRight(options.failed(connection, current, cause), guarded)
        )
        return guarded
      })

    /**
     * A fiber for a request, and for those after it as long as each is done at once: a fiber of its own, which only what
     * waits for something needs, costs more than all else done for a request.
     */
    const serve = (line: Line, first: Envelope): void => {
      line.active++
      let isAtOnce = true
      const served = fork(
        first,
        serving(line, first, () => isAtOnce)
      )
      isAtOnce = false
      served.addObserver(() => {
        line.active--
        if (isReady(line)) wake(line)
        settle(line)
      })
    }

    const serving = (line: Line, first: Envelope, isAtOnce: () => boolean): Effect.Effect<void> =>
      Effect.withFiberRuntime((fiber) => {
        const { connection } = line
        let next: Envelope | undefined = first
        return Effect.whileLoop({
          while: () => next !== undefined || (isAtOnce() && isRequestNext(line)),
          body: () => {
            const envelope = next ?? connection.inbox.shift()?.envelope
            next = undefined
            return envelope === undefined ? Effect.void : options.handleRequest(connection, envelope, fiber)
          },
          step: () => {}
        })
      })

    /** After a line has come to rest: those that wait for it go on, and what is over is forgotten. */
    const settle = (line: Line): void => {
      for (const next of line.after) {
        if (isReady(next)) wake(next)
        // With nothing of its own to deliver it has come to rest as well.
        else if (!next.running && next.before.length === 0) settle(next)
      }
      const { connection } = line
      if (
        connection.phase === "closed" &&
        !line.running &&
        line.active === 0 &&
        connection.inbox.length === 0 &&
        line.before.length === 0
      ) {
        lines.delete(connection)
      }
      if (whenIdle.size > 0 && isIdle()) for (const tell of whenIdle) tell()
    }

    const isIdle = (): boolean => {
      for (const line of lines.values()) {
        if (line.running || line.active > 0 || line.connection.inbox.length > 0) return false
      }
      return true
    }

    return {
      push: (connection, envelope, bytes) => {
        connection.inbox.push(envelope, bytes)
        wake(lineOf(connection))
      },
      arrived: (connection) => {
        const line = lines.get(connection)
        if (line !== undefined) rouse(line)
      },
      follow: (loser, survivor, awaitEnd) => {
        const line = lineOf(loser)
        const next = lineOf(survivor)
        next.before.push({ line, awaitEnd })
        line.after.add(next)
        // Its link may be gone already.
        settle(line)
      },
      closed: (connection) => {
        const line = lines.get(connection)
        if (line !== undefined) settle(line)
      },
      waiting: () => {
        let messages = 0
        let bytes = 0
        for (const { connection } of lines.values()) {
          messages += connection.inbox.length
          bytes += connection.inbox.queuedBytes
        }
        return { messages, bytes }
      },
      isServing: (peer) => {
        for (const { active, connection } of lines.values()) {
          if (connection.identity?.id === peer && (active > 0 || connection.inbox.length > 0)) return true
        }
        return false
      },
      idle: Effect.async((resume) => {
        if (isIdle()) return resume(Effect.void)
        const tell = (): void => {
          whenIdle.delete(tell)
          resume(Effect.void)
        }
        whenIdle.add(tell)
        return Effect.sync(() => whenIdle.delete(tell))
      })
    }
  })
