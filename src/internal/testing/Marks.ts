/**
 * How a peer knows that the node under test has handled what it said: it sends a mark after it, by a request that the
 * application does not see. One-way messages are handled one after the other and requests start in order, so when a
 * mark is reached the handlers of all one-way messages before it have ended.
 *
 * @internal
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import * as Handler from "../../Handler.js"
import * as MessageType from "../../MessageType.js"
import type { P2PNetwork } from "../../P2PNetwork.js"

type Network = P2PNetwork["Type"]

const Mark = MessageType.request("TEST_MARK", Schema.Struct({ mark: Schema.Number }), Schema.Struct({}))

export class Marks {
  private readonly waiting = new Map<number, () => void>()
  private made = 0

  /** For the node under test. */
  readonly handler: Handler.Handler<never> = Handler.make(Mark, ({ payload }) =>
    Effect.sync(() => {
      this.waiting.get(payload.mark)?.()
      return {}
    })
  )

  /** Completes when what the peer has said to the node so far is handled, or when their connection has ended. */
  readonly handled = (peer: Network, node: Network): Effect.Effect<void> =>
    Effect.suspend(() => {
      const mark = this.made++
      // The answer may not get through, but the node is in this process; the request tells when the connection is gone.
      const reached = Effect.async<void>((resume) => {
        this.waiting.set(mark, () => resume(Effect.void))
        return Effect.sync(() => this.waiting.delete(mark))
      })
      const asked = Effect.ignore(peer.request(node.nodeId, Mark, { mark }, { timeout: Duration.infinity }))
      return Effect.raceFirst(reached, asked)
    })
}
