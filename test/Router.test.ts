import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import type { JsonObject } from "../src/Message.js"
import * as MessageType from "../src/MessageType.js"
import * as Handler from "../src/Handler.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import {
  Ask,
  Chat,
  countOf,
  dialByHand,
  handPeer,
  join,
  line,
  node,
  nodeIn,
  Other,
  quiet,
  recordChats,
  recordEvents,
  rest,
  ring,
  until
} from "./utils/network.js"

const inMemory = Effect.provide(MemoryTransport.layerNetwork)

/** Links that take little: a peer that does not read is soon felt. */
const narrow = Effect.provide(MemoryTransport.layerNetworkWith({ capacity: 1_000 }))

const tag = <A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<unknown, A, R> =>
  Effect.map(Effect.flip(effect), (error) =>
    typeof error === "object" && error !== null && "_tag" in error ? error._tag : error
  )

const failure = <A, R>(effect: Effect.Effect<A, unknown, R>): Effect.Effect<object, A, R> =>
  Effect.map(Effect.flip(effect), (error) => error as object)

const big = "x".repeat(70_000)

const range = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, i) => String(i))

describe("handlers", () => {
  it.scoped("one for each type, gone with their scope", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const scope = yield* Scope.make()
      const first: Array<string> = []
      yield* b.handle(Chat, ({ payload }) => Effect.sync(() => first.push(payload.text))).pipe(Scope.extend(scope))
      const again = b.handle(Chat, () => Effect.void)
      assert.strictEqual(yield* tag(again), "HandlerExists")
      yield* a.sendMessage("b", Chat, { text: "1" })
      yield* until("the first", () => first.length === 1)
      yield* Scope.close(scope, Exit.void)
      yield* a.sendMessage("b", Chat, { text: "2" })
      yield* rest
      assert.deepStrictEqual(first, ["1"])
      assert.strictEqual(yield* countOf(b, "unsupported"), 1)
      yield* again
    }).pipe(inMemory)
  )

  it.scoped("get what they are told about the message", () =>
    Effect.gen(function* () {
      const [a, b, c] = yield* line(["a", "b", "c"])
      const got: Array<MessageType.Received<{ readonly text: string }>> = []
      yield* c.handle(Chat, (message) => Effect.sync(() => got.push(message)))
      const { id } = yield* a.broadcast(Chat, { text: "to all" })
      yield* until("the first", () => got.length === 1)
      const direct = yield* b.sendMessage("c", Chat, { text: "to you" })
      yield* until("both", () => got.length === 2)
      const [relayed, own] = got
      assert.deepInclude(relayed, { id, type: "CHAT", sender: a.nodeId, via: b.nodeId, isBroadcast: true })
      assert.deepInclude(own, { id: direct, sender: b.nodeId, via: b.nodeId, isBroadcast: false, expectsReply: false })
      assert.strictEqual(relayed?.envelope.ttl, 7)
      assert.deepStrictEqual(own?.payload, { text: "to you" })
    }).pipe(inMemory)
  )

  it.scoped("for all other types give way to those of their own, and answer requests", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const others: Array<string> = []
      yield* recordChats(b)
      yield* b.handleOther(({ payload, type }) => {
        others.push(type)
        if (payload["fail"] !== undefined) return Effect.fail(payload["fail"])
        if (payload["break"] !== undefined) return Effect.fail(new Error("a class"))
        return Effect.succeed({ echo: payload, odd: payload["odd"] === true ? NaN : 0 })
      })
      assert.strictEqual(yield* tag(b.handleOther(() => Effect.succeed({}))), "HandlerExists")
      const Any = MessageType.jsonRequest("ANY")
      yield* a.sendMessage("b", Chat, { text: "own handler" })
      yield* a.sendMessage("b", Other, { text: "one way" })
      assert.deepStrictEqual(yield* a.request("b", Any, { n: 1 }), { echo: { n: 1 }, odd: 0 })
      assert.deepStrictEqual(yield* failure(a.request("b", Any, { fail: { why: "no" } })), { why: "no" })
      assert.strictEqual(yield* tag(a.request("b", Any, { break: 1 })), "RequestBroke")
      assert.strictEqual(yield* tag(a.request("b", Any, { odd: true })), "RequestBroke")
      assert.deepStrictEqual(others, ["OTHER", "ANY", "ANY", "ANY", "ANY"])
    }).pipe(inMemory)
  )

  it.scoped("that fail, die, throw or do not understand are counted, and the next message is handled", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const got: Array<string> = []
      yield* b.handle(Chat, ({ payload }) => {
        got.push(payload.text)
        switch (payload.text) {
          case "fail":
            return Effect.fail("no")
          case "die":
            return Effect.die(new Error("broken"))
          case "interrupt":
            return Effect.interrupt
          case "throw":
            throw new Error("before it is an Effect")
          default:
            return Effect.void
        }
      })
      const Loose = MessageType.json("CHAT")
      for (const text of ["fail", "die", "interrupt", "throw"]) yield* a.sendMessage("b", Chat, { text })
      yield* a.sendMessage("b", Loose, { words: 1 })
      yield* a.sendMessage("b", Chat, { text: "last" })
      yield* until("the last", () => got.includes("last"))
      assert.deepStrictEqual(got, ["fail", "die", "interrupt", "throw", "last"])
      assert.strictEqual(yield* countOf(b, "handlerFailures"), 4)
      assert.strictEqual(yield* countOf(b, "undecodable"), 1)
      assert.strictEqual(yield* countOf(b, "delivered"), 6)
    }).pipe(inMemory)
  )

  it.scoped("handle one-way messages of a peer in order, though each takes its time; other peers do not wait", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { inboundQueue: 4 })
      const slow = yield* handPeer("slow", "a")
      const quick = yield* handPeer("quick", "a")
      const log: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* a.handle(Chat, ({ payload, sender }) =>
        Effect.gen(function* () {
          log.push(`${sender} ${payload.text}`)
          if (sender === "slow") yield* Deferred.await(gate)
        })
      )
      for (const text of range(50)) slow.say("CHAT", { text })
      yield* rest
      for (const text of range(50)) quick.say("CHAT", { text })
      yield* until("all of the quick one", () => log.length === 51)
      assert.strictEqual(log[0], "slow 0")
      assert.isAtMost((yield* a.status).queued.inbound, 50)
      yield* Deferred.succeed(gate, undefined)
      yield* until("all of the slow one", () => log.length === 100)
      const ofSlow = log.filter((entry) => entry.startsWith("slow"))
      assert.deepStrictEqual(
        ofSlow,
        range(50).map((text) => `slow ${text}`)
      )
    }).pipe(inMemory)
  )

  it.scoped("that are slow hold up the reading of their link alone", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { inboundQueue: 4 })
      const b = yield* node("b", { outboundQueue: 4, sendTimeout: "1 second" })
      const c = yield* node("c")
      yield* join(b, a)
      yield* join(c, a)
      const got: Array<string> = []
      const gate = yield* Deferred.make<void>()
      yield* a.handle(Chat, ({ payload, sender }) =>
        sender === "b" ? Deferred.await(gate) : Effect.sync(() => got.push(payload.text))
      )
      const sending = yield* Effect.fork(
        Effect.forEach(range(200), (text) => b.sendMessage("a", Chat, { text: text.padEnd(100) }))
      )
      yield* rest
      yield* TestClock.adjust("1 second")
      assert.strictEqual(yield* tag(Fiber.join(sending)), "SendTimeout")
      yield* c.sendMessage("a", Chat, { text: "from c" })
      yield* until("the other peer's", () => got.length === 1)
      assert.isAtMost((yield* a.status).queued.inbound, 5)
      yield* Deferred.succeed(gate, undefined)
    }).pipe(narrow)
  )
})

