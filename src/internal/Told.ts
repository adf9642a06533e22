/**
 * How links tell those who use them what happened, whatever carries the bytes: what they throw becomes no other's trouble.
 *
 * @internal
 */
import type { LinkReceiver } from "../Transport.js"

/** Tells the outcome of a write; a throw goes to `failed`. */
export const tellDone = (done: (cause?: unknown) => void, cause: unknown, failed: (thrown: unknown) => void): void => {
  try {
    if (cause === undefined) done()
    else done(cause)
  } catch (thrown) {
    failed(thrown)
  }
}

/** Tells the end of a link. A throw is a defect that no link is left to answer for; other links have theirs all the same. */
export const tellClosed = (receiver: LinkReceiver, cause: unknown): void =>
  tellDone(
    (given) => (given === undefined ? receiver.onClose() : receiver.onClose(given)),
    cause,
    (thrown) =>
      queueMicrotask(() => {
        throw thrown
      })
  )

/** Why a write failed on a link that was ended without a cause. */
export const closedForWriting = (): Error => new Error("the link is closed for writing")
