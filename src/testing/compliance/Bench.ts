/** Where a case tries a transport: what it listens and dials with, how it waits, and how it says what went wrong. */
import * as Cause from "effect/Cause"
import * as Data from "effect/Data"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { DialError, ListenFailed } from "../../NetworkError.js"
import type { PeerAddress } from "../../PeerAddress.js"
import { type Link, type Listener, Transport } from "../../Transport.js"
import { ComplianceFailure } from "./ComplianceFailure.js"
import { show } from "./Sample.js"
import { WatchedLink } from "./WatchedLink.js"

/** What all cases go by. */
export interface Settings {
  readonly address: PeerAddress
  readonly silentAddress: PeerAddress | undefined
  readonly pause: Duration.Duration
  readonly limit: Duration.Duration
}

/** A case before it knows its settings. */
export interface Definition {
  readonly level: "link" | "nodes"
  readonly group: string
  readonly name: string
  readonly body: (bench: Bench) => Effect.Effect<void, unknown, Scope.Scope>
}

/** A promise that is broken, before it is known by which case. */
export class Broken extends Data.TaggedError("Broken")<{ readonly promised: string; readonly seen: string }> {}

/** Two ends of a link, and whoever accepted one of them. */
export interface Pair {
  readonly near: WatchedLink
  readonly far: WatchedLink
  readonly listener: Listener
}

