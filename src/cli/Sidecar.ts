/**
 * A node as a sidecar of a program in any language: commands come in and events go out, one JSON object a line
 * ({@link Commands}). It knows no process: lines are read from a stream of bytes and written with a function.
 *
 * Nothing piles up. Commands run side by side up to a bound, and no line is read before there is room for it. Lines are
 * written one after the other, each when the one before is taken: while nobody reads them, commands do not end and
 * messages are not handled, so that neither the lines nor the peers are read any further. What waits for the other side
 * counts as running: an application that keeps the bound's number of requests waiting is not heard until one ends.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { JsonObject } from "../Message.js"
import type { Received } from "../MessageType.js"
import type { HandlerExists, ListenFailed } from "../NetworkError.js"
import { P2PNetwork } from "../P2PNetwork.js"
import type { NetworkEvent } from "../Peer.js"
import { Peer } from "../Peer.js"
import * as CommandRunner from "./CommandRunner.js"
import type { Asked, EventLine } from "./Commands.js"
import * as Commands from "./Commands.js"
import * as KeptRequests from "./KeptRequests.js"
import type { Line } from "./LineDecoder.js"
import * as LineDecoder from "./LineDecoder.js"
import type { OutputClosed } from "./Stdio.js"
import * as Watch from "./Watch.js"
import * as Workers from "./Workers.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Options {
  /** The lines of commands, in any split. It is read no faster than commands are taken on. */
  readonly stdin: Stream.Stream<Uint8Array, unknown>
  /** Writes a line, newline included, and succeeds when there is room for the next. */
  readonly write: (line: string) => Effect.Effect<void, OutputClosed>
  /** Succeeds when it is known that nobody reads what is written. */
  readonly outputClosed: Effect.Effect<void>
  /** Succeeds when the sidecar is to stop. */
  readonly interrupted: Effect.Effect<void>
  /** Lines of more than twice as many bytes are not read. */
  readonly maxMessageBytes: number
  /** How long a request of another node waits for the `reply`. */
  readonly requestTimeout: Duration.Duration
  /** How long a send waits for those before it to the same peer. */
  readonly sendTimeout: Duration.Duration
  /** How long commands get to end before the network is stopped. */
  readonly shutdownGrace: Duration.Duration
  /** How many commands run side by side; default 256. */
  readonly concurrency?: number
}

/**
 * Why the sidecar came to its end.
 *
 * @since 0.1.0
 * @category models
 */
export type Ending =
  | { readonly _tag: "EndOfInput" | "OutputClosed" | "Interrupted" }
  | { readonly _tag: "StopCommand"; readonly asked: Asked }

const encodePeer = Schema.encodeSync(Peer)

// The last lines get this long to be read once the network has stopped.
const lastWords = Duration.seconds(1)

