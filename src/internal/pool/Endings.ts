/**
 * What the end of a peer's last connection means for dialing it again: docs/PROTOCOL.md, section 7, as pure decisions.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import type * as NetworkError from "../../NetworkError.js"
import type * as PeerBook from "../../PeerBook.js"
import * as Policy from "../../Policy.js"

export interface Terms {
  readonly backoff: Policy.Backoff
  /** Attempts in vain before the connection. */
  readonly failures: number
  /** How long the peer was connected, and from when on that counts as having lasted; milliseconds. */
  readonly stood: number
  readonly lastsAfter: number
  /** Milliseconds. */
  readonly healingInterval: number
  /** From 0 up to 1. */
  readonly random: number
}

/** How long hints about a node that left are not believed (docs/PROTOCOL.md, section 7). */
const leftFor = 30_000

/** How long a node that closed on purpose is left alone, where it does not say. */
export const disconnectedFor = 60_000

const giveUpAfter = Duration.toMillis(Policy.giveUpAfter)

/**
 * From when on a connection has lasted, milliseconds: only then is back-off forgotten, or one that shakes hands and is
 * gone again would be dialed without rest. One that stood for `heartbeatTimeout` was a live node; one that stood for
 * `retryMax` makes for no more dials than back-off does.
 */
export const lastsAfter = ({ retryMax }: Policy.Backoff, heartbeatTimeout: number): number =>
  Math.min(heartbeatTimeout, retryMax)

/** A connection that did not last is an attempt in vain like a dial that failed. */
const judge = ({ backoff, failures, lastsAfter, random, stood }: Terms) => {
  const attempt = stood >= lastsAfter ? 0 : failures
  return {
    attempt,
    wait: Policy.backoffDelay(backoff, attempt, random),
    failures: stood >= lastsAfter ? 0 : failures + 1
  }
}

export const endingOf = (error: NetworkError.ConnectionError, terms: Terms): PeerBook.Ending => {
  const judged = judge(terms)
  const { failures, wait } = judged
  const told = { error: { _tag: error._tag, message: error.message }, failures, redial: undefined }
  switch (error._tag) {
    case "ShuttingDown":
      return error.origin === "remote"
        ? { ...told, status: "left", avoidFor: leftFor }
        : { ...told, status: "disconnected", failures: 0, avoidFor: 0 }
    case "Disconnected":
      return error.origin === "remote"
        ? { ...told, status: "disconnected", avoidFor: askedFor(error, wait) }
        : { ...told, status: "disconnected", failures: 0, avoidFor: error.retryAfterMs ?? Infinity }
    case "DuplicateConnection":
      return { ...told, status: "disconnected", avoidFor: 0, redial: { after: wait, giveUpAfter } }
    case "Banned":
      if (error.origin === "local") {
        return { ...told, status: "banned", avoidFor: error.retryAfterMs ?? disconnectedFor }
      }
  }
  return { ...told, status: "dead", ...redialOf(error, terms, judged) }
}

/** It may ask for more time than back-off gives, within reason, but not for less. */
const askedFor = ({ retryAfterMs = disconnectedFor }: NetworkError.Disconnected, wait: number): number =>
  Math.max(wait, Math.min(retryAfterMs, Duration.toMillis(Policy.longestRetryAfter)))

/** It is dialed again as the policy of the error says. */
const redialOf = (
  error: NetworkError.ConnectionError,
  { backoff, healingInterval, random }: Terms,
  { attempt, wait }: ReturnType<typeof judge>
): Pick<PeerBook.Ending, "avoidFor" | "redial"> => {
  const asked = Policy.retryDelay(backoff, error, attempt, random)
  if (asked === undefined) return { avoidFor: healingInterval, redial: undefined }
  const after = Math.max(asked, wait)
  return { avoidFor: Policy.of(error).retry === "retryAfter" ? after : 0, redial: { after, giveUpAfter } }
}

/** The same, but the peer is not dialed for so long at least. */
export const delayed = (ending: PeerBook.Ending, millis: number): PeerBook.Ending =>
  millis === 0
    ? ending
    : {
        ...ending,
        avoidFor: Math.max(ending.avoidFor, millis),
        redial: ending.redial && { ...ending.redial, after: Math.max(ending.redial.after, millis) }
      }