/** What a case works with. */
export interface Bench extends Settings {
  /** The name of the case. */
  readonly name: string
  readonly transport: Transport["Type"]
  /** Listens at the address of the settings. */
  readonly listen: (onLink?: (link: WatchedLink) => void) => Effect.Effect<Listener, ListenFailed, Scope.Scope>
  readonly dial: (address: PeerAddress) => Effect.Effect<WatchedLink, DialError>
  readonly pair: Effect.Effect<Pair, Broken | ListenFailed | DialError, Scope.Scope>
  /** Writes and waits for `done`: what it was called with. */
  readonly write: (link: Link, ...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<unknown, Broken>
  /** The same where the link is open: fails if `done` has a cause. */
  readonly deliver: (link: Link, ...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void, Broken>
  /** Waits until it is so. What is promised and what is seen meanwhile are told when the time is over. */
  readonly until: (promised: string, holds: () => boolean, seen: () => unknown) => Effect.Effect<void, Broken>
  /** The same for what takes an effect to look at: what was seen when it was so. */
  readonly eventually: <A>(
    promised: string,
    look: Effect.Effect<A>,
    holds: (seen: A) => boolean
  ) => Effect.Effect<A, Broken>
  /** Waits until a number does not change any more, and gives it. */
  readonly settled: (number: () => number) => Effect.Effect<number>
  /** Lets go by what may still be under way. */
  readonly rest: Effect.Effect<void>
  /** Names what is being waited for while the effect runs. */
  readonly doing: <A, E, R>(promised: string, effect: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  readonly check: (promised: string, holds: boolean, seen: unknown) => Effect.Effect<void, Broken>
  /** The same for two values that are to be one. */
  readonly same: (promised: string, seen: unknown, wanted: unknown) => Effect.Effect<void, Broken>
}

interface Waiting {
  readonly promised: string
  readonly seen: () => unknown
}

/** So many looks are taken before a millisecond is waited: what goes by callbacks alone is over by then. */
const looksInARow = 8

const restSteps = 10

const make = (name: string, transport: Transport["Type"], settings: Settings) => {
  const links: Array<WatchedLink> = []
  const waiting = new Set<Waiting>()
  const broken: Array<Broken> = []

  const watch = (link: Link, side: string): WatchedLink => {
    const watched = new WatchedLink(link, `${side} ${links.length + 1}`, (promised, seen) =>
      broken.push(new Broken({ promised, seen }))
    )
    links.push(watched)
    return watched
  }

  const check: Bench["check"] = (promised, holds, seen) =>
    Effect.suspend(() => (holds ? Effect.void : Effect.fail(new Broken({ promised, seen: show(seen) }))))

  const whileWaiting = <A, E, R>(entry: Waiting, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
    Effect.suspend(() => {
      waiting.add(entry)
      // Only success takes the entry back: when the time is over it must still be known.
      return Effect.tap(effect, () => Effect.sync(() => waiting.delete(entry)))
    })

  const keepsRules: Effect.Effect<void, Broken> = Effect.suspend(() => broken[0] ?? Effect.void)

  const eventually: Bench["eventually"] = <A>(promised: string, look: Effect.Effect<A>, holds: (seen: A) => boolean) =>
    Effect.suspend(() => {
      let last: unknown = "nothing yet"
      const poll = Effect.gen(function* () {
        for (let looks = 1; ; looks++) {
          const seen = yield* look
          if (holds(seen)) return seen
          last = seen
          yield* keepsRules
          yield* looks % looksInARow === 0 ? Effect.sleep("1 millis") : Effect.yieldNow()
        }
      })
      return whileWaiting({ promised, seen: () => last }, poll)
    })

  const until: Bench["until"] = (promised, holds, seen) =>
    Effect.suspend(() => {
      const poll = Effect.gen(function* () {
        for (let looks = 1; !holds(); looks++) {
          yield* keepsRules
          yield* looks % looksInARow === 0 ? Effect.sleep("1 millis") : Effect.yieldNow()
        }
      })
      return whileWaiting({ promised, seen }, poll)
    })

  // In steps, so that an event loop that is held up gets its rounds all the same.
  const step = Duration.times(settings.pause, 1 / restSteps)
  const rest = Effect.repeatN(Effect.sleep(step), restSteps - 1)

  const settled = (number: () => number): Effect.Effect<number> =>
    Effect.gen(function* () {
      let last = number()
      for (let same = 0; same < restSteps;) {
        yield* Effect.sleep(step)
        const now = number()
        same = now === last ? same + 1 : 0
        last = now
      }
      return last
    })

  const listen: Bench["listen"] = (onLink = () => {}) =>
    transport.listen(settings.address, (link) => onLink(watch(link, "accepted link")))

  const dial: Bench["dial"] = (address) =>
    whileWaiting(
      { promised: "a dial succeeds or fails", seen: () => `the dial to ${address} did neither` },
      Effect.map(transport.dial(address), (link) => watch(link, "dialed link"))
    )

  const pair: Bench["pair"] = Effect.gen(function* () {
    const accepted: Array<WatchedLink> = []
    const listener = yield* listen((link) => accepted.push(link))
    const near = yield* dial(listener.address)
    yield* until(
      "a dialed link has its other end at the listener",
      () => accepted.length > 0,
      () => "onLink was not called"
    )
    const [far] = accepted
    return far === undefined ? yield* Effect.dieMessage("no link") : { near, far, listener }
  })

  const write: Bench["write"] = (link, ...chunks) =>
    Effect.suspend(() => {
      let told: Option.Option<unknown> = Option.none()
      link.write(chunks, (cause) => {
        told = Option.some(cause)
      })
      return until(
        "done is called for every write",
        () => Option.isSome(told),
        () => "it was not"
      ).pipe(Effect.map(() => Option.getOrUndefined(told)))
    })

  const deliver: Bench["deliver"] = (link, ...chunks) =>
    Effect.flatMap(write(link, ...chunks), (cause) =>
      check("a write on an open link is done without a cause", cause === undefined, cause)
    )

  const bench: Bench = {
    ...settings,
    name,
    transport,
    listen,
    dial,
    pair,
    write,
    deliver,
    until,
    eventually,
    settled,
    rest,
    doing: (promised, effect) => whileWaiting({ promised, seen: () => "it did not happen" }, effect),
    check,
    same: (promised, seen, wanted) => {
      const [is, was] = [show(seen), show(wanted)]
      return check(promised, is === was, `${is} where ${was} was to be`)
    }
  }

  const destroyAll = Effect.sync(() => {
    for (const link of links) link.destroy()
  })

  const open = () => links.filter(({ heard }) => heard?.isClosed === false).length
  const owed = () => links.reduce((sum, link) => sum + link.waiting, 0)

  /** What holds at the end of every case: all is over, once. */
  const over = Effect.gen(function* () {
    yield* destroyAll
    yield* until(
      "onClose is called on every link that is destroyed",
      () => open() === 0,
      () => `${open()} of ${links.length} links did not close`
    )
    yield* until(
      "done is called for every write, also where the link is gone",
      () => owed() === 0,
      () => `${owed()} writes were not told of`
    )
    yield* rest
    yield* keepsRules
  })

  return { bench, over, destroyAll, waiting, broken }
}

/** A definition as a program that keeps to its time and fails with one kind of error. */
export const run = (definition: Definition, settings: Settings): Effect.Effect<void, ComplianceFailure, Transport> =>
  Effect.flatMap(Transport, (transport) => {
    const { group, name } = definition
    const { bench, broken, destroyAll, over, waiting } = make(`${group}: ${name}`, transport, settings)

    /** Where a rule was broken, that tells more than what came of it. */
    const fail = (promised: string, seen: string, cause?: unknown): ComplianceFailure => {
      const rule = broken[0] ?? { promised, seen }
      return new ComplianceFailure({ group, case: name, promised: rule.promised, seen: rule.seen, cause })
    }

    const late = (): ComplianceFailure => {
      const [first] = waiting
      return fail(
        first?.promised ?? "the case ends",
        `${first === undefined ? "it did not" : show(first.seen())}, after ${Duration.format(settings.limit)}`
      )
    }

    return definition.body(bench).pipe(
      Effect.zipRight(over),
      Effect.ensuring(destroyAll),
      Effect.scoped,
      // A transport whose effects cannot be interrupted must not hold up the verdict.
      Effect.disconnect,
      Effect.timeoutFail({ duration: settings.limit, onTimeout: late }),
      Effect.catchAllCause((cause) => {
        if (Cause.isInterruptedOnly(cause)) return Effect.failCause(cause as Cause.Cause<never>)
        const error = Cause.squash(cause)
        return Effect.fail(
          error instanceof ComplianceFailure
            ? error
            : error instanceof Broken
              ? fail(error.promised, error.seen)
              : fail("nothing else fails on the way", show(error), error)
        )
      })
    )
  })
