/**
 * What the sidecar's commands do with the network.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type { Json } from "../Message.js"
import { payloadFault } from "../Message.js"
import * as MessageType from "../MessageType.js"
import { PayloadInvalid, SendTimeout } from "../NetworkError.js"
import type { NodeId } from "../NodeId.js"
import { P2PNetwork } from "../P2PNetwork.js"
import { NetworkStatus, Peer } from "../Peer.js"
import type { Command, LineError } from "./Commands.js"
import type { KeptRequests } from "./KeptRequests.js"
import * as Turns from "./Turns.js"

/**
 * A command that is carried out while the node goes on.
 *
 * @since 0.1.0
 * @category models
 */
export type Runnable = Exclude<Command, { readonly command: "stop" }>

/**
 * @since 0.1.0
 * @category models
 */
export interface CommandRunner {
  /**
   * The command's work, to be run once; its value is that of the command's result. The call itself gives sends to one
   * peer their order.
   */
  readonly start: (command: Runnable) => Effect.Effect<Json, LineError>
}

/**
 * Whether the command is done when something is handed over, and not only when another node has done its part.
 *
 * @since 0.1.0
 * @category guards
 */
export const isHandingOver = ({ command }: Command): boolean => command !== "request" && command !== "connect"

const encodePeer = Schema.encodeSync(Peer)
const encodePeers = Schema.encodeSync(Schema.Array(Peer))
const encodeStatus = Schema.encodeSync(NetworkStatus)

// The failure of a request is whatever JSON the other application gave; only our own errors are instances of Error.
const lineError = (error: unknown): LineError =>
  error instanceof Error
    ? {
        _tag: "_tag" in error && typeof error._tag === "string" ? error._tag : error.name,
        message: error.message,
        ...("failure" in error && error.failure !== undefined ? { failure: error.failure as Json } : {})
      }
    : { _tag: "RequestFailed", message: "the other application refused the request", failure: error as Json }

const reply = (
  kept: KeptRequests,
  { failure = null, from, payload, to }: Extract<Command, { readonly command: "reply" }>
): Effect.Effect<Json, unknown> => {
  const fault = payloadFault(payload ?? { failure })
  if (fault !== undefined) return Effect.fail(new PayloadInvalid({ type: "reply", detail: fault }))
  return Effect.as(kept.answer(from, to, payload === undefined ? Effect.fail(failure) : Effect.succeed(payload)), {})
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  kept: KeptRequests,
  sendTimeout: Duration.Duration
): Effect.Effect<CommandRunner, never, P2PNetwork> =>
  Effect.map(P2PNetwork, (network) => {
    const turns = Turns.make(sendTimeout)
    // It waits for room, in a way: for that of the sends before it.
    const inTurn = <A, E>(peer: NodeId, work: Effect.Effect<A, E>): Effect.Effect<A, E | SendTimeout> => {
      const turn = turns.next(peer)
      const late = (): SendTimeout => new SendTimeout({ peer, millis: Duration.toMillis(sendTimeout) })
      return Effect.suspend(() => turn(Effect.either(work))).pipe(Effect.mapError(late), Effect.flatten)
    }

    const work = (command: Runnable): Effect.Effect<Json, unknown> => {
      switch (command.command) {
        case "connect":
          return Effect.map(network.connect(command.address), (peer) => toJson(encodePeer(peer)))
        case "disconnect":
          return Effect.as(network.disconnect(command.peer), {})
        case "send": {
          const type = MessageType.json(command.type)
          const sent = network.sendMessage(command.to, type, command.payload)
          return inTurn(
            command.to,
            Effect.map(sent, (id) => ({ id }))
          )
        }
        case "request": {
          const type = MessageType.jsonRequest(command.type)
          const options: { readonly timeout?: Duration.DurationInput } =
            command.timeout === undefined ? {} : { timeout: command.timeout }
          const answered = network.request(command.to, type, command.payload, options)
          // Its turn is over once it is asked: later sends need not wait for the answer.
          return Effect.zipRight(
            inTurn(command.to, Effect.void),
            Effect.map(answered, (payload) => ({ payload }))
          )
        }
        case "reply":
          return reply(kept, command)
        case "broadcast":
          return Effect.map(network.broadcast(MessageType.json(command.type), command.payload), toJson)
        case "peers":
          return Effect.map(network.peers(), (peers) => toJson(encodePeers(peers)))
        case "status":
          return Effect.map(network.status, (status) => toJson(encodeStatus(status)))
      }
    }

    return { start: (command) => Effect.mapError(work(command), lineError) }
  })

// The encoded side of these schemas is JSON, which their types, being interfaces without an index, do not say.
const toJson = (encoded: object): Json => encoded as Json
