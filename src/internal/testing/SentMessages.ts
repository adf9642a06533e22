/**
 * What the node under test has sent, in order, and who has asked for it.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { MessageType } from "../../MessageType.js"
import { ExpectationFailed, fits, show, type Wanted } from "../../testing/Expect.js"
import type { Sent, SentFilter } from "../../testing/P2PNetworkTest.js"
import { table } from "./Text.js"
import { eventually, Listeners, settled } from "./Waiting.js"

/** What `next` has given, for each who asks by itself. */
export type Given = Set<Sent<unknown>>

export class SentMessages {
  private all: Array<Sent<unknown>> = []
  private readonly listeners = new Listeners()

  add(sent: Sent<unknown>): void {
    this.all.push(sent)
    this.listeners.tell()
  }

  /** It was not sent after all. */
  remove(sent: Sent<unknown>): void {
    this.all = this.all.filter((other) => other !== sent)
  }

  /** A message of a type has a payload of that type: the node has encoded it so. */
  of<A, I>(type: MessageType<A, I> | undefined, { to }: SentFilter): ReadonlyArray<Sent<A>> {
    const found = this.all.filter(
      (sent) => (type === undefined || sent.type === type.name) && (to === undefined || sent.to.some((id) => id === to))
    )
    return found as ReadonlyArray<Sent<A>>
  }

  next<A, I>(
    given: Given,
    type: MessageType<A, I>,
    filter: SentFilter,
    within: Duration.DurationInput
  ): Effect.Effect<Sent<A>, ExpectationFailed> {
    const check = Effect.sync(() => {
      const next = this.of(type, filter).find((sent) => !given.has(sent))
      if (next === undefined) return Either.left(this.missing(`another ${type.name} is sent${target(filter)}`))
      given.add(next)
      return Either.right(next)
    })
    return eventually(check, { watch: this.listeners.watch, within })
  }

  expect<A, I>(
    type: MessageType<A, I>,
    wanted: Wanted<A> | undefined,
    filter: SentFilter,
    within: Duration.DurationInput | undefined
  ): Effect.Effect<Sent<A>, ExpectationFailed> {
    const check = Effect.sync(() => {
      const found = this.of(type, filter).find(({ payload }) => wanted === undefined || fits(payload, wanted))
      const what = wanted === undefined ? "" : ` ${show(wanted)}`
      return found === undefined
        ? Either.left(this.missing(`${type.name}${what} is sent${target(filter)}`))
        : Either.right(found)
    })
    return eventually(check, { watch: this.listeners.watch, within })
  }

  expectNone<A, I>(type: MessageType<A, I> | undefined, filter: SentFilter): Effect.Effect<void, ExpectationFailed> {
    const isThere = (): boolean => this.of(type, filter).length > 0
    return Effect.flatMap(settled(isThere), () =>
      isThere() ? Effect.fail(this.missing(`no ${type?.name ?? "message"} is sent${target(filter)}`)) : Effect.void
    )
  }

  private missing(expected: string): ExpectationFailed {
    const rows = this.all.map(({ kind, payload, to, type }) => [kind, type, to.join(", ") || "nobody", show(payload)])
    const actual = rows.length === 0 ? "nothing was sent" : table([["kind", "type", "to", "payload"], ...rows])
    return new ExpectationFailed({ expected, actual })
  }
}

const target = ({ to }: SentFilter): string => (to === undefined ? "" : ` to ${to}`)
