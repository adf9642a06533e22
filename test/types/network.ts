/** Compiled only: what the compiler must infer, and what it must refuse. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { JsonObject } from "../../src/Message.js"
import * as MessageType from "../../src/MessageType.js"
import type { NetworkConfig } from "../../src/NetworkConfig.js"
import type { ConfigInvalid, HandlerExists, ListenFailed, RequestError, SendError } from "../../src/NetworkError.js"
import type { NodeIdentity } from "../../src/NodeIdentity.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import * as P2PNetwork from "../../src/P2PNetwork.js"
import * as Handler from "../../src/Handler.js"
import type { Transport } from "../../src/Transport.js"

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false

const same = <A, B>(isSame: Same<A, B>): boolean => isSame

type Success<T> = T extends Effect.Effect<infer A, infer _E, infer _R> ? A : never
type Failure<T> = T extends Effect.Effect<infer _A, infer E, infer _R> ? E : never
type Needs<T> = T extends Effect.Effect<infer _A, infer _E, infer R> ? R : never

class Store extends Context.Tag("test/Store")<Store, { readonly put: (text: string) => Effect.Effect<void> }>() {}

class Refusal extends Schema.TaggedError<Refusal>()("Refusal", { reason: Schema.String }) {}

const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String, at: Schema.DateFromString }))
const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.Number }),
  Refusal
)
const Plain = MessageType.request("PLAIN", Schema.Struct({}), Schema.Struct({ ok: Schema.Boolean }))

export const applications = (network: P2PNetwork.P2PNetwork["Type"]) => {
  const handlesChat = network.handle(Chat, ({ payload, sender }) => {
    same<typeof payload, { readonly text: string; readonly at: Date }>(true)
    return Effect.flatMap(Store, (store) => store.put(`${sender} ${payload.text}`))
  })
  same<Needs<typeof handlesChat>, Store | Scope.Scope>(true)
  same<Failure<typeof handlesChat>, HandlerExists>(true)

  // A one-way handler may fail with anything: it is logged.
  const failing = network.handle(Chat, () => Effect.fail("whatever" as const))
  same<Failure<typeof failing>, HandlerExists>(true)

  const handlesAsk = network.handle(Ask, ({ payload }) =>
    payload.question === "" ? new Refusal({ reason: "empty" }) : Effect.succeed({ answer: 1 })
  )
  same<Needs<typeof handlesAsk>, Scope.Scope>(true)

  const handlesOther = network.handleOther(({ payload }) => {
    same<typeof payload, JsonObject>(true)
    return Effect.succeed({ echo: payload })
  })

  const asked = network.request("b", Ask, { question: "?" })
  same<Success<typeof asked>, { readonly answer: number }>(true)
  same<Failure<typeof asked>, RequestError | Refusal>(true)

  const plain = network.request("b", Plain, {})
  same<Success<typeof plain>, { readonly ok: boolean }>(true)
  same<Failure<typeof plain>, RequestError>(true)

  const sent = network.sendMessage("b", Chat, { text: "", at: new Date(0) })
  same<Success<typeof sent>, string>(true)
  same<Failure<typeof sent>, SendError>(true)

  // @ts-expect-error the payload is not of the type
  const wrong = network.sendMessage("b", Chat, { text: 1, at: new Date(0) })
  // @ts-expect-error a one-way type is not asked
  const asksChat = network.request("b", Chat, { text: "", at: new Date(0) })
  return [handlesChat, failing, handlesAsk, handlesOther, asked, plain, sent, wrong, asksChat]
}

// @ts-expect-error a payload is an object
export const Text = MessageType.make("TEXT", Schema.String)

const stored = Handler.make(Chat, () => Effect.flatMap(Store, (store) => store.put("")))
same<typeof stored, Handler.Handler<Store>>(true)

export const node = P2PNetworkNode.layer({ port: 0, handlers: [stored] })
same<Layer.Layer.Success<typeof node>, P2PNetwork.P2PNetwork>(true)
same<Layer.Layer.Context<typeof node>, Store>(true)
same<
  Extract<Layer.Layer.Error<typeof node>, ListenFailed | HandlerExists | ConfigInvalid>,
  ListenFailed | HandlerExists | ConfigInvalid
>(true)

export const network = P2PNetwork.layer()
same<
  typeof network,
  Layer.Layer<P2PNetwork.P2PNetwork, ListenFailed | HandlerExists, NetworkConfig | NodeIdentity | Transport>
>(true)
