/** A node over real TCP that is to be attacked, and how it is seen to bear it. */
import { assert, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as MessageType from "../../src/MessageType.js"
import type * as NetworkConfig from "../../src/NetworkConfig.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import type { NetworkEvent, NetworkStatus } from "../../src/Peer.js"
import * as Handler from "../../src/Handler.js"
import { plain } from "./plain.js"
import type { RawPeer } from "./rawPeer.js"
import * as Raw from "./rawPeer.js"

export const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
export const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.String })
)

/** A test over real sockets, without the node's log. */
export const hostile = <E>(sentence: string, body: () => Effect.Effect<void, E, Scope.Scope>): void =>
  it.live(
    sentence,
    () => Effect.suspend(body).pipe(Effect.scoped, Effect.provide(Logger.remove(Logger.defaultLogger))),
    10_000
  )

export interface HostileNode {
  readonly network: P2PNetwork["Type"]
  readonly port: number
  /** The ids of the CHATs that were delivered. */
  readonly delivered: Array<string>
  readonly events: Array<NetworkEvent>
  readonly count: (name: string) => Effect.Effect<number>
  /** Waits until the node's status is so. */
  readonly until: (what: string, condition: (status: NetworkStatus) => boolean) => Effect.Effect<void>
}

/**
 * `node-a`, which listens for CHAT and answers ASK. Bans are off unless the settings turn them on. `onChat` runs for each
 * CHAT after it is noted.
 */
export const startNode = (
  settings: NetworkConfig.Input = {},
  onChat: Effect.Effect<void> = Effect.void,
  options: { readonly autoStart?: boolean } = {}
): Effect.Effect<HostileNode, never, Scope.Scope> =>
  Effect.gen(function* () {
    const delivered: Array<string> = []
    const events: Array<NetworkEvent> = []
    const context = yield* Layer.build(
      P2PNetworkNode.layer({
        host: "127.0.0.1",
        port: 0,
        ...plain,
        nodeId: "node-a",
        maxInvalidMessages: 100_000,
        closeTimeout: "500 millis",
        shutdownGrace: "1 seconds",
        ...settings,
        ...options,
        handlers: [
          Handler.make(Chat, ({ id }) => {
            delivered.push(id)
            return onChat
          }),
          Handler.make(Ask, ({ payload }) => Effect.succeed({ answer: payload.question.toUpperCase() }))
        ]
      })
    ).pipe(Effect.orDie)
    const network = Context.get(context, P2PNetwork)
    const { address } = yield* network.status
    yield* Effect.forkScoped(Stream.runForEach(network.events, (event) => Effect.sync(() => events.push(event))))
    yield* Effect.sleep(1)

    const until = (what: string, condition: (status: NetworkStatus) => boolean): Effect.Effect<void> => {
      const look: Effect.Effect<void> = Effect.flatMap(network.status, (status) =>
        condition(status) ? Effect.void : Effect.delay(look, 10)
      )
      return look.pipe(
        Effect.timeoutFail({ duration: 5_000, onTimeout: () => new Error(`the node is not so: ${what}`) }),
        Effect.orDie
      )
    }
    return {
      network,
      port: address?.port ?? 0,
      delivered,
      events,
      count: (name) => Effect.map(network.status, ({ counts }) => counts[name] ?? 0),
      until
    }
  })

/** Checks an ERROR that a node sent: its envelope, its code, and which message it is about. */
export const assertError = (
  error: RawPeer["received"][number] | undefined,
  expected: {
    readonly code: string
    readonly fatal: boolean
    readonly replyTo?: string | undefined
    readonly member?: string | null | undefined
    readonly sender?: string
  }
): void => {
  assert.isDefined(error, `an ERROR ${expected.code}`)
  assert.strictEqual(error.type, "ERROR")
  assert.strictEqual(error.sender, expected.sender ?? "node-a")
  assert.deepStrictEqual(
    { code: error.payload["code"], fatal: error.payload["fatal"], replyTo: error.replyTo },
    { code: expected.code, fatal: expected.fatal, replyTo: expected.replyTo },
    JSON.stringify(error)
  )
  const text = error.payload["message"]
  assert.isString(text)
  if (typeof expected.member === "string") assert.include(text as string, expected.member)
  assert.notInclude((text as string).toLowerCase(), "secret", "nothing of the offending message is repeated")
}

// --- How a node bears it ---

// A flag of the engine, which may be set while it runs: what is then made of it is a new context's own.
setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

const mebibyte = 1_048_576

/** Mebibytes in use, without garbage. */
export const memory = (): number => {
  collectGarbage()
  const { external, heapUsed } = process.memoryUsage()
  return (heapUsed + external) / mebibyte
}

export interface Patient {
  readonly peer: RawPeer
  /** Checks that every ping so far has had its pong within a second, and waits for some more. */
  readonly isWell: Effect.Effect<void>
}

/** A well-behaved peer of the node, which pings every 100 ms. */
export const watchPatient = (
  port: number,
  hello: Readonly<Record<string, unknown>> = {}
): Effect.Effect<Patient, never, Scope.Scope> =>
  Effect.gen(function* () {
    const peer = yield* Raw.connect(port, { hello })
    const millis: Array<number> = []
    let failure: unknown
    yield* Effect.gen(function* () {
      const id = peer.ping(millis.length)
      const sent = performance.now()
      yield* peer.pong(id)
      millis.push(performance.now() - sent)
      yield* Effect.sleep(100)
    }).pipe(
      Effect.forever,
      Effect.catchAllCause((cause) =>
        Effect.sync(() => {
          failure ??= cause
        })
      ),
      Effect.forkScoped
    )
    const beats = (count: number): Effect.Effect<void> =>
      millis.length >= count || failure !== undefined
        ? Effect.void
        : Effect.delay(
            Effect.suspend(() => beats(count)),
            20
          )
    return {
      peer,
      isWell: Effect.suspend(() => {
        const seen = millis.length
        return Effect.map(beats(seen + 2), () => {
          assert.isUndefined(failure, `a ping had no pong: ${String(failure)}`)
          assert.isBelow(Math.max(...millis), 3_000, "the worst pong, milliseconds")
        })
      })
    }
  })

/** Checks that a connection serves: a ping is answered. */
export const assertServes = (peer: RawPeer): Effect.Effect<void> =>
  Effect.asVoid(Effect.suspend(() => peer.pong(peer.ping(1))))

/** Checks that the node has ended the connection in order: its FIN came, and after ours the connection is closed. */
export const assertClosesInOrder = (peer: RawPeer): Effect.Effect<void> =>
  Effect.gen(function* () {
    yield* peer.ended
    assert.isTrue(peer.hasEnded, "the node ends with FIN")
    peer.end()
    yield* peer.closed
    assert.isUndefined(peer.cause)
  })