const asked = (
  handler: (question: string) => Effect.Effect<{ readonly answer: string }, { readonly reason: string }>
) =>
  Effect.gen(function* () {
    const [a, b] = yield* line(["a", "b"])
    yield* b.handle(Ask, ({ payload }) => handler(payload.question))
    return { a, b }
  })

describe("requests", () => {
  it.scoped("are answered with the handler's value, refused with its typed failure, and told of its defect", () =>
    Effect.gen(function* () {
      const { a, b } = yield* asked((question) =>
        question === "no"
          ? Effect.fail({ reason: "not today" })
          : question === "die"
            ? Effect.die("broken")
            : question === "misfit"
              ? Effect.succeed({ answer: 5 as unknown as string })
              : question === "misfit failure"
                ? Effect.fail({ reason: 5 as unknown as string })
                : Effect.succeed({ answer: question.toUpperCase() })
      )
      const ask = (question: string) => a.request("b", Ask, { question })
      assert.deepStrictEqual(yield* ask("hello"), { answer: "HELLO" })
      assert.deepStrictEqual(yield* failure(ask("no")), { reason: "not today" })
      for (const question of ["die", "misfit", "misfit failure"]) {
        const error = yield* failure(ask(question))
        assert.deepInclude(error, { _tag: "RequestBroke", peer: "b" })
      }
      assert.strictEqual((yield* a.status).queued.requests, 0)
      assert.strictEqual(yield* countOf(b, "handlerFailures"), 3)
    }).pipe(inMemory)
  )

  it.scoped("are told of a defect where an answer, or a failure, cannot be encoded for a bug of its schema", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const Buggy = Schema.transform(Schema.String, Schema.String, {
        decode: (text) => text,
        encode: () => {
          throw new Error("a bug")
        }
      })
      const Odd = MessageType.request(
        "ODD",
        Schema.Struct({ fails: Schema.Boolean }),
        Schema.Struct({ answer: Buggy }),
        Buggy
      )
      yield* b.handle(Odd, ({ payload }) => (payload.fails ? Effect.fail("no") : Effect.succeed({ answer: "yes" })))
      for (const fails of [true, false]) {
        assert.strictEqual(yield* tag(a.request("b", Odd, { fails })), "RequestBroke")
      }
      assert.strictEqual(yield* countOf(b, "handlerFailures"), 2)
    }).pipe(inMemory)
  )

  it.scoped("are refused where the question does not fit, nobody answers, or the answer does not fit", () =>
    Effect.gen(function* () {
      const { a, b } = yield* asked(() => Effect.succeed({ answer: "yes" }))
      const Loose = MessageType.jsonRequest("ASK")
      const refused = yield* failure(a.request("b", Loose, { nothing: 1 }))
      assert.deepInclude(refused, { _tag: "RequestFailed" })
      const Strange = MessageType.request("ASK", Ask.payload, Chat.payload)
      assert.deepInclude(yield* failure(a.request("b", Strange, { question: "?" })), { _tag: "ReplyInvalid" })
      const Unknown = MessageType.jsonRequest("UNKNOWN")
      assert.deepInclude(yield* failure(a.request("b", Unknown, {})), { _tag: "UnsupportedType" })
      yield* recordChats(b)
      const OneWay = MessageType.jsonRequest("CHAT")
      assert.deepInclude(yield* failure(a.request("b", OneWay, { text: "?" })), { _tag: "UnsupportedType" })
    }).pipe(inMemory)
  )

  it.scoped("start in order and run side by side up to the bound", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const b = yield* node("b", { handlerConcurrency: 3 })
      yield* join(a, b)
      const started: Array<string> = []
      yield* b.handle(Ask, ({ payload }) => {
        started.push(payload.question)
        return Effect.as(Effect.sleep("1 second"), { answer: payload.question })
      })
      const all = yield* Effect.fork(
        Effect.forEach(range(7), (question) => a.request("b", Ask, { question }), { concurrency: "unbounded" })
      )
      yield* rest
      assert.deepStrictEqual(started, range(3))
      assert.strictEqual((yield* a.status).queued.requests, 7)
      yield* TestClock.adjust("1 second")
      yield* rest
      assert.deepStrictEqual(started, range(6))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(
        (yield* Fiber.join(all)).map(({ answer }) => answer),
        range(7)
      )
    }).pipe(inMemory)
  )

  it.scoped("may be made by a handler of the peer that it serves", () =>
    Effect.gen(function* () {
      const { a, b } = yield* asked((question) => Effect.succeed({ answer: `${question}!` }))
      const got: Array<string> = []
      yield* a.handle(Chat, ({ payload, sender }) =>
        Effect.map(a.request(sender, Ask, { question: payload.text }), ({ answer }) => got.push(answer))
      )
      yield* a.handle(Ask, ({ payload, sender }) =>
        Effect.catchAll(a.request(sender, Ask, payload), () => Effect.fail({ reason: "no" }))
      )
      yield* b.sendMessages("a", Chat, [{ text: "x" }, { text: "y" }])
      assert.deepStrictEqual(yield* b.request("a", Ask, { question: "back" }), { answer: "back!" })
      yield* until("both", () => got.length === 2)
      assert.deepStrictEqual(got, ["x!", "y!"])
    }).pipe(inMemory)
  )

  it.scoped("time out alone; the late answer is dropped and counted", () =>
    Effect.gen(function* () {
      const { a } = yield* asked((question) => Effect.as(Effect.sleep("5 seconds"), { answer: question }))
      const quick = yield* Effect.fork(a.request("b", Ask, { question: "1" }, { timeout: "1 second" }))
      const usual = yield* Effect.fork(a.request("b", Ask, { question: "2" }))
      yield* rest
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* failure(Fiber.join(quick)), { _tag: "RequestTimeout", millis: 1_000, peer: "b" })
      yield* TestClock.adjust("4 seconds")
      assert.deepStrictEqual(yield* Fiber.join(usual), { answer: "2" })
      assert.strictEqual(yield* countOf(a, "repliesDropped"), 1)
      assert.strictEqual((yield* a.status).queued.requests, 0)
    }).pipe(inMemory)
  )

  it.scoped("leave nothing behind when interrupted", () =>
    Effect.gen(function* () {
      const { a } = yield* asked(() => Effect.as(Effect.sleep("5 seconds"), { answer: "late" }))
      const asking = yield* Effect.fork(a.request("b", Ask, { question: "?" }))
      yield* rest
      assert.strictEqual((yield* a.status).queued.requests, 1)
      yield* Fiber.interrupt(asking)
      assert.strictEqual((yield* a.status).queued.requests, 0)
      yield* TestClock.adjust("5 seconds")
      yield* rest
      assert.strictEqual(yield* countOf(a, "repliesDropped"), 1)
    }).pipe(inMemory)
  )

  it.scoped("are lost with the peer, and say whether they had been sent", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const deaf = yield* handPeer("deaf", "a")
      const sent = yield* Effect.fork(a.request("deaf", Ask, { question: "sent" }))
      yield* deaf.take("ASK")
      deaf.link.pause()
      yield* a.sendMessage("deaf", Chat, { text: big })
      yield* rest
      const unsent = yield* Effect.fork(a.request("deaf", Ask, { question: "unsent" }))
      yield* rest
      deaf.link.destroy()
      assert.deepInclude(yield* failure(Fiber.join(sent)), { _tag: "RequestLost", sent: true })
      assert.deepInclude(yield* failure(Fiber.join(unsent)), { _tag: "RequestLost", sent: false })
    }).pipe(narrow)
  )

  it.scoped("of a new session are not lost with the old one", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const old = yield* handPeer("b", "a", { session: "one" })
      const results: Array<unknown> = []
      yield* a.handle(Chat, ({ sender }) =>
        Effect.flatMap(Effect.either(a.request(sender, Ask, { question: "?" })), (result) =>
          Effect.sync(() => results.push(result._tag === "Right" ? result.right : result.left))
        )
      )
      old.say("CHAT", { text: "asks back" })
      yield* old.take("ASK")
      const renewed = yield* handPeer("b", "a", { session: "two" })
      renewed.say("CHAT", { text: "asks back" })
      const question = yield* renewed.take("ASK")
      yield* rest
      renewed.say("ASK", { answer: "yes" }, { replyTo: question.id, recipient: "a" })
      yield* until("both results", () => results.length === 2)
      assert.deepInclude(results[0], { _tag: "RequestLost", sent: true })
      assert.deepStrictEqual(results[1], { answer: "yes" })
    }).pipe(inMemory)
  )

  it.scoped("made in the same breath as the new session begins stand as well", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      yield* handPeer("b", "a", { session: "one" })
      const results: Array<unknown> = []
      yield* a.handle(Chat, ({ sender }) =>
        Effect.flatMap(Effect.either(a.request(sender, Ask, { question: "?" })), (result) =>
          Effect.sync(() => results.push(result._tag === "Right" ? result.right : result.left))
        )
      )
      const renewed = yield* dialByHand("b", "a")
      renewed.hello({ session: "two" })
      renewed.say("CHAT", { text: "at once" })
      const question = yield* renewed.take("ASK")
      renewed.say("ASK", { answer: "yes" }, { replyTo: question.id, recipient: "a" })
      yield* until("the result", () => results.length === 1)
      assert.deepStrictEqual(results, [{ answer: "yes" }])
    }).pipe(inMemory)
  )

  it.scoped("take answers and refusals from nobody but the node that was asked", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const b = yield* handPeer("b", "a")
      const liar = yield* handPeer("liar", "a")
      const asking = yield* Effect.fork(a.request("b", Ask, { question: "?" }))
      const { id } = yield* b.take("ASK")
      liar.say("ASK", { answer: "lie" }, { replyTo: id, recipient: "a" })
      liar.say("ERROR", { code: "NO_ROUTE", message: "", fatal: false }, { replyTo: id })
      liar.say("ERROR", { code: "INTERNAL", message: "", fatal: false }, { replyTo: id })
      yield* rest
      b.say("ASK", { answer: "truth" }, { replyTo: id, recipient: "a" })
      assert.deepStrictEqual(yield* Fiber.join(asking), { answer: "truth" })
      assert.strictEqual(yield* countOf(a, "repliesDropped"), 3)
    }).pipe(inMemory)
  )

  it.scoped("tell of an answer or a failure that is too long for the link", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      yield* a.handle(Ask, ({ payload }) =>
        payload.question === "fail" ? Effect.fail({ reason: big }) : Effect.succeed({ answer: big })
      )
      const b = yield* handPeer("b", "a", { maxMessageBytes: 65_536 })
      for (const question of ["answer", "fail"]) {
        const id = b.say("ASK", { question }, { expectsReply: true })
        const error = yield* b.take("ERROR")
        assert.deepInclude(error, { replyTo: id })
        assert.deepInclude(error.payload, { code: "INTERNAL", fatal: false })
      }
      const Huge = MessageType.json("HUGE")
      assert.strictEqual(yield* tag(a.request("b", MessageType.jsonRequest("HUGE"), { big })), "MessageTooLarge")
      assert.strictEqual(yield* tag(a.sendMessage("b", Huge, { big })), "MessageTooLarge")
      const receipt = yield* a.broadcast(Huge, { big })
      assert.deepStrictEqual(
        receipt.failed.map(({ error }) => error._tag),
        ["MessageTooLarge"]
      )
    }).pipe(inMemory)
  )
})

