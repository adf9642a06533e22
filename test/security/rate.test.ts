/** One peer that sends without end over an encrypted connection. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { assertServes, hostile, startNode } from "../utils/hostileNode.js"
import { frame, message } from "../utils/rawPeer.js"
import * as Tls from "../utils/tlsPeer.js"

describe("rateLimit over TLS", () => {
  hostile("a flood is answered, then closed; those connected and those who come are served", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ encryption: "tls", nodeId: undefined, rateLimit: Option.some(10) })
      const other = yield* Tls.join(node.port, Tls.identity())
      const peer = yield* Tls.join(node.port, Tls.identity())
      const burst = Array.from({ length: 40 }, () => frame(message(peer.id, "CHAT", { text: "" })))
      const { answers, isOpen } = yield* peer.answersTo(Buffer.concat(burst))
      assert.isFalse(isOpen)
      assert.deepStrictEqual(
        answers.map(({ payload }) => [payload["code"], payload["fatal"]]),
        [
          ["RATE_LIMITED", false],
          ["RATE_LIMITED", true]
        ]
      )
      assert.isAtLeast(node.delivered.length, 10)
      assert.isBelow(node.delivered.length, 20)
      yield* assertServes(other)
      yield* assertServes(yield* Tls.join(node.port, Tls.identity()))
    })
  )
})
