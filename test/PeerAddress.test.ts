import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Equal from "effect/Equal"
import * as Hash from "effect/Hash"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as PeerAddress from "../src/PeerAddress.js"

const port = fc.integer({ min: 0, max: 65_535 })
const name = fc.domain()
const host = fc.oneof(
  name,
  fc.ipV4(),
  fc.ipV6().filter((text) => !/^::ffff:\d/i.test(text)),
  fc.constantFrom("::1", "fe80::1%eth0")
)

const parsed = (text: string): PeerAddress.PeerAddress => Either.getOrThrow(PeerAddress.parse(text))

const kinds = (host: string) =>
  [
    PeerAddress.isLoopback(host) && "loopback",
    PeerAddress.isLinkLocal(host) && "link-local",
    PeerAddress.isUnspecified(host) && "unspecified"
  ].filter((kind) => kind !== false)

describe("PeerAddress", () => {
  it("reads what it writes, for names, IPv4 and IPv6", () => {
    fc.assert(
      fc.property(host, port, (host, port) => {
        const address = PeerAddress.make(host, port)
        assert.strictEqual(address.toString(), host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`)
        const again = parsed(address.toString())
        assert.deepStrictEqual([again.host, again.port], [host, port])
        assert.isTrue(Equal.equals(again, address))
        assert.strictEqual(Hash.hash(again), Hash.hash(address))
      })
    )
  })

  it("says what is wrong with a text that is no address, and repeats no long one", () => {
    const wrong: ReadonlyArray<readonly [text: string, reason: RegExp]> = [
      ["", /is not host:port/],
      ["host", /is not host:port/],
      [":9470", /is not host:port/],
      ["host:", /is not host:port/],
      ["host:port", /is not host:port/],
      ["::1:9470", /in brackets/],
      ["[::1]", /is not host:port/],
      ["[::1:9470", /is not host:port/],
      ["http://host:1", /is not host:port/],
      ["user@host:1", /is not host:port/],
      ["two words:1", /is not host:port/],
      ["host:-1", /is not host:port/],
      ["host:1.5", /is not host:port/],
      ["host:123456", /is not host:port/],
      ["host:65536", /a port is at most 65535/],
      [`${"a".repeat(254)}:1`, /a host has at most 253 bytes/]
    ]
    for (const [text, reason] of wrong) {
      const result = PeerAddress.parse(text)
      assert.isTrue(Either.isLeft(result), text)
      assert.match(Either.getOrThrow(Either.flip(result)), reason)
    }
    const long = PeerAddress.parse(`${"a".repeat(5_000)}:1`)
    assert.isBelow(Either.getOrThrow(Either.flip(long)).length, 200)
  })

  it("reads any text without a throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.string({ unit: "binary" })), (text) => {
        const result = PeerAddress.parse(text)
        const port = Either.isRight(result) ? result.right.port : 0
        assert.isTrue(Number.isInteger(port) && port >= 0 && port <= 65_535)
      })
    )
  })

  it("takes no host of more than 253 bytes and no port out of range", () => {
    assert.throws(() => PeerAddress.make("ä".repeat(127), 1), /at most 253 bytes/)
    assert.strictEqual(PeerAddress.make("ä".repeat(126), 1).port, 1)
    for (const port of [-1, 65_536, 1.5, Number.NaN]) assert.throws(() => PeerAddress.make("host", port))
  })

  it("writes IPv4 mapped into IPv6 as IPv4, so that both are one address", () => {
    assert.strictEqual(PeerAddress.make("::ffff:10.0.0.6", 9470).toString(), "10.0.0.6:9470")
    assert.strictEqual(parsed("[::FFFF:10.0.0.6]:9470").toString(), "10.0.0.6:9470")
    assert.isTrue(Equal.equals(PeerAddress.make("::ffff:10.0.0.6", 1), PeerAddress.make("10.0.0.6", 1)))
    assert.strictEqual(PeerAddress.normalizeHost("::1"), "::1")
  })

  it("tells hosts of this machine, of this link, and those that stand for any", () => {
    for (const host of ["localhost", "127.0.0.1", "127.255.0.3", "::1", "::ffff:127.0.0.1"]) {
      assert.deepStrictEqual(kinds(host), ["loopback"], host)
    }
    for (const host of ["169.254.1.2", "::ffff:169.254.1.2", "fe80::1", "FEBF::1%eth0"]) {
      assert.deepStrictEqual(kinds(host), ["link-local"], host)
    }
    for (const host of ["", "0.0.0.0", "::", "::ffff:0.0.0.0"]) {
      assert.deepStrictEqual(kinds(host), ["unspecified"], host)
    }
    for (const host of ["10.0.0.6", "128.0.0.1", "127.example", "169.255.0.1", "fec0::1", "node.example", "::2"]) {
      assert.deepStrictEqual(kinds(host), [], host)
    }
  })

  it("is a string of host and port as a schema", () => {
    const decode = Schema.decodeUnknownEither(PeerAddress.FromString)
    const address = Either.getOrThrow(decode("[::1]:9470"))
    assert.isTrue(Equal.equals(address, PeerAddress.make("::1", 9470)))
    assert.strictEqual(Schema.encodeSync(PeerAddress.FromString)(address), "[::1]:9470")
    const wrong = decode("nowhere")
    assert.isTrue(Either.isLeft(wrong))
    assert.include(String(Either.getOrThrow(Either.flip(wrong))), "is not host:port")
  })
})