describe("sendMessage", () => {
  it.scoped("keeps the order and gives the ids of the messages", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const got: Array<string> = []
      yield* b.handle(Chat, ({ id }) => Effect.sync(() => got.push(id)))
      const ids = yield* a.sendMessages(
        "b",
        Chat,
        range(300).map((text) => ({ text }))
      )
      yield* until("all", () => got.length === 300)
      assert.deepStrictEqual(got, [...ids])
      assert.strictEqual(new Set(ids).size, 300)
    }).pipe(inMemory)
  )

  it.scoped("refuses what JSON cannot carry, what does not fit the schema, and who is not connected", () =>
    Effect.gen(function* () {
      const [a] = yield* line(["a", "b"])
      const Any = MessageType.json("ANY")
      const cycle: Record<string, unknown> = {}
      cycle["self"] = cycle
      for (const value of [NaN, 1n, cycle, new Date(0), [undefined], () => 1]) {
        assert.strictEqual(yield* tag(a.sendMessage("b", Any, { value } as unknown as JsonObject)), "PayloadInvalid")
      }
      assert.strictEqual(yield* tag(a.sendMessage("b", Chat, { text: 1 as unknown as string })), "PayloadInvalid")
      assert.strictEqual(yield* tag(a.broadcast(Any, { value: NaN })), "PayloadInvalid")
      assert.strictEqual(yield* tag(a.request("b", Ask, { question: 1 as unknown as string })), "PayloadInvalid")
      assert.strictEqual(yield* tag(a.sendMessage("nobody", Chat, { text: "" })), "PeerNotConnected")
      assert.strictEqual(yield* tag(a.sendMessage("not a node id", Chat, { text: "" })), "PeerNotConnected")
      assert.strictEqual(yield* tag(a.broadcast(Any, { big: "x".repeat(1_100_000) })), "MessageTooLarge")
    }).pipe(inMemory)
  )

  it.scoped("waits for room, up to its time, and then fails alone", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { outboundQueue: 2, sendTimeout: "2 seconds" })
      const deaf = yield* handPeer("deaf", "a")
      const other = yield* handPeer("other", "a")
      deaf.link.pause()
      yield* a.sendMessage("deaf", Chat, { text: big })
      yield* rest
      yield* a.sendMessages("deaf", Chat, [{ text: "1" }, { text: "2" }])
      const late = yield* Effect.fork(a.sendMessage("deaf", Chat, { text: "late" }))
      const asking = yield* Effect.fork(a.request("deaf", Ask, { question: "late" }))
      const batch = yield* Effect.fork(a.sendMessages("deaf", Chat, [{ text: "late" }, { text: "late" }]))
      yield* rest
      yield* a.sendMessage("other", Chat, { text: "quick" })
      assert.deepStrictEqual((yield* other.take("CHAT")).payload, { text: "quick" })
      yield* TestClock.adjust("1 second")
      const patient = yield* Effect.fork(a.sendMessages("deaf", Chat, [{ text: "3" }, { text: "4" }]))
      yield* TestClock.adjust("1 second")
      assert.deepInclude(yield* failure(Fiber.join(late)), { _tag: "SendTimeout", peer: "deaf", millis: 2_000 })
      assert.deepInclude(yield* failure(Fiber.join(asking)), { _tag: "SendTimeout" })
      assert.deepInclude(yield* failure(Fiber.join(batch)), { _tag: "BatchFailed", taken: 0 })
      deaf.link.resume()
      assert.strictEqual((yield* Fiber.join(patient)).length, 2)
      const texts: Array<unknown> = []
      for (let i = 0; i < 5; i++) texts.push((yield* deaf.take("CHAT")).payload["text"])
      assert.deepStrictEqual(texts.slice(1), ["1", "2", "3", "4"])
    }).pipe(narrow)
  )

  it.scoped("says how many of a batch were taken", () =>
    Effect.gen(function* () {
      const [a] = yield* line(["a", "b"])
      const failed = yield* Effect.flip(
        a.sendMessages("b", Chat, [{ text: "1" }, { text: "2" }, { text: 3 as unknown as string }, { text: "4" }])
      )
      assert.strictEqual(failed.taken, 2)
      assert.strictEqual(failed.error._tag, "PayloadInvalid")
    }).pipe(inMemory)
  )

  it.scoped("that waits for room fails when the connection ends; what was queued is reported lost", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { outboundQueue: 1 })
      const events = yield* recordEvents(a)
      const deaf = yield* handPeer("deaf", "a")
      deaf.link.pause()
      yield* a.sendMessage("deaf", Chat, { text: big })
      yield* rest
      const queued = yield* a.sendMessage("deaf", Chat, { text: "queued" })
      const waiting = yield* Effect.fork(a.sendMessage("deaf", Chat, { text: "waiting" }))
      const receipt = yield* Effect.fork(a.broadcast(Chat, { text: "waiting" }))
      const asking = yield* Effect.fork(a.request("deaf", Ask, { question: "waiting" }))
      yield* rest
      deaf.link.destroy()
      assert.strictEqual(yield* tag(Fiber.join(waiting)), "PeerNotConnected")
      assert.deepInclude(yield* failure(Fiber.join(asking)), { _tag: "PeerNotConnected" })
      const { failed, sent } = yield* Fiber.join(receipt)
      assert.deepStrictEqual([sent, failed.map(({ error }) => error._tag)], [[], ["PeerNotConnected"]])
      yield* rest
      assert.deepInclude(events, { _tag: "MessagesLost", peer: "deaf" as never, ids: [queued] })
      // The time limits of what has failed are gone with it.
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(failed.length, 1)
    }).pipe(narrow)
  )

  it.scoped("with relay goes over others to a node that is not connected", () =>
    Effect.gen(function* () {
      const nodes = yield* line(["a", "b", "c", "d"])
      const [a, , , d] = nodes
      const got: Array<MessageType.Received<{ readonly text: string }>> = []
      yield* d.handle(Chat, (message) => Effect.sync(() => got.push(message)))
      assert.strictEqual(yield* tag(a.sendMessage("d", Chat, { text: "direct" })), "PeerNotConnected")
      const id = yield* a.sendMessage("d", Chat, { text: "far" }, { relay: true })
      yield* until("it", () => got.length === 1)
      assert.deepInclude(got[0], { id, sender: a.nodeId, via: "c" as never, isBroadcast: false })
      const alone = yield* node("alone")
      assert.strictEqual(yield* tag(alone.sendMessage("d", Chat, { text: "" }, { relay: true })), "PeerNotConnected")
      assert.strictEqual(yield* tag(a.sendMessage("no id", Chat, { text: "" }, { relay: true })), "PeerNotConnected")
      assert.strictEqual(
        yield* tag(a.sendMessage("d", MessageType.json("HUGE"), { big: "x".repeat(1_100_000) }, { relay: true })),
        "MessageTooLarge"
      )
    }).pipe(inMemory)
  )
})