/**
 * Starts the network, serves commands until the input ends, `stop` comes, the reader goes or it is `interrupted`, and
 * stops the network. At the end of the input all commands taken on get `shutdownGrace` to end; otherwise those that
 * hand something over do, while what waits for other nodes fails.
 *
 * Fails with: `ListenFailed`, `HandlerExists`; nothing was written then.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = (options: Options): Effect.Effect<Ending, ListenFailed | HandlerExists, P2PNetwork> =>
  Effect.scoped(
    Effect.gen(function* () {
      const network = yield* P2PNetwork
      const ended = yield* Deferred.make<Ending>()
      const end = (ending: Ending): Effect.Effect<void> => Effect.asVoid(Deferred.succeed(ended, ending))

      // --- Lines out ---

      const pen = yield* Effect.makeSemaphore(1)
      const emit = (event: EventLine): Effect.Effect<void> =>
        pen
          .withPermits(1)(Effect.suspend(() => options.write(`${JSON.stringify(event)}\n`)))
          .pipe(Effect.catchTag("OutputClosed", () => end({ _tag: "OutputClosed" })))

      const show = (event: NetworkEvent): Effect.Effect<void> => {
        switch (event._tag) {
          case "Listening":
            return emit({
              event: "listening",
              nodeId: network.nodeId,
              address: { host: event.address.host, port: event.address.port }
            })
          case "PeerConnected":
          case "PeerSuspect":
          case "PeerRecovered":
          case "PeerLeft":
            return emit({ event: "peer", peer: encodePeer(event.peer) })
          case "PeerDisconnected":
          case "PeerDead":
            return emit({ event: "peer", peer: encodePeer(event.peer), error: event.error })
          case "MessagesLost":
            return emit({ event: "lost", peer: event.peer, ids: event.ids })
          // Its line is the last, and written below.
          case "Stopped":
          // These are for people, and stand in the log.
          case "DialFailed":
          case "HandshakeFailed":
          case "IdConflict":
            return Effect.void
        }
      }

      // --- Messages ---

      const kept = KeptRequests.make(options.requestTimeout)

      const onMessage = (message: Received<JsonObject>): Effect.Effect<JsonObject, unknown> => {
        const shown = emit({
          event: "message",
          from: message.via,
          message: message.envelope as unknown as JsonObject
        })
        return message.expectsReply ? kept.keep(message.sender, message.id, shown) : Effect.as(shown, {})
      }

      // --- Commands ---

      const workers = yield* Workers.make({
        runner: yield* CommandRunner.make(kept, options.sendTimeout),
        emit,
        concurrency: options.concurrency ?? 256
      })

      const take = (asked: Asked): Effect.Effect<void> =>
        asked.command.command === "stop"
          ? Effect.zipRight(end({ _tag: "StopCommand", asked }), Effect.never)
          : workers.take(asked.command, asked)

      const maxLineBytes = 2 * options.maxMessageBytes

      const onLine = (line: Line): Effect.Effect<void> => {
        switch (line._tag) {
          case "Text": {
            const read = Commands.read(line.text)
            return read._tag === "Right" ? take(read.right) : emit({ event: "error", ...read.left })
          }
          case "TooLong":
            return emit({
              event: "error",
              error: { _tag: "LineTooLong", message: `the line has more than ${maxLineBytes} bytes: it is not read` }
            })
          case "NotUtf8":
            return emit({ event: "error", error: { _tag: "NotUtf8", message: "the line is not UTF-8" } })
        }
      }

      const decoder = LineDecoder.make(maxLineBytes)
      const readLines = Stream.runForEach(options.stdin, (chunk) =>
        Effect.forEach(decoder.push(chunk), onLine, { discard: true })
      ).pipe(
        Effect.zipRight(Effect.suspend(() => Effect.forEach(decoder.end(), onLine, { discard: true }))),
        Effect.catchAllCause((cause) => Effect.logWarning("the commands cannot be read any more", cause)),
        Effect.zipRight(end({ _tag: "EndOfInput" }))
      )

      // --- From start to end ---

      yield* network.handleOther(onMessage)
      const stopShown = yield* Watch.events(show)
      yield* Effect.forkScoped(Effect.zipRight(options.interrupted, end({ _tag: "Interrupted" })))
      yield* Effect.forkScoped(Effect.zipRight(options.outputClosed, end({ _tag: "OutputClosed" })))
      yield* Effect.raceFirst(network.start, Deferred.await(ended))
      const reader = yield* Effect.forkScoped(readLines)

      const ending = yield* Deferred.await(ended)
      yield* Effect.logInfo(`stopping: ${reason(ending)}`)
      yield* Fiber.interruptFork(reader)
      if (ending._tag !== "OutputClosed") {
        const worth = ending._tag === "EndOfInput" ? workers.idle : workers.handedOver
        yield* atMost(options.shutdownGrace, worth)
      }
      yield* kept.close
      yield* network.stop
      yield* atMost(lastWords, Effect.zipRight(workers.idle, stopShown))
      // What has not ended with the network is cut off.
      yield* atMost(lastWords, workers.interrupt)
      const goodbye = Effect.gen(function* () {
        yield* workers.failRest
        if (ending._tag === "StopCommand") yield* workers.succeed(ending.asked, {})
        yield* emit({ event: "stopped" })
      })
      yield* atMost(lastWords, goodbye)
      return ending
    })
  )

const atMost = (limit: Duration.Duration, effect: Effect.Effect<void>): Effect.Effect<void> =>
  Effect.asVoid(Effect.timeoutOption(Effect.disconnect(effect), limit))

const reason = (ending: Ending): string => {
  switch (ending._tag) {
    case "EndOfInput":
      return "the input has ended"
    case "StopCommand":
      return "by command"
    case "OutputClosed":
      return "nobody reads the output any more"
    case "Interrupted":
      return "by signal (a second one stops at once)"
  }
}
