/** What nodes tell and ask each other. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Handler from "../../Handler.js"
import type { Bench, Definition } from "./Bench.js"
import { Asked, connect, connected, node, Said } from "./Nodes.js"

const group = "messages"

/** Takes down what is said, by its number. */
const listener = () => {
  const said: Array<number> = []
  const handler = Handler.make(Said, ({ payload }) => Effect.sync(() => said.push(payload.n)))
  return { said, handlers: [handler] }
}

const answering = Handler.make(Asked, ({ payload }) =>
  payload.n < 0 ? Effect.fail({ reason: "negative" }) : Effect.succeed({ n: payload.n * 2 })
)

const numbers = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, n) => n)

/** Three nodes of which the outer two know each other over the middle one only. */
const line = (bench: Bench, handlers: ReadonlyArray<Handler.Handler<never>>) =>
  Effect.gen(function* () {
    const a = yield* node(bench, "node-a")
    const b = yield* node(bench, "node-b")
    const c = yield* node(bench, "node-c", { handlers })
    yield* connect(bench, a, b)
    yield* connect(bench, b, c)
    yield* connected(bench, a, b)
    yield* connected(bench, b, c)
    return { a, b, c }
  })

export const messaging: ReadonlyArray<Definition> = [
  {
    level: "nodes",
    group,
    name: "of one sender arrive once and in order, short and long ones",
    body: (bench) =>
      Effect.gen(function* () {
        const [atA, atB] = [listener(), listener()]
        const a = yield* node(bench, "node-a", { handlers: atA.handlers })
        const b = yield* node(bench, "node-b", { handlers: atB.handlers })
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        const sent = numbers(300)
        const messages = sent.map((n) => ({ n, text: "x".repeat(n % 50 === 7 ? 100_000 : n) }))
        yield* bench.doing(
          "sending succeeds or fails",
          Effect.all([a.network.sendMessages(b.id, Said, messages), b.network.sendMessages(a.id, Said, messages)], {
            concurrency: 2
          })
        )
        for (const { said } of [atA, atB]) {
          yield* bench.until(
            "all messages arrive",
            () => said.length >= sent.length,
            () => `${said.length} of ${sent.length} came`
          )
          yield* bench.same("once, and in the order in which they were sent", said.join(" "), sent.join(" "))
        }
      })
  },
  {
    level: "nodes",
    group,
    name: "to all reach each node once, over others where they must",
    body: (bench) =>
      Effect.gen(function* () {
        const [atB, atC] = [listener(), listener()]
        const a = yield* node(bench, "node-a")
        const b = yield* node(bench, "node-b", { handlers: atB.handlers })
        const c = yield* node(bench, "node-c", { handlers: atC.handlers })
        yield* connect(bench, a, b)
        yield* connect(bench, b, c)
        yield* connected(bench, a, b)
        yield* connected(bench, b, c)
        const sent = numbers(20)
        for (const n of sent) {
          const receipt = yield* bench.doing("a broadcast ends", a.network.broadcast(Said, { n, text: "" }))
          yield* bench.same("it is handed to the peers there are", receipt.sent.join(", "), b.id)
        }
        for (const [{ said }, where] of [
          [atB, "the peer"],
          [atC, "the node behind it"]
        ] as const) {
          yield* bench.until(
            `all broadcasts reach ${where}`,
            () => said.length >= sent.length,
            () => `${said.length} of ${sent.length} came`
          )
          yield* bench.rest
          yield* bench.same("once", said.join(" "), sent.join(" "))
        }
      })
  },
  {
    level: "nodes",
    group,
    name: "with relay reach a node that is connected to another one only, and answers come back",
    body: (bench) =>
      Effect.gen(function* () {
        const atC = listener()
        const { a, c } = yield* line(bench, [...atC.handlers, answering])
        yield* a.network.sendMessage(c.id, Said, { n: 1, text: "" }, { relay: true })
        yield* bench.until(
          "the message arrives",
          () => atC.said.length > 0,
          () => "it did not"
        )
        const { n } = yield* bench.doing(
          "a request ends",
          a.network.request(c.id, Asked, { n: 21 }, { relay: true, timeout: "5 seconds" })
        )
        yield* bench.same("the answer is that of the node asked", n, 42)
      })
  },
  {
    level: "nodes",
    group,
    name: "that ask get each its own answer, or refusal",
    body: (bench) =>
      Effect.gen(function* () {
        const a = yield* node(bench, "node-a")
        const b = yield* node(bench, "node-b", { handlers: [answering] })
        yield* connect(bench, a, b)
        const asked = numbers(100)
        const answers = yield* bench.doing(
          "requests end",
          Effect.forEach(asked, (n) => a.network.request(b.id, Asked, { n }), { concurrency: 20 })
        )
        yield* bench.same(
          "each request gets its own answer",
          answers.map(({ n }) => n).join(" "),
          asked.map((n) => n * 2).join(" ")
        )
        const refused = yield* Effect.either(a.network.request(b.id, Asked, { n: -1 }))
        yield* bench.check(
          "a refusal comes back as the failure it is",
          Either.isLeft(refused) && "reason" in refused.left && refused.left.reason === "negative",
          refused
        )
      })
  },
  {
    level: "nodes",
    group,
    name: "to a slow handler wait at the sender, alone, and arrive in order once it goes on",
    body: (bench) =>
      Effect.gen(function* () {
        const gate = yield* Deferred.make<void>()
        const handled: Array<number> = []
        const slow = Handler.make(Said, ({ payload }) =>
          Effect.zipRight(
            Deferred.await(gate),
            Effect.sync(() => handled.push(payload.n))
          )
        )
        const a = yield* node(bench, "node-a", { sendTimeout: "200 millis", outboundQueue: 8 })
        const b = yield* node(bench, "node-b", { handlers: [slow, answering], inboundQueue: 8 })
        const c = yield* node(bench, "node-c")
        yield* connect(bench, a, b)
        yield* connect(bench, c, b)
        const text = "x".repeat(65_536)
        let taken = 0
        const most = 1_024
        yield* bench.doing(
          "sending to a slow peer succeeds or fails",
          Effect.iterate(true, {
            while: (room) => room && taken < most,
            body: () =>
              Effect.map(Effect.either(a.network.sendMessage(b.id, Said, { n: taken, text })), (sent) => {
                if (Either.isRight(sent)) taken++
                return Either.isRight(sent)
              }).pipe(
                // The word that the other end has stopped reading needs its time on the way back.
                Effect.zipLeft(Effect.sleep("1 millis"))
              )
          })
        )
        yield* bench.check("a slow handler holds up its senders", taken < most, `64 MiB were taken for it`)
        const { n } = yield* bench.doing("a request ends", c.network.request(b.id, Asked, { n: 1 }))
        yield* bench.same("other peers are answered meanwhile", n, 2)
        yield* Deferred.succeed(gate, undefined)
        yield* bench.until(
          "what was taken arrives once the handler goes on",
          () => handled.length >= taken,
          () => `${handled.length} of ${taken} came`
        )
        yield* bench.same("once and in order", handled.join(" "), numbers(taken).join(" "))
      })
  }
]