describe("requests over relays", () => {
  it.scoped("are answered, and refused, over the way they came", () =>
    Effect.gen(function* () {
      const [a, , , d] = yield* line(["a", "b", "c", "d"])
      yield* d.handle(Ask, ({ payload }) =>
        payload.question === "" ? Effect.fail({ reason: "empty" }) : Effect.succeed({ answer: payload.question })
      )
      assert.strictEqual(yield* tag(a.request("d", Ask, { question: "near" })), "PeerNotConnected")
      assert.deepStrictEqual(yield* a.request("d", Ask, { question: "far" }, { relay: true }), { answer: "far" })
      assert.deepStrictEqual(yield* failure(a.request("d", Ask, { question: "" }, { relay: true })), {
        reason: "empty"
      })
      const nobody = MessageType.jsonRequest("NOBODY")
      assert.strictEqual(yield* tag(a.request("d", nobody, {}, { relay: true })), "UnsupportedType")
    }).pipe(inMemory)
  )

  it.scoped("end when the last neighbour knows no way, or in time", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const one = yield* handPeer("one", "a", { features: ["relay"] })
      const two = yield* handPeer("two", "a", { features: ["relay"] })
      const asking = yield* Effect.fork(Effect.flip(a.request("far", Ask, { question: "" }, { relay: true })))
      const asked = yield* one.take("ASK")
      assert.deepInclude(asked, { recipient: "far", ttl: 8, expectsReply: true })
      const routed = { recipient: "a", ttl: 8, replyTo: asked.id }
      const noWay = { code: "NO_ROUTE", message: "none", fatal: false }
      one.say("ERROR", noWay, routed)
      // Once more, or in another's name, it counts for nothing.
      one.say("ERROR", noWay, { ...routed, id: "again" })
      one.say("ERROR", noWay, { ...routed, id: "other", sender: "two" })
      yield* rest
      assert.strictEqual((yield* a.status).queued.requests, 1)
      two.say("ERROR", noWay, routed)
      assert.deepInclude(yield* Fiber.join(asking), { _tag: "NoRoute" })
      const late = yield* Effect.fork(Effect.flip(a.request("far", Ask, { question: "" }, { relay: true })))
      yield* one.take("ASK")
      yield* TestClock.adjust("11 seconds")
      assert.deepInclude(yield* Fiber.join(late), { _tag: "RequestTimeout" })
    }).pipe(inMemory)
  )

  it.scoped("cannot be used to heap answers on one that does not read", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const deaf = yield* handPeer("deaf", "a", { features: ["relay"] })
      deaf.link.pause()
      const forger = yield* handPeer("forger", "a", { features: ["relay"] })
      for (let n = 0; n < 3_000; n++) {
        forger.say("NOBODY", {}, { sender: "deaf", recipient: "a", ttl: 1, id: `forged-${n}` })
        if (n % 100 === 0) yield* rest
      }
      yield* Effect.repeat(Effect.zipRight(rest, countOf(a, "unsupported")), { until: (n) => n >= 3_000 })
      const { counts, queued } = yield* a.status
      assert.isAtMost(queued.outbound, 1024)
      assert.isAbove(counts["relaySkipped"] ?? 0, 1_000)
    }).pipe(narrow)
  )
})

