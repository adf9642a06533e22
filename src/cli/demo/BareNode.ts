/**
 * The least that counts as a node: it shakes hands, answers pings, and takes its leave. What another language would have
 * to write first.
 *
 * @since 0.1.0
 */
import * as Data from "effect/Data"
import * as DateTime from "effect/DateTime"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import * as Frame from "../../Frame.js"
import type { Envelope, JsonObject } from "../../Message.js"
import * as Message from "../../Message.js"
import type { DialError } from "../../NetworkError.js"
import * as NodeId from "../../NodeId.js"
import type { PeerAddress } from "../../PeerAddress.js"
import type { Link } from "../../Transport.js"
import { Transport } from "../../Transport.js"

/**
 * The node at the other end did not take it up.
 *
 * @since 0.1.0
 * @category errors
 */
export class NotTaken extends Data.TaggedError("NotTaken")<{ readonly detail: string }> {
  override get message(): string {
    return `a bare node was not taken up: ${this.detail}`
  }
}

const hello = (network: string): JsonObject => ({
  version: Message.protocolVersion,
  minVersion: Message.protocolVersion,
  network,
  // It cannot be dialed, so nobody is told of it.
  listen: [],
  features: []
})

/**
 * Dials a node and shakes hands. Succeeds when it is taken up. Scope: says goodbye and closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const connect = (
  id: string,
  address: PeerAddress,
  network = "synapse"
): Effect.Effect<void, DialError | NotTaken, Transport | Scope.Scope> =>
  Effect.gen(function* () {
    const transport = yield* Transport
    const link = yield* Effect.acquireRelease(Effect.interruptible(transport.dial(address)), (link) =>
      Effect.sync(() => link.end())
    )
    const taken = Deferred.unsafeMake<void, NotTaken>(FiberId.none)
    const send = speak(NodeId.make(id), DateTime.formatIso(yield* DateTime.now), link)

    const onMessage = (envelope: Envelope): void => {
      const { payload, type } = envelope
      if (type === "HELLO") Deferred.unsafeDone(taken, Effect.void)
      if (type === "ERROR") Deferred.unsafeDone(taken, Effect.fail(new NotTaken({ detail: String(payload["code"]) })))
      if (type === "HEARTBEAT" && payload["kind"] === "ping") send(type, { ...payload, kind: "pong" }, envelope.id)
    }

    const decoder = new Frame.Decoder(Frame.defaultLimit)
    const close = (): void => Deferred.unsafeDone(taken, Effect.fail(new NotTaken({ detail: "the connection ended" })))
    link.attach({
      onData: (chunk) => {
        decoder.push(chunk)
        for (let frame = decoder.next(); frame instanceof Uint8Array; frame = decoder.next()) {
          const decoded = Message.decode(frame)
          if (decoded._tag === "Message") onMessage(decoded.envelope)
        }
      },
      onEnd: () => link.end(),
      onClose: close
    })
    send("HELLO", hello(network))
    yield* Deferred.await(taken)
    yield* Effect.addFinalizer(() =>
      Effect.sync(() => send("ERROR", { code: "SHUTTING_DOWN", message: "", fatal: true }))
    )
  })

const speak = (sender: NodeId.NodeId, timestamp: string, link: Link) => {
  let sent = 0
  return (type: string, payload: JsonObject, replyTo?: string): void => {
    const routing = replyTo === undefined ? {} : { replyTo }
    const envelope = { type, id: `${sender}-${sent++}`, sender, timestamp, ...routing, payload }
    link.write([Frame.encode(Message.encode(envelope))], () => undefined)
  }
}
