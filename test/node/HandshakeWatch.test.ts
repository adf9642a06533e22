import { assert, describe, it } from "@effect/vitest"
import { EventEmitter } from "node:events"
import type * as Net from "node:net"
import { HandshakeWatch } from "../../src/node/HandshakeWatch.js"

/** As much of a socket as is watched. */
class Watched extends EventEmitter {
  bytesRead = 300
}

const make = () => {
  let time = 0
  const watch = new HandshakeWatch(() => time)
  const cut: Array<Watched> = []
  const begin = (host: string): { readonly socket: Net.Socket; readonly watched: Watched } => {
    const watched = new Watched()
    const socket = watched as unknown as Net.Socket
    watch.begin(socket, host, () => cut.push(watched))
    return { socket, watched }
  }
  return { watch, cut, begin, pass: (millis: number) => (time += millis) }
}

const wait = (millis: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, millis))

describe("HandshakeWatch", () => {
  it("takes four handshakes of an address at once, and another when one is over or its connection gone", () => {
    const { begin, watch } = make()
    const begun = [1, 2, 3, 4].map(() => begin("10.0.0.1"))
    assert.isFalse(watch.hasRoom("10.0.0.1"))
    assert.isFalse(watch.hasRoom("::ffff:10.0.0.1"))
    assert.isTrue(watch.hasRoom("10.0.0.2"))
    assert.isFalse(watch.end(begun[0]!.socket))
    assert.isTrue(watch.hasRoom("10.0.0.1"))
    begin("10.0.0.1")
    assert.isFalse(watch.hasRoom("10.0.0.1"))
    begun[1]!.watched.emit("close")
    begun[0]!.watched.emit("close")
    assert.isTrue(watch.hasRoom("10.0.0.1"))
    begin("10.0.0.1")
    assert.isFalse(watch.hasRoom("10.0.0.1"), "none is counted twice")
    for (let n = 0; n < 4; n++) begin(`2001:db8:1:2::${n}`)
    assert.isFalse(watch.hasRoom("2001:db8:1:2:ffff::1"))
  })

  it("counts what is read after the beginning, and of one that was done what it showed alone", () => {
    const { begin, watch } = make()
    const small = begin("10.0.0.1")
    small.watched.bytesRead += 4_096
    assert.isFalse(watch.end(small.socket))
    const talkative = begin("10.0.0.1")
    talkative.watched.bytesRead += 100_000
    assert.isFalse(watch.end(talkative.socket, 4_096))
    assert.isFalse(watch.end(talkative.socket), "it is over already")
    const large = begin("10.0.0.2")
    large.watched.bytesRead += 4_097
    assert.isTrue(watch.end(large.socket))
    assert.isTrue(watch.end(begin("10.0.0.3").socket, 4_097))
    assert.deepStrictEqual(
      ["10.0.0.1", "10.0.0.2", "10.0.0.3"].map((host) => watch.isShutOut(host)),
      [false, true, true]
    )
  })

  it("ends all of an address where one takes too much, and lets it come again after five minutes", async () => {
    const { begin, cut, pass, watch } = make()
    const all = [begin("10.0.0.1"), begin("10.0.0.1"), begin("10.0.0.2")]
    all[1]!.watched.bytesRead += 5_000
    await wait(60)
    assert.sameMembers(cut, [all[0]!.watched, all[1]!.watched])
    assert.isTrue(watch.isShutOut("10.0.0.1"))
    assert.isTrue(watch.hasRoom("10.0.0.1"))
    assert.isFalse(watch.isShutOut("10.0.0.2"))
    pass(300_000)
    assert.isFalse(watch.isShutOut("10.0.0.1"))
  })

  it("shuts out who goes before it is looked", () => {
    const { begin, watch } = make()
    const { watched } = begin("10.0.0.1")
    watched.bytesRead += 90_000
    watched.emit("close")
    assert.isTrue(watch.isShutOut("10.0.0.1"))
  })

  it("holds nothing against loopback, and ends the handshake all the same", async () => {
    const { begin, cut, watch } = make()
    const all = ["127.0.0.1", "::ffff:127.0.0.1", "::1", "127.0.0.1", "127.0.0.1"].map(begin)
    assert.isTrue(watch.hasRoom("127.0.0.1"))
    for (const { watched } of all) watched.bytesRead += 5_000
    await wait(60)
    assert.lengthOf(cut, all.length)
    assert.isFalse(watch.isShutOut("127.0.0.1"))
  })

  it("remembers 4,096 addresses at most", () => {
    const { begin, watch } = make()
    for (let n = 0; n < 5_000; n++) watch.end(begin(`10.0.${n >> 8}.${n & 255}`).socket, 5_000)
    const held = Array.from({ length: 5_000 }, (_, n) => watch.isShutOut(`10.0.${n >> 8}.${n & 255}`))
    assert.strictEqual(held.filter(Boolean).length, 4_096)
    assert.isTrue(held[4_999])
  })
})