describe("messages", () => {
  it.scoped("gives every reader all messages, and counts as listening while it is read", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      yield* a.sendMessage("b", Chat, { text: "too early" })
      yield* rest
      const reader = Effect.fork(
        b.messages(Chat).pipe(
          Stream.take(2),
          Stream.map(({ payload, sender }) => `${sender} ${payload.text}`),
          Stream.runCollect
        )
      )
      const [one, two] = [yield* reader, yield* reader]
      yield* rest
      yield* a.sendMessage("b", Chat, { text: "1" })
      yield* a.sendMessage("b", MessageType.json("CHAT"), { words: 1 })
      yield* a.sendMessage("b", Chat, { text: "2" })
      for (const fiber of [one, two]) assert.deepStrictEqual([...(yield* Fiber.join(fiber))], ["a 1", "a 2"])
      yield* a.sendMessage("b", Chat, { text: "too late" })
      yield* rest
      assert.strictEqual(yield* countOf(b, "unsupported"), 2)
      assert.strictEqual(yield* countOf(b, "undecodable"), 2)
    }).pipe(inMemory)
  )

  it.scoped("that are not read hold up their senders, until the reader goes", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { inboundQueue: 8, outboundQueue: 8 })
      const b = yield* node("b", { inboundQueue: 8, outboundQueue: 8 })
      yield* join(a, b)
      const scope = yield* Scope.make()
      const pull = yield* Stream.toPull(b.messages(Chat)).pipe(Scope.extend(scope))
      const first = yield* Effect.fork(pull)
      yield* rest
      const sending = yield* Effect.fork(
        a.sendMessages(
          "b",
          Chat,
          range(400).map((text) => ({ text: text.padEnd(500) }))
        )
      )
      yield* Fiber.join(first)
      yield* rest
      assert.strictEqual(sending.unsafePoll(), null)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual((yield* Fiber.join(sending)).length, 400)
      yield* rest
      assert.strictEqual((yield* b.status).queued.inbound, 0)
    }).pipe(narrow)
  )
})

