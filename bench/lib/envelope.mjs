/**
 * The message as it is on the wire of Synapse P2P, for every system that leaves it to the user what a message is: the
 * same JSON, an id of its own for each, and the time, made once a millisecond.
 */
import { randomBytes } from "node:crypto"

export const envelopes = (sender = `node-${randomBytes(8).toString("hex")}`) => {
  const session = randomBytes(8).toString("hex")
  let made = 0
  let timestampAt = -1
  let timestamp = ""
  const compose = (type, payload) => {
    const at = Date.now()
    if (at !== timestampAt) {
      timestampAt = at
      timestamp = new Date(at).toISOString()
    }
    return { type, id: `${session}-${(made++).toString(36)}`, sender, timestamp, payload }
  }
  return {
    sender,
    compose,
    note: (payload) => JSON.stringify(compose("NOTE", payload)),
    /** A request: its id and its JSON. */
    ask: (payload) => {
      const envelope = compose("ASK", payload)
      envelope.expectsReply = true
      return { id: envelope.id, json: JSON.stringify(envelope) }
    },
    answer: (payload, replyTo) => {
      const envelope = compose("ASK", payload)
      envelope.replyTo = replyTo
      return JSON.stringify(envelope)
    }
  }
}

/**
 * What comes in, for the same systems: messages to `onMessage`, requests answered by `reply`, answers to the request that
 * waits for them.
 */
/** @param {import("./types.js").StartOptions} options */
export const messaging = ({ onMessage, onRequest }) => {
  const envelope = envelopes()
  const waiting = new Map()
  return {
    envelope,
    receive: (json, reply) => {
      const message = JSON.parse(json)
      if (message.replyTo !== undefined) {
        const settle = waiting.get(message.replyTo)
        waiting.delete(message.replyTo)
        settle?.(message.payload)
      } else if (message.expectsReply === true) reply(envelope.answer(onRequest(message.payload), message.id))
      else onMessage?.(message.payload)
    },
    request: (payload, send) =>
      new Promise((resolve) => {
        const { id, json } = envelope.ask(payload)
        waiting.set(id, resolve)
        send(json)
      })
  }
}
