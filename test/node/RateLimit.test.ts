import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import { assertServes, hostile, startNode } from "../utils/hostileNode.js"
import { connect, frame, message } from "../utils/rawPeer.js"

describe("rateLimit over TCP", () => {
  hostile("a flood is answered, then closed; others are served", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ rateLimit: Option.some(10) })
      const peer = yield* connect(node.port)
      const burst = Array.from({ length: 40 }, () => frame(message(peer.id, "CHAT", { text: "" })))
      const { answers, isOpen } = yield* peer.answersTo(Buffer.concat(burst))
      assert.isFalse(isOpen)
      assert.lengthOf(answers, 2)
      assert.deepStrictEqual(
        answers.map(({ payload }) => [payload["code"], payload["fatal"]]),
        [
          ["RATE_LIMITED", false],
          ["RATE_LIMITED", true]
        ]
      )
      assert.isAtLeast(node.delivered.length, 10)
      assert.isBelow(node.delivered.length, 20)
      yield* assertServes(yield* connect(node.port))
    })
  )
})
