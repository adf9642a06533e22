/**
 * What goes back to who asked: answers, refusals, and word of what could not be delivered; straight to the node where it
 * is connected, else the way the question came.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Connection } from "../Connection.js"
import type { Refused } from "../Handler.js"
import type { LocalNode, Routing } from "../LocalNode.js"
import type { Envelope, Json, JsonObject } from "../Message.js"
import type { Stats } from "../NetworkStats.js"
import type { NodeId } from "../NodeId.js"
import type { Routes } from "./Routes.js"
import type { HandError, Sending } from "./Sending.js"
import { plain } from "./Utf8.js"

type AnswerCode = "UNSUPPORTED_TYPE" | "NO_ROUTE" | "REQUEST_FAILED" | "INTERNAL"

export interface Answers {
  /** Tells the sender of a message what is the matter with it. Never waits. */
  readonly error: (connection: Connection, about: Envelope, code: AnswerCode, message: string, failure?: Json) => void
  /** Refuses a request; undefined: the handler broke. */
  readonly refuse: (connection: Connection, about: Envelope, refused: Refused | undefined) => void
  /**
   * Answers a request: at once, or as soon as there is room. Fails where the answer was not handed over; one too long is
   * refused instead.
   */
  readonly reply: (
    connection: Connection,
    about: Envelope,
    payload: JsonObject
  ) => Effect.Effect<void, HandError> | undefined
}

export const make = (options: {
  readonly broadcastTtl: number
  readonly compose: LocalNode["Type"]["compose"]
  readonly live: () => ReadonlyMap<NodeId, Connection>
  readonly routes: Routes
  readonly sending: Sending
  readonly stats: Stats
}): Answers => {
  const { broadcastTtl, compose, live, routes, sending, stats } = options

  /** The members by which an answer finds its way back. */
  const backTo = ({ id, sender, ttl }: Envelope): Routing => ({
    replyTo: id,
    recipient: sender,
    ttl: ttl === undefined ? undefined : broadcastTtl
  })

  /** The connection that has taken the place of one to the same node, or that one itself. */
  const sameSession = (connection: Connection): Connection => {
    const id = connection.identity?.id
    const current = id === undefined ? undefined : live().get(id)
    return current?.identity?.session === connection.identity?.session ? (current ?? connection) : connection
  }

  const wayBack = (connection: Connection, { sender, ttl }: Envelope): Connection => {
    if (ttl === undefined) return sameSession(connection)
    const learned = routes.to(sender)
    return live().get(sender) ?? (learned === undefined ? undefined : live().get(learned)) ?? connection
  }

  const error: Answers["error"] = (connection, about, code, message, failure) => {
    const payload = { code, message: plain(message, 1024), fatal: false, ...(failure === undefined ? {} : { failure }) }
    // To a neighbour an ERROR belongs to the link and names no recipient.
    const routing = about.ttl === undefined ? { replyTo: about.id } : backTo(about)
    const back = wayBack(connection, about)
    const envelope = compose("ERROR", payload, routing)
    const frame = sending.encodeFor(back, envelope)
    if (Either.isLeft(frame)) {
      stats.count("tooLarge")
      return error(connection, about, "INTERNAL", "the refusal is too long to send")
    }
    // What a link is owed for its own messages holds up its own reading. Over another link, which has not asked for
    // it and may not read, an answer takes its place among the data or is dropped.
    if (back === connection || about.ttl === undefined) return back.sendControl(frame.right)
    if (!back.outbox.offer({ frame: frame.right, id: undefined })) stats.count("relaySkipped")
  }

  return {
    error,
    refuse: (connection, about, refused) => {
      switch (refused?._tag) {
        case undefined:
          return error(connection, about, "INTERNAL", "the handler broke")
        case "Broke":
          return error(connection, about, "INTERNAL", refused.detail)
        case "Undecodable":
          return error(connection, about, "REQUEST_FAILED", "payload: does not fit what the handler takes")
        case "Failed":
          return error(connection, about, "REQUEST_FAILED", refused.detail, refused.failure)
      }
    },
    reply: (connection, about, payload) => {
      const back = wayBack(connection, about)
      const envelope = compose(about.type, payload, backTo(about))
      const frame = sending.encodeFor(back, envelope)
      if (Either.isLeft(frame)) {
        error(connection, about, "INTERNAL", "the answer is longer than this link takes")
        return Effect.fail(frame.left)
      }
      const message = { frame: frame.right, id: envelope.id }
      // As nearly always; an Effect around it would be run for nothing.
      if (back.outbox.offer(message, true)) return undefined
      return Effect.asVoid(sending.wait(back, back.identity?.id ?? about.sender, message))
    }
  }
}
