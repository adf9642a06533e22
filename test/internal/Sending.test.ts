import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import { Duplex } from "node:stream"
import { Connection } from "../../src/Connection.js"
import * as Frame from "../../src/Frame.js"
import * as Sending from "../../src/internal/Sending.js"
import * as Message from "../../src/Message.js"
import { Disconnected } from "../../src/NetworkError.js"
import { fromDuplex } from "../../src/node/DuplexLink.js"
import * as NodeId from "../../src/NodeId.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import type { Link } from "../../src/Transport.js"
import { manualDeadlines } from "../utils/manualDeadlines.js"
import { ManualLink } from "../utils/ManualLink.js"

const peer = NodeId.make("peer")

const addresses = { remote: PeerAddress.make("10.0.0.2", 50_000), local: PeerAddress.make("10.0.0.1", 9470) }

/** A stream that takes whatever is written at once, as an operating system does whose other end keeps up. */
const insatiable = (): Duplex =>
  new Duplex({ allowHalfOpen: true, read: () => {}, write: (_chunk, _encoding, taken) => taken() })

const ignoring = {
  receive: () => {},
  invalid: () => {},
  fault: () => {},
  ended: () => {},
  recovered: () => {},
  closed: () => {}
}

const { deadlines } = manualDeadlines()

const sending = Sending.make(
  { sendTimeout: Duration.seconds(5), maxMessageBytes: 1_048_576 },
  {
    deadlines,
    encodeOwn: (envelope) => Frame.encode(Message.encodeOwn(envelope)),
    frameOwn: (envelope) => new Frame.Text(Message.encodeOwn(envelope))
  }
)

const connectionOver = (link: Link): Connection => {
  const connection = new Connection({
    link,
    owner: ignoring,
    settings: {
      maxMessageBytes: 1_048_576,
      outbound: { messages: 1_024, bytes: 8_388_608 },
      inbound: { messages: 256, bytes: 4_194_304 },
      closeTimeout: 2_000
    },
    deadlines,
    ping: (seq) => Frame.encode(`{"ping":${seq}}`)
  })
  connection.attach(5_000, () => {})
  connection.open(
    { id: peer, session: "s", relay: true, maxMessageBytes: 1_048_576, listen: [], agent: undefined, tags: {} },
    0
  )
  return connection
}

let made = 0

const note = (bytes: number, ttl?: number): Message.Envelope => ({
  type: "NOTE",
  id: `note-${made++}`,
  sender: NodeId.make("self"),
  timestamp: "2026-11-22T14:00:00Z",
  payload: { text: "x".repeat(bytes) },
  ...(ttl === undefined ? {} : { ttl })
})

/** Does it so often, and gives the most that ever waited in the outbox of one of the connections afterwards, in bytes. */
const mostQueued = <E>(connections: ReadonlyArray<Connection>, times: number, doing: Effect.Effect<unknown, E>) =>
  Effect.gen(function* () {
    let most = 0
    for (let i = 0; i < times; i++) {
      yield* doing
      for (const { outbox } of connections) most = Math.max(most, outbox.queuedBytes)
    }
    return most
  })

describe("Sending over a link that takes all there is", () => {
  for (const bytes of [100, 1_024, 65_536, 300_000]) {
    it.effect(`messages of ${bytes} bytes do not pile up, one by one`, () =>
      Effect.gen(function* () {
        const connection = connectionOver(fromDuplex(insatiable(), addresses))
        const most = yield* mostQueued(
          [connection],
          Math.ceil(20_000_000 / (bytes + 1_000)),
          Effect.suspend(() => sending.hand(connection, peer, note(bytes)))
        )
        assert.isAtMost(most, 65_536 + 2 * bytes)
      })
    )
  }

  it.effect("what piled up while the other end took nothing goes, though more is sent without end", () =>
    Effect.gen(function* () {
      const held: Array<() => void> = []
      let isHeld = true
      const stream = new Duplex({
        allowHalfOpen: true,
        read: () => {},
        write: (_chunk, _encoding, taken) => {
          if (isHeld) held.push(taken)
          else taken()
        }
      })
      const connection = connectionOver(fromDuplex(stream, addresses))
      const sender = yield* Effect.fork(
        Effect.repeatN(
          Effect.suspend(() => sending.hand(connection, peer, note(65_536))),
          600
        )
      )
      while (connection.outbox.hasRoom(70_000)) yield* Effect.yieldNow()
      isHeld = false
      for (const taken of held) taken()
      yield* Fiber.join(sender)
      assert.isAtMost(connection.outbox.queuedBytes, 200_000)
      connection.destroy(new Disconnected({ address: addresses.remote, origin: "local", detail: "" }))
    })
  )

  it.effect("nor do those of a batch", () =>
    Effect.gen(function* () {
      const connection = connectionOver(fromDuplex(insatiable(), addresses))
      let most = 0
      let left = 200
      const ids = yield* sending.handAll(peer, () => {
        most = Math.max(most, connection.outbox.queuedBytes)
        return left-- > 0 ? Either.right({ connection, envelope: note(65_536) }) : undefined
      })
      assert.strictEqual(new Set(ids).size, 200)
      assert.isAtMost(most, 200_000)
    })
  )

  it.effect("nor broadcasts, while a peer whose link takes nothing holds up nobody", () =>
    Effect.gen(function* () {
      const quick = Array.from({ length: 5 }, () => connectionOver(fromDuplex(insatiable(), addresses)))
      const stuck = connectionOver(new ManualLink())
      const live = new Map([...quick, stuck].map((connection, i) => [NodeId.make(`peer-${i}`), connection]))
      const most = yield* mostQueued(
        quick,
        1_000,
        Effect.suspend(() => sending.fanOut(note(1_024, 8), live))
      )
      assert.isAtMost(most, 70_000)
      assert.isAbove(stuck.outbox.queuedBytes, 1_000_000)
    })
  )
})

describe("Sending over a link that takes nothing", () => {
  it.effect("messages are handed over as long as there is room, which takes no time but turns of the event loop", () =>
    Effect.gen(function* () {
      const link = new ManualLink()
      const connection = connectionOver(link)
      link.isTaken = false
      link.whenIdle = (run) => void setImmediate(run)
      for (let i = 0; i < 100; i++) yield* sending.hand(connection, peer, note(65_536))
      assert.isAbove(connection.outbox.queuedBytes, 6_000_000)
    })
  )
})
