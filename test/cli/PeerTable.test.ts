import { assert, describe, it } from "@effect/vitest"
import * as PeerTable from "../../src/cli/PeerTable.js"
import type { Peer } from "../../src/Peer.js"
import * as FakeNetwork from "./support/FakeNetwork.js"

const now = Date.parse("2026-11-22T14:01:30.000Z")

const view = (peers: ReadonlyArray<Peer>, change: Partial<typeof FakeNetwork.status> = {}): PeerTable.View => ({
  status: { ...FakeNetwork.status, ...change },
  peers,
  now
})

describe("PeerTable", () => {
  it("shows the node, then its peers, the live ones first, in aligned columns", () => {
    const peers = [
      FakeNetwork.peer("node-d", { status: "dead" }),
      FakeNetwork.peer("node-c", { direction: "inbound", roundTrip: { lastMs: 0.54, meanMs: 1, p99Ms: 2 } }),
      FakeNetwork.peer("b", { status: "suspect" })
    ]
    assert.deepStrictEqual(PeerTable.render(view(peers), 100, 20), [
      "node-a at 127.0.0.1:9470 · network synapse · up 1 min · 3 peers, 1 connected",
      "PEER    STATUS       FOR  DIRECTION  ADDRESS         ROUND TRIP  IN  OUT",
      "node-c  connected  1 min  inbound    127.0.0.1:9471      0.5 ms   3    4",
      "b       suspect    1 min  outbound   127.0.0.1:9471               3    4",
      "node-d  dead       1 min  outbound   127.0.0.1:9471               3    4"
    ])
  })

  it("shows the node alone when it knows nobody, with what it dials", () => {
    const dialing = [{ address: FakeNetwork.address, attempts: 1 }]
    assert.deepStrictEqual(PeerTable.render(view([], { dialing }), 200, 20), [
      "node-a at 127.0.0.1:9470 · network synapse · up 1 min · 0 peers, 1 connected · 1 address to dial"
    ])
  })

  it("never takes more lines or columns than there are, and counts what it leaves out", () => {
    const peers = Array.from({ length: 50 }, (_, index) => FakeNetwork.peer(`node-${index}`))
    const lines = PeerTable.render(view(peers), 40, 10)
    assert.strictEqual(lines.length, 10)
    assert.isTrue(lines.every((line) => line.length <= 40))
    assert.strictEqual(lines.at(-1), "… and 43 more")
  })

  it("leaves out where it listens while it does not", () => {
    const { address: _, ...status } = FakeNetwork.status
    const [line] = PeerTable.render({ status, peers: [], now }, 100, 10)
    assert.isTrue(line?.startsWith("node-a · network"))
  })

  it("gives spans of time in their largest unit", () => {
    const second = 1000
    assert.deepStrictEqual(
      [-5, 0, 59 * second, 60 * second, 3599 * second, 3600 * second, 90_000 * second].map(PeerTable.span),
      ["0 s", "0 s", "59 s", "1 min", "59 min", "1 h", "1 d"]
    )
  })
})
