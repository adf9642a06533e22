/**
 * The network service as the application under test gets it: the real one, which notes what is sent, fails where it is
 * told to, and knows who reads its streams.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Cause from "effect/Cause"
import * as Option from "effect/Option"
import type { MessageType, RequestType } from "../../MessageType.js"
import {
  MessageTooLarge,
  NetworkNotRunning,
  PayloadInvalid,
  PeerNotConnected,
  SendTimeout,
  type RequestError
} from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import { P2PNetwork } from "../../P2PNetwork.js"
import type { Failures, Sent } from "../../testing/P2PNetworkTest.js"
import { Readers } from "./Readers.js"
import { SentMessages } from "./SentMessages.js"

type Network = P2PNetwork["Type"]
type Operation = keyof Failures

export class ObservedNetwork {
  readonly sent = new SentMessages()
  readonly eventReaders = new Readers()
  private readonly messageReaders = new Map<string, Readers>()
  private readonly failures = new Map<Operation, Array<unknown>>()
  private readonly inner: Network

  constructor(inner: Network) {
    this.inner = inner
  }

  /** The next uses of the operation, as many as there are errors, fail so. */
  fail<Op extends Operation>(operation: Op, errors: ReadonlyArray<Failures[Op]>): void {
    this.failures.set(operation, [...(this.failures.get(operation) ?? []), ...errors])
  }

  readersOf(type: string): Readers {
    const known = this.messageReaders.get(type) ?? new Readers()
    this.messageReaders.set(type, known)
    return known
  }

  get service(): Network {
    const { inner } = this
    return P2PNetwork.of({
      ...inner,
      start: this.unless("start", inner.start),
      connect: (address, options) => this.unless("connect", inner.connect(address, options)),
      sendMessage: (peer, type, payload, options) =>
        this.unless(
          "sendMessage",
          Effect.tap(inner.sendMessage(peer, type, payload, options), () => this.note("message", peer, type, payload))
        ),
      sendMessages: (peer, type, payloads) =>
        this.unless(
          "sendMessages",
          Effect.suspend(() => {
            const all = [...payloads]
            const taken = (count: number) =>
              Effect.sync(() => {
                for (const payload of all.slice(0, count)) this.note("message", peer, type, payload)
              })
            return inner.sendMessages(peer, type, all).pipe(
              Effect.tap((ids) => taken(ids.length)),
              Effect.tapError((error) => taken(error.taken))
            )
          })
        ),
      request: (peer, type, payload, options) =>
        this.unless("request", this.noteRequest(peer, type, payload, inner.request(peer, type, payload, options))),
      broadcast: (type, payload) =>
        this.unless(
          "broadcast",
          Effect.tap(inner.broadcast(type, payload), ({ sent }) => {
            this.sent.add({ kind: "broadcast", type: type.name, payload, to: sent })
          })
        ),
      events: this.eventReaders.known(inner.events, (event) => event),
      messages: (type) => this.readersOf(type.name).known(inner.messages(type), ({ id }) => id)
    })
  }

  private unless<A, E, R>(operation: Operation, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.suspend(() => {
      const errors = this.failures.get(operation) ?? []
      // `fail` has taken it as an error of this operation.
      return errors.length === 0 ? effect : Effect.fail(errors.shift() as E)
    })
  }

  private note<A, I>(kind: Sent<A>["kind"], peer: string, type: MessageType<A, I>, payload: A): Sent<A> {
    // Only to a node can something be sent.
    const sent: Sent<A> = { kind, type: type.name, payload, to: [peer as NodeId] }
    this.sent.add(sent)
    return sent
  }

  /** A request is sent when it waits for its answer, which may never come. */
  private noteRequest<A, B, F, I>(
    peer: string,
    type: RequestType<A, B, F, I>,
    payload: A,
    request: Effect.Effect<B, RequestError | F>
  ): Effect.Effect<B, RequestError | F> {
    return Effect.suspend(() => {
      let sent: Sent<A> | undefined
      let isOver = false
      const noteOnce = Effect.sync(() => {
        if (!isOver) sent = this.note("request", peer, type, payload)
      })
      // The fiber takes its turn when the request waits.
      return Effect.zipRight(Effect.forkDaemon(noteOnce), request).pipe(
        Effect.onExit((exit) =>
          Effect.sync(() => {
            isOver = true
            const isSent = !wasRefusedHere(exit)
            if (isSent) sent ??= this.note("request", peer, type, payload)
            else if (sent !== undefined) this.sent.remove(sent)
          })
        )
      )
    })
  }
}

/** Whether it has not even been handed to a connection. */
const wasRefusedHere = (exit: Exit.Exit<unknown, unknown>): boolean => {
  if (Exit.isSuccess(exit)) return false
  const error = Option.getOrUndefined(Cause.failureOption(exit.cause))
  return (
    error instanceof PeerNotConnected ||
    error instanceof SendTimeout ||
    error instanceof MessageTooLarge ||
    error instanceof PayloadInvalid ||
    error instanceof NetworkNotRunning
  )
}