describe("broadcast", () => {
  it.scoped("says to whom it was handed", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b", "c"])
      const ofA = yield* a.broadcast(Chat, { text: "" })
      assert.deepStrictEqual([ofA.sent, ofA.failed], [["b"], []])
      const ofB = yield* b.broadcast(Chat, { text: "" })
      assert.deepStrictEqual([...ofB.sent].sort(), ["a", "c"])
      const alone = yield* node("alone")
      assert.deepStrictEqual((yield* alone.broadcast(Chat, { text: "" })).sent, [])
    }).pipe(inMemory)
  )

  it.scoped("reaches every node of a line once, as far as its ttl goes", () =>
    Effect.gen(function* () {
      const nodes = yield* line(["a", "b", "c", "d", "e"], { broadcastTtl: 2 })
      const got = yield* Effect.forEach(nodes, recordChats)
      yield* nodes[0].broadcast(Chat, { text: "hi" })
      yield* rest
      assert.deepStrictEqual(got, [[], ["hi"], ["hi"], ["hi"], []])
    }).pipe(inMemory)
  )

  it.scoped("reaches every node of a ring once, and is dropped where it comes round", () =>
    Effect.gen(function* () {
      const nodes = yield* ring(["a", "b", "c", "d", "e", "f"])
      const got = yield* Effect.forEach(nodes, recordChats)
      yield* nodes[0].broadcast(Chat, { text: "hi" })
      yield* rest
      assert.deepStrictEqual(got, [[], ["hi"], ["hi"], ["hi"], ["hi"], ["hi"]])
      const dropped = yield* Effect.forEach(nodes, (one) => countOf(one, "duplicates"))
      assert.isAtLeast(
        dropped.reduce((sum, count) => sum + count),
        1
      )
      assert.strictEqual(dropped[0], 0)
    }).pipe(inMemory)
  )

  it.scoped("goes to a neighbour that does not pass on as a direct message, and others' messages do not", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const plain = yield* handPeer("plain", "a", { features: [] })
      yield* a.broadcast(Chat, { text: "own" })
      const got = yield* plain.take("CHAT")
      assert.notProperty(got, "ttl")
      assert.deepStrictEqual(got.payload, { text: "own" })
      yield* b.broadcast(Chat, { text: "of b" })
      yield* rest
      assert.isFalse(plain.received.some(({ type }) => type === "CHAT"))
    }).pipe(inMemory)
  )

  it.scoped("is held up by a slow peer once, until that one has room again", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { outboundQueue: 1, sendTimeout: "2 seconds" })
      const deaf = yield* handPeer("deaf", "a")
      const other = yield* handPeer("other", "a")
      deaf.link.pause()
      yield* a.sendMessage("deaf", Chat, { text: big })
      yield* rest
      yield* a.sendMessage("deaf", Chat, { text: "full" })
      const first = yield* Effect.fork(a.broadcast(Chat, { text: "1" }))
      assert.deepStrictEqual((yield* other.take("CHAT")).payload, { text: "1" })
      yield* TestClock.adjust("2 seconds")
      const receipt = yield* Fiber.join(first)
      assert.deepStrictEqual(
        [receipt.sent, receipt.failed.map(({ error }) => error._tag)],
        [["other"], ["SendTimeout"]]
      )
      const second = yield* a.broadcast(Chat, { text: "2" })
      assert.deepStrictEqual([second.sent, second.failed.map(({ peer }) => peer)], [["other"], ["deaf"]])
      deaf.link.resume()
      yield* until("the queue to be empty", () => deaf.received.length === 2)
      assert.deepStrictEqual([...(yield* a.broadcast(Chat, { text: "3" })).sent].sort(), ["deaf", "other"])
    }).pipe(narrow)
  )

  it.scoped("is passed on as it is, with members that nobody knows", () =>
    Effect.gen(function* () {
      yield* node("a")
      const from = yield* handPeer("from", "a")
      const to = yield* handPeer("to", "a")
      from.sendText(
        `{"type":"CHAT","id":"x1","sender":"far","timestamp":"2026-11-22T14:00:00Z","ttl":3,"trace":{"n":[1,null]},` +
          `"__proto__":{"polluted":true},"payload":{"text":"hi","__proto__":{"polluted":true},"constructor":1}}`
      )
      const got = yield* to.take("CHAT")
      assert.strictEqual(got.ttl, 2)
      assert.deepStrictEqual(Object.keys(got).sort(), [
        "__proto__",
        "id",
        "payload",
        "sender",
        "timestamp",
        "trace",
        "ttl",
        "type"
      ])
      assert.deepStrictEqual(Object.keys(got.payload).sort(), ["__proto__", "constructor", "text"])
      assert.deepStrictEqual((got as unknown as Record<string, unknown>)["trace"], { n: [1, null] })
      assert.notProperty({}, "polluted")
      yield* rest
      assert.isFalse(from.received.some(({ type }) => type === "CHAT"))
    }).pipe(inMemory)
  )

  it.scoped("is delivered to a handler with members of any name, which mean nothing", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const payloads: Array<JsonObject> = []
      yield* a.handle(MessageType.json("CHAT"), ({ payload }) => Effect.sync(() => payloads.push(payload)))
      const from = yield* handPeer("from", "a")
      from.sendText(
        `{"type":"CHAT","id":"x1","sender":"from","timestamp":"2026-11-22T14:00:00Z","payload":{"__proto__":{"polluted":true}}}`
      )
      yield* until("it", () => payloads.length === 1)
      assert.deepStrictEqual(Object.keys(payloads[0] ?? {}), ["__proto__"])
      assert.isUndefined((payloads[0] as Record<string, unknown>)["polluted"])
    }).pipe(inMemory)
  )

  it.scoped("is not passed on to a full link, and nothing waits for that", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { outboundQueue: 1 })
      const from = yield* handPeer("from", "a")
      const full = yield* handPeer("full", "a")
      const small = yield* handPeer("small", "a", { maxMessageBytes: 65_536 })
      full.link.pause()
      yield* a.sendMessage("full", Chat, { text: big })
      yield* rest
      for (const text of ["1", "2"]) {
        from.say("CHAT", { text }, { ttl: 3 })
        yield* small.take("CHAT")
      }
      yield* rest
      assert.strictEqual(yield* countOf(a, "relaySkipped"), 1)
      assert.strictEqual(yield* countOf(a, "relayed"), 3)
      from.say("CHAT", { text: big }, { ttl: 3 })
      yield* rest
      assert.strictEqual(yield* countOf(a, "tooLarge"), 1)
    }).pipe(narrow)
  )
})

