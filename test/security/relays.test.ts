/** Messages that come over another node than their sender: what is forged goes no further, what is honest is not lost. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { HostileNode } from "../utils/hostileNode.js"
import { assertServes, Chat, hostile, startNode } from "../utils/hostileNode.js"
import type { Message, RawPeer } from "../utils/rawPeer.js"
import { message } from "../utils/rawPeer.js"
import * as Tls from "../utils/tlsPeer.js"

/** An encrypted node between the one that passes a message on, and one that it would pass it on to. */
const between = Effect.gen(function* () {
  const node = yield* startNode({ encryption: "tls", nodeId: undefined })
  const relay = yield* Tls.join(node.port, Tls.identity())
  const next = yield* Tls.join(node.port, Tls.identity())
  return { node, relay, next }
})

const origin = Tls.identity()
const third = Tls.identity("p256")
const text = { text: "hello" }

/** The value of a signature. */
const only = (member: "key" | "value", { signature }: { readonly signature: object }) =>
  Object.fromEntries(Object.entries(signature).filter(([name]) => name === member))

const broadcast = (more: Partial<Message> = {}, who = origin, network?: string) =>
  Tls.signed(who, "CHAT", text, { ttl: 3, ...more }, network)

/** Nothing of the message was delivered or passed on, and the one that brought it was told, and is still served. */
const assertRefused = (
  { next, node, relay }: { readonly node: HostileNode; readonly relay: RawPeer; readonly next: RawPeer },
  said: Message,
  what: string
) =>
  Effect.gen(function* () {
    const before = yield* node.count("invalid")
    relay.send(said)
    const error = yield* relay.next(
      `an ERROR for ${what}`,
      ({ replyTo, type }) => type === "ERROR" && replyTo === said.id
    )
    assert.deepInclude(error.payload, { code: "INVALID_MESSAGE", fatal: false }, what)
    assert.match(String(error.payload["message"]), /^signature: /, what)
    assert.strictEqual(yield* node.count("invalid"), before + 1, what)
    yield* assertServes(relay)
    yield* assertServes(next)
    assert.notInclude(node.delivered, said.id, what)
    assert.isFalse(
      next.received.some(({ id }) => id === said.id),
      what
    )
  })

