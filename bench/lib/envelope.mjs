/**
 * The message as it is on the wire of Synapse P2P, for every system that leaves it to the user what a message is: the
 * same JSON, an id of its own for each, and the time.
 */
import { randomBytes } from "node:crypto"

/**
 * Where a message has its id and its time from.
 *
 * @typedef {{ readonly id: () => string, readonly time: () => string }} Stamps
 */

/**
 * Ids counted within a session, and a time that is made once a millisecond.
 *
 * @returns {Stamps}
 */
export const stampsCounted = () => {
  const session = randomBytes(8).toString("hex")
  let made = 0
  let timestampAt = -1
  let timestamp = ""
  return {
    id: () => `${session}-${(made++).toString(36)}`,
    time: () => {
      const at = Date.now()
      if (at !== timestampAt) {
        timestampAt = at
        timestamp = new Date(at).toISOString()
      }
      return timestamp
    }
  }
}

export const envelopes = (stamps = stampsCounted, sender = `node-${randomBytes(8).toString("hex")}`) => {
  const { id, time } = stamps()
  const compose = (type, payload) => ({ type, id: id(), sender, timestamp: time(), payload })
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
 *
 * @param {import("./types.js").StartOptions} options
 * @param {string} [sender]
 */
export const messaging = ({ onMessage, onRequest }, stamps = stampsCounted, sender = undefined) => {
  const envelope = envelopes(stamps, sender)
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