describe("targeted messages", () => {
  const targeted = { recipient: "goal", ttl: 4 }

  it.scoped("pass through to the recipient, straight where it is connected", () =>
    Effect.gen(function* () {
      yield* node("a")
      const from = yield* handPeer("from", "a")
      const goal = yield* handPeer("goal", "a")
      const other = yield* handPeer("other", "a")
      from.say("CHAT", { text: "hi" }, targeted)
      assert.deepInclude(yield* goal.take("CHAT"), { sender: "from", recipient: "goal", ttl: 3 })
      yield* rest
      assert.deepStrictEqual([from.received, other.received], [[], []])
    }).pipe(inMemory)
  )

  it.scoped("go back the way that the other node's messages came, else to all", () =>
    Effect.gen(function* () {
      yield* node("a")
      const [from, way, other] = [
        yield* handPeer("from", "a"),
        yield* handPeer("way", "a"),
        yield* handPeer("other", "a")
      ]
      const fromFar = { sender: "far", ttl: 2 }
      from.say("CHAT", { text: "to all" }, { ...targeted, recipient: "far" })
      yield* way.take("CHAT")
      yield* other.take("CHAT")
      way.say("CHAT", { text: "from far" }, fromFar)
      yield* other.take("CHAT")
      from.say("CHAT", { text: "the learned way" }, { ...targeted, recipient: "far" })
      assert.deepStrictEqual((yield* way.take("CHAT")).payload, { text: "the learned way" })
      yield* rest
      assert.deepStrictEqual(other.received, [])
    }).pipe(inMemory)
  )

  it.scoped("that can be passed to nobody are answered with NO_ROUTE, on the link from their sender alone", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const from = yield* handPeer("from", "a")
      const unknown = from.say("CHAT", { text: "hi" }, targeted)
      const error = yield* from.take("ERROR")
      assert.deepInclude(error, { replyTo: unknown, recipient: "from", sender: "a" })
      assert.deepInclude(error.payload, { code: "NO_ROUTE", fatal: false })
      assert.isNumber(error.ttl)
      from.say("CHAT", { text: "of another" }, { ...targeted, sender: "another" })
      from.say("ERROR", { code: "INTERNAL", message: "", fatal: false }, { ...targeted, replyTo: "x" })
      yield* rest
      assert.deepStrictEqual(from.received, [])
      assert.strictEqual(yield* countOf(a, "noRoute"), 1)
      yield* handPeer("goal", "a")
      from.say("CHAT", { text: "used up" }, { ...targeted, ttl: 0 })
      assert.deepInclude((yield* from.take("ERROR")).payload, { code: "NO_ROUTE" })
    }).pipe(inMemory)
  )

  it.scoped("that no link had room for are answered with NO_ROUTE too", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { outboundQueue: 1 })
      const from = yield* handPeer("from", "a")
      const full = yield* handPeer("goal", "a")
      full.link.pause()
      yield* a.sendMessage("goal", Chat, { text: big })
      yield* rest
      yield* a.sendMessage("goal", Chat, { text: "full" })
      const id = from.say("CHAT", { text: "hi" }, targeted)
      assert.deepInclude(yield* from.take("ERROR"), { replyTo: id })
    }).pipe(narrow)
  )

  it.scoped("are requests too: the answer goes back the way the question came", () =>
    Effect.gen(function* () {
      const nodes = yield* line(["a", "b", "c"])
      yield* nodes[2]?.handle(Ask, ({ payload, sender }) =>
        payload.question === "no" ? Effect.fail({ reason: sender }) : Effect.succeed({ answer: sender })
      )
      const from = yield* handPeer("from", "a")
      const ask = (question: string, type = "ASK") =>
        from.say(type, { question }, { recipient: "c", ttl: 5, expectsReply: true })
      const good = ask("yes")
      const answer = yield* from.take("ASK")
      assert.deepInclude(answer, { replyTo: good, recipient: "from", sender: "c" })
      assert.deepStrictEqual(answer.payload, { answer: "from" })
      const bad = ask("no")
      const refusal = yield* from.take("ERROR")
      assert.deepInclude(refusal, { replyTo: bad, recipient: "from", sender: "c" })
      assert.deepInclude(refusal.payload, { code: "REQUEST_FAILED", failure: { reason: "from" } })
      const unknown = ask("?", "UNKNOWN")
      const unsupported = yield* from.take("ERROR")
      assert.deepInclude(unsupported, { replyTo: unknown, recipient: "from" })
      assert.deepInclude(unsupported.payload, { code: "UNSUPPORTED_TYPE" })
    }).pipe(inMemory)
  )

  it.scoped("may be ERRORs about a request of this node, which are checked and taken from the node asked alone", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const b = yield* handPeer("b", "a")
      const asking = yield* Effect.fork(a.request("b", Ask, { question: "?" }))
      const { id } = yield* b.take("ASK")
      const about = { recipient: "a", ttl: 3, replyTo: id }
      b.say("ERROR", { code: "REQUEST_FAILED", message: 5, fatal: false }, about)
      yield* rest
      assert.strictEqual(yield* countOf(a, "invalid"), 1)
      b.say("ERROR", { code: "NO_ROUTE", message: "no", fatal: false }, { ...about, sender: "else" })
      b.say("ERROR", { code: "REQUEST_FAILED", message: "no", fatal: false, failure: { odd: 1 } }, about)
      const refused = yield* failure(Fiber.join(asking))
      assert.deepInclude(refused, { _tag: "RequestFailed", detail: "no" })
      assert.strictEqual(yield* countOf(a, "repliesDropped"), 1)
    }).pipe(inMemory)
  )
})

