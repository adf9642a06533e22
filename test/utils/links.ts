/** Links in tests: what they tell, and waiting for it by rounds of the event loop, whatever clock a test has. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { PeerAddress } from "../../src/PeerAddress.js"
import { difference } from "../../src/testing/compliance/Sample.js"
import { type Link, type LinkReceiver, Transport } from "../../src/Transport.js"

export { text } from "../../src/testing/compliance/Sample.js"

export interface Recording {
  readonly chunks: Array<Uint8Array>
  readonly events: Array<"data" | "end" | "close">
  bytes: number
  cause: unknown
}

/** Attaches to a link and takes down all that happens on it. The receiver given is called after. */
export const record = (link: Link, receiver: Partial<LinkReceiver> = {}): Recording => {
  const recording: Recording = { chunks: [], events: [], bytes: 0, cause: undefined }
  link.attach({
    onData: (chunk) => {
      recording.chunks.push(chunk)
      recording.events.push("data")
      recording.bytes += chunk.length
      receiver.onData?.(chunk)
    },
    onEnd: () => {
      recording.events.push("end")
      receiver.onEnd?.()
    },
    onClose: (cause) => {
      recording.events.push("close")
      recording.cause = cause
      receiver.onClose?.(cause)
    }
  })
  return recording
}

/** Waits until it is so, one round of the event loop after the other. */
export const until = (condition: () => boolean): Effect.Effect<void> =>
  Effect.async((resume) => {
    let round: NodeJS.Immediate | undefined = undefined
    const look = (): void => {
      if (condition()) resume(Effect.void)
      else round = setImmediate(look)
    }
    look()
    return Effect.sync(() => clearImmediate(round))
  })

/** Lets the event loop go round so often. */
export const rounds = (count: number): Effect.Effect<void> => {
  let left = count
  return until(() => left-- <= 0)
}

/** Waits until a number has not changed for 100 rounds of the event loop, and gives it. */
export const settled = (number: () => number): Effect.Effect<number> => {
  let last = Number.NaN
  let same = 0
  return Effect.map(
    until(() => {
      const now = number()
      same = now === last ? same + 1 : 0
      last = now
      return same >= 100
    }),
    () => last
  )
}

/** Writes and waits for the end of it: gives what `done` was called with. */
export const write = (link: Link, ...chunks: ReadonlyArray<Uint8Array>): Effect.Effect<unknown> =>
  Effect.async((resume) => link.write(chunks, (cause) => resume(Effect.succeed(cause))))

/** Whether the chunks are that text from its beginning. */
export const assertText = (chunks: ReadonlyArray<Uint8Array>, length: number): void => {
  assert.isUndefined(difference(chunks, length))
}

/** Dials, and destroys the link in the end. */
export const dial = (address: PeerAddress) =>
  Effect.acquireRelease(
    Effect.flatMap(Transport, (transport) => transport.dial(address)),
    (link) => Effect.sync(() => link.destroy())
  )
