/**
 * A chat room on the network: a service of an application, tested in room.test.ts.
 */
import { Array, Context, Data, Effect, Layer, Ref, Schema, Stream } from "effect"
import { MessageType, P2PNetwork } from "synapse-p2p"

export const Said = MessageType.make("SAID", Schema.Struct({ text: Schema.String }))
export const Topic = MessageType.request("TOPIC", Schema.Struct({}), Schema.Struct({ topic: Schema.String }))

export class NobodyAnswers extends Data.TaggedError("NobodyAnswers")<{}> {}

export class Room extends Context.Tag("example/Room")<
  Room,
  {
    readonly say: (text: string) => Effect.Effect<void>
    /** What was said and who was lost. */
    readonly lines: Effect.Effect<ReadonlyArray<string>>
    /** The topic, from the first member that answers within 2 seconds. */
    readonly topic: Effect.Effect<string, NobodyAnswers>
  }
>() {
  static readonly layer = Layer.scoped(
    Room,
    Effect.gen(function* () {
      const network = yield* P2PNetwork
      const lines = yield* Ref.make<ReadonlyArray<string>>([])
      const note = (line: string) => Ref.update(lines, Array.append(line))

      yield* network.handle(Said, ({ payload, sender }) => note(`${sender}: ${payload.text}`))
      yield* Stream.runForEach(network.events, (event) =>
        event._tag === "PeerDead" ? note(`(${event.peer.id} is lost)`) : Effect.void
      ).pipe(Effect.forkScoped)

      return Room.of({
        say: (text) =>
          network.broadcast(Said, { text }).pipe(
            Effect.zipRight(note(`me: ${text}`)),
            Effect.catchAll((error) => note(`(not sent: ${error.message})`))
          ),
        lines: Ref.get(lines),
        topic: Effect.gen(function* () {
          const members = yield* network.peers({ status: "connected" })
          const answers = members.map(({ id }) => network.request(id, Topic, {}, { timeout: "2 seconds" }))
          const { topic } = yield* Effect.firstSuccessOf([...answers, Effect.fail(new NobodyAnswers())])
          return topic
        }).pipe(Effect.mapError(() => new NobodyAnswers()))
      })
    })
  )
}
