import { assert, describe, it } from "@effect/vitest"
import { Inbox } from "../../src/internal/Inbox.js"
import type { Envelope } from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"

const envelope = (id: string): Envelope => ({
  type: "CHAT",
  id,
  sender: NodeId.make("a"),
  timestamp: "2026-11-22T14:00:00Z",
  payload: {}
})

const make = (messages: number, bytes: number) => {
  const told: Array<string> = []
  const inbox = new Inbox(
    { messages, bytes },
    () => told.push("full"),
    () => told.push("room")
  )
  return { inbox, told }
}

describe("Inbox", () => {
  it("gives messages in order, and counts messages and bytes", () => {
    const { inbox, told } = make(10, 1_000)
    inbox.push(envelope("1"), 10)
    inbox.push(envelope("2"), 20)
    assert.deepStrictEqual([inbox.length, inbox.queuedBytes], [2, 30])
    assert.strictEqual(inbox.shift()?.envelope.id, "1")
    assert.deepStrictEqual([inbox.length, inbox.queuedBytes], [1, 20])
    assert.strictEqual(inbox.shift()?.bytes, 20)
    assert.isUndefined(inbox.shift())
    assert.deepStrictEqual(told, [])
  })

  it("is full once at its bound in messages, and has room once half empty", () => {
    const { inbox, told } = make(4, 1_000)
    for (const id of ["1", "2", "3", "4", "5"]) inbox.push(envelope(id), 1)
    assert.deepStrictEqual(told, ["full"])
    inbox.shift()
    inbox.shift()
    assert.deepStrictEqual(told, ["full"])
    inbox.shift()
    assert.deepStrictEqual(told, ["full", "room"])
  })

  it("is full at its bound in bytes, and has room once half of both is free", () => {
    const { inbox, told } = make(100, 100)
    inbox.push(envelope("1"), 10)
    inbox.push(envelope("2"), 90)
    assert.deepStrictEqual(told, ["full"])
    inbox.shift()
    assert.deepStrictEqual(told, ["full"])
    inbox.shift()
    assert.deepStrictEqual(told, ["full", "room"])
  })

  it("a bound of one message alternates, and clearing makes room", () => {
    const { inbox, told } = make(1, 100)
    inbox.push(envelope("1"), 1)
    inbox.shift()
    inbox.push(envelope("2"), 1)
    assert.strictEqual(inbox.clear(), 1)
    assert.strictEqual(inbox.clear(), 0)
    assert.deepStrictEqual(told, ["full", "room", "full", "room"])
    assert.deepStrictEqual([inbox.length, inbox.queuedBytes], [0, 0])
  })
})
