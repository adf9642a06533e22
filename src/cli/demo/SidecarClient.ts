/**
 * The other end of a sidecar's lines: what a program in any language would write to use one.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { JsonObject } from "../../Message.js"
import type { PeerStatus } from "../../Peer.js"
import type { PeerAddress } from "../../PeerAddress.js"
import type { Command, Event } from "../Commands.js"
import * as Commands from "../Commands.js"

/**
 * A command was refused, or its result is not what it should be.
 *
 * @since 0.1.0
 * @category errors
 */
export class CommandFailed extends Data.TaggedError("CommandFailed")<{
  readonly node: string
  readonly command: string
  readonly detail: string
}> {
  override get message(): string {
    return `${this.node}: ${this.command} failed: ${this.detail}`
  }
}

/**
 * A message as it was shown, and when: nanoseconds of this process's clock.
 *
 * @since 0.1.0
 * @category models
 */
export interface Shown {
  readonly message: JsonObject
  readonly at: bigint
}

type ValueOf<C extends Command> = Schema.Schema.Type<(typeof Commands.results)[C["command"]]>

/**
 * @since 0.1.0
 * @category models
 */
export interface SidecarClient {
  readonly id: string
  /** Waits until it listens: where. */
  readonly listening: Effect.Effect<PeerAddress>
  /** Sends a command and waits for the value of its result. */
  readonly ask: <C extends Command>(command: C) => Effect.Effect<ValueOf<C>, CommandFailed>
  /** Sends a command and does not wait for its result. */
  readonly tell: (command: Command) => Effect.Effect<void>
  /** Waits until it has shown the peer with that status, last. */
  readonly waitForPeer: (peer: string, status: PeerStatus) => Effect.Effect<void>
  /** What it last showed of its peers. */
  readonly peers: () => ReadonlyMap<string, PeerStatus>
  /** From now on looks for the first message like that; the effect given back waits for it. */
  readonly expectMessage: (isIt: (message: JsonObject) => boolean) => Effect.Effect<Effect.Effect<Shown>>
  /** How many messages like that have been shown. */
  readonly count: (isIt: (message: JsonObject) => boolean) => number
  /** Answers requests of a type from now on, with the `reply` command. */
  readonly answer: (type: string, reply: (payload: JsonObject) => Answer) => Effect.Effect<void>
}

/**
 * @since 0.1.0
 * @category models
 */
export type Answer = { readonly payload: JsonObject } | { readonly failure: JsonObject }

interface Waiting<A> {
  readonly isIt: (value: A) => boolean
  readonly found: Deferred.Deferred<Shown>
}

const decodeEvent = Schema.decodeUnknownEither(Schema.parseJson(Commands.Event))
const decodeValue = <C extends Command>(command: C, value: unknown): Either.Either<ValueOf<C>, unknown> => {
  const schema: Schema.Schema.AnyNoContext = Commands.results[command.command]
  return Schema.decodeUnknownEither(schema)(value)
}

const text = (member: unknown): string => (typeof member === "string" ? member : "")

/**
 * Speaks with a sidecar by its lines, until the scope closes.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly id: string
  /** What it writes. */
  readonly lines: Stream.Stream<string>
  /** Writes a line to it, newline included. */
  readonly write: (line: string) => Effect.Effect<void>
}): Effect.Effect<SidecarClient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { id, lines, write } = options
    const listening = yield* Deferred.make<PeerAddress>()
    const results = new Map<number, (event: Extract<Event, { readonly event: "result" }>) => Effect.Effect<unknown>>()
    const peers = new Map<string, PeerStatus>()
    const peerWaiting = new Set<{ readonly isIt: () => boolean; readonly found: Deferred.Deferred<void> }>()
    const messageWaiting = new Set<Waiting<JsonObject>>()
    const messages: Array<JsonObject> = []
    const answers = new Map<string, (payload: JsonObject) => Answer>()
    let refs = 0

    const tell = (command: Command): Effect.Effect<void> => write(`${JSON.stringify(command)}\n`)

    const onMessage = (message: JsonObject): Effect.Effect<void> =>
      Effect.gen(function* () {
        const at = yield* Clock.currentTimeNanos
        messages.push(message)
        for (const waiting of messageWaiting) {
          if (!waiting.isIt(message)) continue
          messageWaiting.delete(waiting)
          yield* Deferred.succeed(waiting.found, { message, at })
        }
        const reply = message["expectsReply"] === true ? answers.get(text(message["type"])) : undefined
        if (reply === undefined) return
        const answer = reply(message["payload"] as JsonObject)
        const from = text(message["sender"])
        yield* write(`${JSON.stringify({ command: "reply", from, to: message["id"], ...answer })}\n`)
      })

    const onEvent = (event: Event): Effect.Effect<unknown> => {
      switch (event.event) {
        case "listening":
          return Deferred.succeed(listening, event.address)
        case "peer":
          peers.set(event.peer.id, event.peer.status)
          return Effect.forEach([...peerWaiting], (waiting) => {
            if (!waiting.isIt()) return Effect.void
            peerWaiting.delete(waiting)
            return Deferred.succeed(waiting.found, undefined)
          })
        case "message":
          return onMessage(event.message)
        case "result":
          return typeof event.ref === "number" ? (results.get(event.ref)?.(event) ?? Effect.void) : Effect.void
        case "error":
          return Effect.logError(`${id} did not understand: ${event.error.message}`)
        case "lost":
        case "stopped":
          return Effect.void
      }
    }

    yield* Effect.forkScoped(
      Stream.runForEach(lines, (line) =>
        Either.match(decodeEvent(line), {
          onLeft: (error) => Effect.logError(`${id} wrote a line that is no event: ${error.message}`),
          onRight: onEvent
        })
      )
    )

    return {
      id,
      listening: Deferred.await(listening),
      tell,
      ask: (command) =>
        Effect.gen(function* () {
          const ref = refs++
          const result = yield* Deferred.make<ValueOf<typeof command>, CommandFailed>()
          const fail = (detail: string) =>
            Deferred.fail(result, new CommandFailed({ node: id, command: command.command, detail }))
          results.set(ref, (event) => {
            results.delete(ref)
            if (!event.ok) return fail(event.error.message)
            return Either.match(decodeValue(command, event.value), {
              onLeft: (error) => fail(String(error)),
              onRight: (value) => Deferred.succeed(result, value)
            })
          })
          yield* write(`${JSON.stringify({ ref, ...command })}\n`)
          return yield* Deferred.await(result)
        }),
      peers: () => peers,
      waitForPeer: (peer, status) => {
        const isIt = (): boolean => peers.get(peer) === status
        return Effect.gen(function* () {
          if (isIt()) return
          const found = yield* Deferred.make<void>()
          peerWaiting.add({ isIt, found })
          yield* Deferred.await(found)
        })
      },
      expectMessage: (isIt) =>
        Effect.map(Deferred.make<Shown>(), (found) => {
          messageWaiting.add({ isIt, found })
          return Deferred.await(found)
        }),
      count: (isIt) => messages.filter(isIt).length,
      answer: (type, reply) => Effect.sync(() => answers.set(type, reply))
    }
  })