describe("types that nobody listens for", () => {
  it.scoped("are answered with UNSUPPORTED_TYPE, but not broadcasts and answers", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const b = yield* handPeer("b", "a")
      const direct = b.say("NEWS")
      assert.deepInclude(yield* b.take("ERROR"), { replyTo: direct })
      const targeted = b.say("NEWS", {}, { recipient: "a", ttl: 1 })
      assert.deepInclude(yield* b.take("ERROR"), { replyTo: targeted, recipient: "b" })
      b.say("NEWS", {}, { ttl: 1 })
      b.say("NEWS", {}, { replyTo: "nothing" })
      b.say("NEWS", {}, { replyTo: "nothing", recipient: "a", ttl: 3 })
      b.say("SYNAPSE_FUTURE")
      yield* rest
      assert.deepStrictEqual(b.received, [])
      assert.strictEqual(yield* countOf(a, "unsupported"), 3)
      assert.strictEqual(yield* countOf(a, "repliesDropped"), 2)
    }).pipe(inMemory)
  )

  it.scoped("a DATA_SYNC is the application's", () =>
    Effect.gen(function* () {
      const Sync = MessageType.json("DATA_SYNC")
      const [a, b] = yield* line(["a", "b"])
      const got: Array<JsonObject> = []
      yield* b.handle(Sync, ({ payload }) => Effect.sync(() => got.push(payload)))
      yield* a.sendMessage("b", Sync, { kind: "mine" })
      yield* until("it", () => got.length === 1)
      yield* b.sendMessage("a", Sync, {})
      yield* rest
      assert.strictEqual(yield* countOf(a, "unsupported"), 1)
      assert.deepInclude((yield* b.status).errors, { UnsupportedType: 1 })
    }).pipe(inMemory)
  )

  it.scoped("messages whose handler goes while they wait are counted as such", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const scope = yield* Scope.make()
      const gate = yield* Deferred.make<void>()
      yield* a.handle(Chat, () => Deferred.await(gate)).pipe(Scope.extend(scope))
      const b = yield* handPeer("b", "a")
      b.say("CHAT", { text: "1" })
      b.say("CHAT", { text: "2" })
      yield* rest
      yield* Scope.close(scope, Exit.void)
      yield* Deferred.succeed(gate, undefined)
      yield* rest
      assert.strictEqual(yield* countOf(a, "delivered"), 1)
      assert.strictEqual(yield* countOf(a, "unsupported"), 1)
    }).pipe(inMemory)
  )
})

describe("handlers given to the node", () => {
  it.scoped("outlive its polite end: what was received is handled", () =>
    Effect.gen(function* () {
      const got: Array<string> = []
      const scope = yield* Scope.make()
      yield* nodeIn(scope, "a", {
        ...quiet,
        handlers: [
          Handler.make(Chat, ({ payload }) =>
            Effect.zipRight(
              Effect.sleep("1 second"),
              Effect.sync(() => got.push(payload.text))
            )
          )
        ]
      })
      const b = yield* handPeer("b", "a")
      for (const text of ["1", "2", "3"]) b.say("CHAT", { text })
      yield* rest
      const closing = yield* Effect.fork(Scope.close(scope, Exit.void))
      yield* TestClock.adjust("4 seconds")
      yield* Fiber.join(closing)
      assert.deepStrictEqual(got, ["1", "2", "3"])
    }).pipe(inMemory)
  )
})
