/** Peer books in any state that the transitions can bring about. */
import * as fc from "fast-check"
import type { Identity } from "../../src/Connection.js"
import * as NodeId from "../../src/NodeId.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as PeerBook from "../../src/PeerBook.js"

export const self = NodeId.make("self")
export const ids = ["a", "b", "c", "d", "e", "f"].map((name) => NodeId.make(name))
export const addresses = ["10.0.0.1", "10.0.0.2", "10.0.0.3"].flatMap((host) =>
  [1, 2, 3].map((port) => PeerAddress.make(host, port))
)

export const limits: PeerBook.Limits = { peers: 4, hints: 5, hintsPerTeller: 3 }

export const identity = (id: NodeId.NodeId, listen: ReadonlyArray<PeerAddress.PeerAddress>): Identity => ({
  id,
  session: "s",
  relay: true,
  maxMessageBytes: 65_536,
  listen,
  agent: undefined,
  tags: {}
})

export const error = { _tag: "ConnectionLost", message: "lost" }

/** A step at a time: monotonic and wall clock are the same here. */
export type Step = (state: PeerBook.State, now: number) => PeerBook.State

export const id = fc.constantFrom(...ids)
export const address = fc.constantFrom(...addresses)
const someAddresses = fc.uniqueArray(address, { maxLength: 3 })
const wait = fc.constantFrom(0, 50, 1_000, 60_000, Infinity)

const redial = fc.option(fc.record({ after: fc.constantFrom(0, 50, 1_000), giveUpAfter: fc.constant(600_000) }), {
  nil: undefined
})

export const step: fc.Arbitrary<Step> = fc.oneof(
  fc.tuple(id, someAddresses, fc.option(address, { nil: undefined })).map(
    ([id, listen, dialed]): Step =>
      (state, now) =>
        PeerBook.connected(
          state,
          {
            identity: identity(id, listen),
            direction: dialed === undefined ? "inbound" : "outbound",
            address: dialed ?? PeerAddress.make(listen[0]?.host ?? "10.0.0.9", 50_000),
            dialed,
            openedAt: now
          },
          now,
          limits
        )
  ),
  fc
    .tuple(
      id,
      fc.constantFrom<PeerBook.Ending["status"]>("disconnected", "dead", "left", "banned"),
      wait,
      redial,
      fc.nat({ max: 8 })
    )
    .map(
      ([id, status, avoidFor, redial, failures]): Step =>
        (state, now) =>
          PeerBook.ended(state, id, { status, error, failures, avoidFor, redial }, now, now)
    ),
  fc.tuple(address, wait).map(
    ([address, retryAfter]): Step =>
      (state, now) =>
        PeerBook.dialFailed(state, address, { error, retryAfter, giveUpAfter: 600_000 }, now)
  ),
  fc
    .tuple(id, fc.array(fc.record({ id: fc.oneof(id, fc.constant(self)), addresses: someAddresses }), { maxLength: 5 }))
    .map(
      ([teller, entries]): Step =>
        (state, now) =>
          PeerBook.hinted(state, self, teller, entries, now, limits)
    ),
  address.map(
    (address): Step =>
      (state) =>
        PeerBook.addBootstrap(state, address)
  ),
  address.map(
    (address): Step =>
      (state) =>
        PeerBook.isSelf(state, address)
  ),
  fc.tuple(address, id).map(
    ([address, id]): Step =>
      (state) =>
        PeerBook.answered(state, address, id)
  ),
  fc.tuple(address, wait).map(
    ([address, avoidFor]): Step =>
      (state, now) =>
        PeerBook.refused(state, address, avoidFor, now)
  ),
  fc.tuple(id, fc.boolean()).map(
    ([id, isSuspect]): Step =>
      (state, now) =>
        PeerBook.suspected(state, id, isSuspect, now)
  ),
  id.map(
    (id): Step =>
      (state) =>
        PeerBook.requested(state, id)
  ),
  fc.constant<Step>((state, now) => PeerBook.expired(state, now))
)

/** A book after any steps, at any moment, and that moment. */
export const book: fc.Arbitrary<readonly [state: PeerBook.State, now: number]> = fc
  .array(fc.tuple(step, fc.constantFrom(0, 1, 100, 30_000, 700_000)), { maxLength: 40 })
  .map((steps) =>
    steps.reduce<readonly [PeerBook.State, number]>(
      ([state, now], [step, passed]) => [step(state, now), now + passed],
      [PeerBook.empty, 1_000]
    )
  )
