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

export const endingOf = (error: NetworkError.ConnectionError, terms: Terms): PeerBook.Ending => {
  const shown = { _tag: error._tag, message: error.message }
  switch (error._tag) {
    case "ShuttingDown":
      return error.origin === "remote"
        ? { status: "left", error: shown, avoidFor: leftFor, redial: undefined }
        : { status: "disconnected", error: shown, avoidFor: 0, redial: undefined }
    case "Disconnected":
      return {
        status: "disconnected",
        error: shown,
        avoidFor:
          error.origin === "local"
            ? (error.retryAfterMs ?? Infinity)
            : Math.min(error.retryAfterMs ?? disconnectedFor, Duration.toMillis(Policy.longestRetryAfter)),
        redial: undefined
      }
    case "DuplicateConnection":
      return {
        status: "disconnected",
        error: shown,
        avoidFor: 0,
        redial: { after: Policy.backoffDelay(terms.backoff, 0, terms.random), giveUpAfter }
      }
    case "Banned":
      return error.origin === "local"
        ? { status: "banned", error: shown, avoidFor: error.retryAfterMs ?? disconnectedFor, redial: undefined }
        : deadOf(error, terms)
    default:
      return deadOf(error, terms)
  }
}

/** It is dialed again as the policy of the error says. */
const deadOf = (error: NetworkError.ConnectionError, terms: Terms): PeerBook.Ending => {
  const delay = Policy.retryDelay(terms.backoff, error, 0, terms.random)
  const isAsked = Policy.of(error).retry === "retryAfter"
  return {
    status: "dead",
    error: { _tag: error._tag, message: error.message },
    avoidFor: delay === undefined ? terms.healingInterval : isAsked ? delay : 0,
    redial: delay === undefined ? undefined : { after: delay, giveUpAfter }
  }
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
