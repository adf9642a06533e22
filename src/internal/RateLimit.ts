/**
 * How many messages a second one peer may send: a bucket of tokens that holds one second's worth, so that a burst passes
 * and a flood does not. Answers to what was sent to it are not its own doing, and free.
 *
 * @internal
 */

/** What is refused is answered at most this often, milliseconds. */
const answerEvery = 1_000

/** More than another second's worth refused within this time is a flood, milliseconds. */
const floodWindow = 10_000

/** `refused`: dropped without a word; `answered`: dropped, and the peer is told; `flood`: it does not stop. */
export type Verdict = "taken" | "refused" | "answered" | "flood"

export class RateLimit {
  private readonly perSecond: number
  private tokens: number
  private filledAt: number
  private answeredAt = -Infinity
  private windowAt = -Infinity
  private refused = 0
  private answers = 0

  /** `perSecond`: at least 1. `now`: monotonic milliseconds. */
  constructor(perSecond: number, now: number) {
    this.perSecond = perSecond
    this.tokens = perSecond
    this.filledAt = now
  }

  /** One answer more; whether as many messages were sent to the peer. */
  isOwed(sent: number): boolean {
    this.answers++
    return this.answers <= sent
  }

  /** One message more. */
  take(now: number): Verdict {
    this.tokens = Math.min(this.perSecond, this.tokens + ((now - this.filledAt) * this.perSecond) / 1_000)
    this.filledAt = now
    if (this.tokens >= 1) {
      this.tokens--
      return "taken"
    }
    if (now - this.windowAt >= floodWindow) {
      this.windowAt = now
      this.refused = 0
    }
    if (++this.refused > this.perSecond) return "flood"
    if (now - this.answeredAt < answerEvery) return "refused"
    this.answeredAt = now
    return "answered"
  }
}