describe("A message of another node", () => {
  hostile("that its sender has signed is delivered and passed on, signed as it was", () =>
    Effect.gen(function* () {
      const { next, node, relay } = yield* between
      for (const who of [origin, third]) {
        const said = { ...broadcast({}, who), unknown: { of: ["later", "versions"] } }
        const { signature: _, ...unsigned } = said
        const honest = Tls.sign(who, unsigned)
        relay.send(honest)
        const passed = yield* next.next("the message", ({ id }) => id === said.id)
        assert.deepStrictEqual(passed, { ...honest, ttl: 2 })
        yield* node.until("it is delivered", () => node.delivered.includes(said.id))
      }
      assert.strictEqual(yield* node.count("invalid"), 0)
    })
  )

  hostile(
    "that is forged, altered, unsigned, or signed by another goes no further, and counts against who passed it",
    () =>
      Effect.gen(function* () {
        const parts = yield* between
        const honest = broadcast()
        const { signature, ...unsigned } = honest
        const cut = { ...signature, value: String((signature as { readonly value: string }).value).slice(4) }
        const forgeries: Readonly<Record<string, Message>> = {
          unsigned,
          "of another payload": { ...honest, payload: { text: "good-bye" } },
          "of another time": { ...honest, timestamp: "2026-11-22T15:00:00.000Z" },
          "of another type": { ...honest, type: "NEWS" },
          "of another id": { ...honest, id: "another" },
          "for somebody else": { ...honest, recipient: String(parts.node.network.nodeId) },
          "with one member more": { ...honest, more: true } as Message,
          "in another's name": { ...honest, sender: third.id },
          "signed by a third key": { ...Tls.sign(third, unsigned) },
          "with a third key's value": {
            ...honest,
            signature: { ...signature, ...only("value", Tls.sign(third, unsigned)) }
          } as Message,
          "with a signature cut short": { ...honest, signature: cut } as Message,
          "with something that is no key": { ...honest, signature: { ...signature, key: "AAAA" } } as Message,
          "of another network of the same keys": broadcast({}, origin, "another-network")
        }
        for (const [what, said] of Object.entries(forgeries)) yield* assertRefused(parts, said, what)
        // An ERROR about a message, and an answer, are signed likewise.
        const error = message(
          origin.id,
          "ERROR",
          { code: "NO_ROUTE", message: "", fatal: false },
          {
            recipient: String(parts.node.network.nodeId),
            replyTo: "m-1",
            ttl: 3
          }
        )
        parts.relay.send(error)
        yield* parts.node.until(
          "it is counted too",
          ({ counts }) => counts["invalid"] === Object.keys(forgeries).length + 1
        )
        // None of it stands in the way of the honest one.
        parts.relay.send(honest)
        yield* parts.next.next("the honest one", ({ id }) => id === honest.id)
        assert.deepStrictEqual(parts.node.delivered, [honest.id])
      })
  )

  hostile("that comes again is dropped and never counted, whatever has become of it on the way", () =>
    Effect.gen(function* () {
      const { next, node, relay } = yield* between
      const said = broadcast()
      relay.send(said)
      yield* next.next("the message", ({ id }) => id === said.id)
      relay.send({ ...said, ttl: 2 })
      next.send({ ...said, ttl: 1 })
      next.send({ ...said, payload: { text: "altered" } })
      yield* node.until("they are seen", ({ counts }) => counts["duplicates"] === 3)
      assert.strictEqual(yield* node.count("invalid"), 0)
      assert.deepStrictEqual(node.delivered, [said.id])
    })
  )

  hostile("gets whoever passes ten forged ones banned", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ encryption: "tls", nodeId: undefined, maxInvalidMessages: 10 })
      const relay = yield* Tls.join(node.port, Tls.identity())
      for (let n = 0; n < 10; n++) relay.send(message(origin.id, "CHAT", text, { ttl: 3 }))
      const banned = yield* relay.next("BANNED", ({ payload }) => payload["code"] === "BANNED")
      assert.strictEqual(banned.payload["fatal"], true)
    })
  )

  hostile("is not passed on where the node at the end of the link left its own unsigned, though it is delivered", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ encryption: "tls", nodeId: undefined })
      const who = Tls.identity()
      const sender = yield* Tls.join(node.port, who)
      const next = yield* Tls.join(node.port, Tls.identity())
      const said = message(who.id, "CHAT", text, { ttl: 3 })
      sender.send(said)
      yield* node.until("it is delivered", () => node.delivered.includes(said.id))
      yield* assertServes(next)
      assert.isFalse(next.received.some(({ id }) => id === said.id))
      assert.strictEqual(yield* node.count("invalid"), 0)
    })
  )

  hostile(
    "with a wrong signature of the node at the end of the link is delivered where nobody else is, and nowhere else",
    () =>
      Effect.gen(function* () {
        const node = yield* startNode({ encryption: "tls", nodeId: undefined })
        const who = Tls.identity()
        const sender = yield* Tls.join(node.port, who)
        const wrong = () => ({ ...broadcast({}, who), payload: { text: "altered" } })
        const said = wrong()
        sender.send(said)
        yield* node.until("it is delivered", () => node.delivered.includes(said.id))
        assert.strictEqual(yield* node.count("invalid"), 0)
        const next = yield* Tls.join(node.port, Tls.identity())
        yield* assertRefused({ node, relay: sender, next }, wrong(), "a wrong signature of one's own")
        const forMe = { ...wrong(), recipient: String(node.network.nodeId) }
        sender.send(forMe)
        yield* node.until("what is for this node alone is delivered", () => node.delivered.includes(forMe.id))
      })
  )

  hostile("is signed by a node that broadcasts, as another node can tell", () =>
    Effect.gen(function* () {
      const { next, node, relay } = yield* between
      yield* node.network.broadcast(Chat, text)
      const heard = yield* next.next("the broadcast", ({ type }) => type === "CHAT")
      const { signature } = heard as unknown as { readonly signature: { readonly key: string } }
      assert.strictEqual(Tls.idOf(Buffer.from(signature.key, "base64")), heard.sender)
      // Another node takes it from a neighbour.
      const other = yield* startNode({ encryption: "tls", nodeId: undefined })
      const passing = yield* Tls.join(other.port, Tls.identity())
      passing.send({ ...heard, ttl: 1 })
      yield* other.until("it is delivered", () => other.delivered.includes(heard.id))
      assert.isUndefined(relay.received.find(({ type }) => type === "ERROR"))
    })
  )
})
