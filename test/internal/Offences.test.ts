import { assert, describe, it } from "@effect/vitest"
import { Offences } from "../../src/internal/Offences.js"

describe("Offences", () => {
  it("bans at the last one allowed within a minute, for as long as was said", () => {
    const offences = new Offences(3, 1_000)
    assert.deepStrictEqual(
      [0, 59_998, 59_999].map((now) => offences.count("h", now)),
      [false, false, true]
    )
    assert.strictEqual(offences.bannedFor("h", 60_000), 999)
    assert.strictEqual(offences.bannedFor("h", 60_998), 1)
    assert.isUndefined(offences.bannedFor("h", 60_999))
    assert.isFalse(offences.count("h", 61_000), "it begins anew")
  })

  it("forgets what is a minute old, and counts each address by itself", () => {
    const offences = new Offences(2, 1_000)
    assert.isFalse(offences.count("h", 0))
    assert.isFalse(offences.count("other", 1))
    assert.isFalse(offences.count("h", 60_000))
    assert.isTrue(offences.count("h", 60_001))
    assert.isUndefined(offences.bannedFor("other", 60_001))
  })

  it("never bans where bans are off", () => {
    const offences = new Offences(1, 0)
    assert.isFalse(offences.count("h", 0))
    assert.isUndefined(offences.bannedFor("h", 0))
  })

  it("remembers 4,096 addresses, and forgets the one quiet for longest first", () => {
    const offences = new Offences(2, 1_000)
    for (let i = 0; i < 4_096; i++) offences.count(`h${i}`, 0)
    offences.count("one more", 0)
    assert.isFalse(offences.count("h0", 0), "forgotten")
    assert.isTrue(offences.count("h4095", 0), "remembered")
  })
})
