import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Frame from "../src/Frame.js"
import * as Message from "../src/Message.js"
import { readVectors } from "./vectors/read.js"

const utf8 = new TextEncoder()
const text = (body: Uint8Array) => new TextDecoder().decode(body)

const header = (length: number): Uint8Array => {
  const bytes = new Uint8Array(4)
  new DataView(bytes.buffer).setUint32(0, length)
  return bytes
}

const concat = (...parts: ReadonlyArray<Uint8Array>): Uint8Array => Uint8Array.from(Buffer.concat(parts))

/** Pushes the chunks and pulls after each until nothing comes: bodies as text, a fault as it is, and no more. */
const run = (decoder: Frame.Decoder, chunks: Iterable<Uint8Array>): ReadonlyArray<string | Frame.Fault> => {
  const out: Array<string | Frame.Fault> = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) {
      if (Frame.isFault(next)) return [...out, next]
      out.push(text(next))
    }
  }
  return out
}

const pull = (decoder: Frame.Decoder): string | Frame.Fault | undefined => {
  const next = decoder.next()
  return next instanceof Uint8Array ? text(next) : next
}

/** Cuts the bytes at the given places. */
const cut = (bytes: Uint8Array, places: ReadonlyArray<number>): ReadonlyArray<Uint8Array> => {
  const sorted = [...places.map((place) => place % (bytes.length + 1)), 0, bytes.length].sort((a, b) => a - b)
  return sorted.slice(1).map((end, i) => bytes.subarray(sorted[i], end))
}

const singly = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => Array.from(bytes, (byte) => Uint8Array.of(byte))

describe("Frame.encode", () => {
  it("puts four big-endian length bytes before the UTF-8 body", () => {
    assert.deepStrictEqual(Frame.encode("{}"), Uint8Array.of(0, 0, 0, 2, 0x7b, 0x7d))
    assert.deepStrictEqual(Frame.encode("é€𝄞"), Uint8Array.of(0, 0, 0, 9, ...utf8.encode("é€𝄞")))
    assert.deepStrictEqual(Frame.encode("x".repeat(0x01_02_03)).subarray(0, 5), Uint8Array.of(0, 1, 2, 3, 0x78))
  })

  it("agrees with the platform's encoder for every text and length", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string({ maxLength: 200 }), fc.fullUnicodeString({ maxLength: 200 })), (json) => {
        assert.deepStrictEqual(Frame.encode(json), concat(header(utf8.encode(json).length), utf8.encode(json)))
      })
    )
    for (const size of [0, 1, 79, 80, 81, 5000]) {
      for (const last of ["", "x", "é", "𝄞"]) {
        const json = "a".repeat(size) + last
        assert.deepStrictEqual(Frame.encode(json).subarray(4), utf8.encode(json))
      }
    }
  })

  it("writes a lone surrogate as the replacement character, which is as long as it says", () => {
    assert.deepStrictEqual(Frame.encode("a\ud834"), Uint8Array.of(0, 0, 0, 4, 0x61, 0xef, 0xbf, 0xbd))
  })

  it("gives frames that share no byte, and keeps no more alive with a short one than 8 KiB", () => {
    const [first, second] = [Frame.encode("{}"), Frame.encode("{}")]
    first.fill(0)
    assert.deepStrictEqual(second, Uint8Array.of(0, 0, 0, 2, 0x7b, 0x7d))
    const frames = Array.from({ length: 3000 }, (_, i) => Frame.encode(String(i).padEnd((i * 7) % 3000, ".")))
    frames.forEach((frame, i) => assert.strictEqual(text(frame.subarray(4)), String(i).padEnd((i * 7) % 3000, ".")))
    for (const frame of frames) assert.isAtMost(frame.buffer.byteLength, Math.max(frame.length, 8192))
  })
})

describe("Frame.encodeAll", () => {
  it("gives the frames of texts one after the other, each as long as it says", () => {
    fc.assert(
      fc.property(fc.array(fc.fullUnicodeString({ maxLength: 400 }), { maxLength: 20 }), (jsons) => {
        const frames = jsons.map((json) => new Frame.Text(json))
        const bytes = frames.reduce((sum, { length }) => sum + length, 0)
        const expected = concat(...jsons.map((json) => concat(header(utf8.encode(json).length), utf8.encode(json))))
        assert.deepStrictEqual(Frame.encodeAll(frames, bytes), expected)
      })
    )
  })
})

describe("Frame.encodePlain", () => {
  it("gives the frame of the parts joined", () => {
    for (const parts of [[`{}`], [`{"é":"`, "plain", `"}`], [`{"a":"`, "", `","b":"`, "x".repeat(70_000), `"}`]]) {
      assert.deepStrictEqual(Frame.encodePlain(parts), Frame.encode(parts.join("")))
    }
  })

  it("gives none where a string does not stand for itself", () => {
    const texts = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.string({ unit: "grapheme-ascii" }),
      fc.array(fc.constantFrom("é", "a", "b", "\ud800", "\u{1f600}", `"`)).map((all) => all.join(""))
    )
    fc.assert(
      fc.property(texts, fc.nat(9), (text, more) => {
        const parts = [`{"a":"`, text, `"}${" ".repeat(more)}`]
        const isPlain = JSON.stringify(text) === `"${text}"` && /^[\0-\x7f]*$/.test(text)
        assert.deepStrictEqual(Frame.encodePlain(parts), isPlain ? Frame.encode(parts.join("")) : undefined)
      }),
      { numRuns: 1000 }
    )
  })
})

describe("Frame.Decoder", () => {
  it("finds the same frames however the bytes are cut", () => {
    fc.assert(
      fc.property(
        fc.array(fc.fullUnicodeString({ minLength: 1, maxLength: 60 }), { maxLength: 8 }),
        fc.array(fc.nat(1000), { maxLength: 20 }),
        (bodies, places) => {
          const bytes = concat(...bodies.map(Frame.encode))
          for (const chunks of [[bytes], cut(bytes, places), singly(bytes)]) {
            const decoder = new Frame.Decoder(Frame.defaultLimit)
            assert.deepStrictEqual(run(decoder, chunks), bodies)
            assert.strictEqual(decoder.buffered, 0)
            assert.isFalse(decoder.isMidFrame)
          }
        }
      ),
      { numRuns: 200 }
    )
  })

  it("puts long bodies together of long and short parts, in memory of their own", () => {
    const part = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 4_000, max: 4_200 }), fc.constant(16_384))
    fc.assert(
      fc.property(fc.array(part, { minLength: 2, maxLength: 12 }), fc.nat(300), (parts, before) => {
        const length = parts.reduce((sum, bytes) => sum + bytes, 0)
        const body = Uint8Array.from({ length }, (_, at) => (at * 31) % 251)
        const decoder = new Frame.Decoder(Frame.defaultLimit)
        // The first part comes behind another frame.
        decoder.push(concat(Frame.encode("x".repeat(before + 1)), header(length), body.subarray(0, parts[0])))
        assert.strictEqual(pull(decoder), "x".repeat(before + 1))
        let at = parts[0] ?? 0
        for (const bytes of parts.slice(1)) {
          assert.isUndefined(decoder.next())
          decoder.push(body.subarray(at, at + bytes))
          at += bytes
        }
        const whole = decoder.next()
        assert.isTrue(whole instanceof Uint8Array && Buffer.compare(whole, body) === 0)
        assert.isTrue(whole instanceof Uint8Array && whole.buffer.byteLength === length)
        assert.deepStrictEqual([decoder.buffered, decoder.isMidFrame], [0, false])
      }),
      { numRuns: 200 }
    )
  })

  it("finds the same frames when chunks are pushed before the earlier ones are used up", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ minLength: 1, maxLength: 30 }), { maxLength: 6 }),
        fc.array(fc.nat(500), { maxLength: 12 }),
        fc.array(fc.boolean(), { minLength: 1, maxLength: 16 }),
        (bodies, places, pulls) => {
          const bytes = concat(...bodies.map(Frame.encode))
          const decoder = new Frame.Decoder(Frame.defaultLimit)
          const out: Array<string | Frame.Fault> = []
          cut(bytes, places).forEach((chunk, i) => {
            decoder.push(chunk)
            const next = pulls[i % pulls.length] === true ? pull(decoder) : undefined
            if (next !== undefined) out.push(next)
          })
          assert.deepStrictEqual([...out, ...run(decoder, [new Uint8Array(0)])], bodies)
          assert.strictEqual(decoder.buffered, 0)
        }
      ),
      { numRuns: 200 }
    )
  })

  it("takes a body of exactly the limit and refuses one byte more, on the length bytes alone", () => {
    const body = "x".repeat(100)
    assert.deepStrictEqual(run(new Frame.Decoder(100), [Frame.encode(body)]), [body])
    for (const length of [101, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff]) {
      for (const chunks of [[header(length)], singly(header(length))]) {
        const [fault] = run(new Frame.Decoder(100), chunks)
        assert.deepStrictEqual(fault, {
          code: "FRAME_TOO_LARGE",
          detail: `a frame of ${length} bytes, 100 are allowed`
        })
      }
    }
  })

  it("refuses length 0", () => {
    assert.deepStrictEqual(run(new Frame.Decoder(100), [header(0)]), [
      { code: "MALFORMED_FRAME", detail: "a frame of length 0" }
    ])
  })

  it("gives what came before a fault, then the fault for ever, and holds nothing more", () => {
    const decoder = new Frame.Decoder(100)
    decoder.push(concat(Frame.encode("first"), header(0), Frame.encode("never")))
    assert.strictEqual(pull(decoder), "first")
    const fault = decoder.next()
    assert.isTrue(Frame.isFault(fault))
    decoder.push(Frame.encode("never"))
    assert.strictEqual(decoder.next(), fault)
    assert.strictEqual(decoder.buffered, 0)
    assert.isFalse(decoder.isMidFrame)
  })

  it("looks at the limit when it reads a length: a raised one counts from the next frame on", () => {
    const decoder = new Frame.Decoder(10)
    const long = "x".repeat(50)
    decoder.push(concat(Frame.encode("hello"), Frame.encode(long)))
    assert.strictEqual(pull(decoder), "hello")
    decoder.maxBytes = 50
    assert.strictEqual(pull(decoder), long)
    decoder.push(header(50))
    assert.isUndefined(decoder.next())
    decoder.maxBytes = 10
    decoder.push(utf8.encode(long))
    assert.strictEqual(pull(decoder), long)
    decoder.push(header(11))
    assert.isTrue(Frame.isFault(decoder.next()))
  })

  it("gives a body that came in one chunk as a view of it", () => {
    const chunk = concat(Frame.encode("one"), Frame.encode("two"))
    const decoder = new Frame.Decoder(100)
    decoder.push(chunk)
    const one = decoder.next()
    const two = decoder.next()
    assert.isTrue(one instanceof Uint8Array && one.buffer === chunk.buffer && one.byteOffset === 4)
    assert.isTrue(two instanceof Uint8Array && two.buffer === chunk.buffer && two.byteOffset === 11)
  })

  it("says whether a frame is begun and not complete", () => {
    const decoder = new Frame.Decoder(100)
    const states: Array<readonly [boolean, number, number]> = []
    const look = () => states.push([decoder.isMidFrame, decoder.frameLength, decoder.buffered])
    look()
    decoder.push(Uint8Array.of(0, 0))
    look()
    assert.isUndefined(decoder.next())
    look()
    decoder.push(Uint8Array.of(0, 3, 0x61))
    look()
    assert.isUndefined(decoder.next())
    look()
    // The rest, a whole frame of two, and a part of a third.
    decoder.push(concat(utf8.encode("bc"), Frame.encode("de"), header(9).subarray(0, 3)))
    look()
    assert.strictEqual(pull(decoder), "abc")
    look()
    assert.strictEqual(pull(decoder), "de")
    look()
    assert.isUndefined(decoder.next())
    look()
    assert.deepStrictEqual(states, [
      [false, 0, 0],
      [true, 0, 2],
      [true, 0, 2],
      [true, 3, 5],
      [true, 3, 5],
      [false, 3, 16],
      [false, 2, 9],
      [true, 0, 3],
      [true, 0, 3]
    ])
  })

  it("calls a length that will be refused no frame begun", () => {
    for (const length of [0, 101]) {
      const decoder = new Frame.Decoder(100)
      decoder.push(header(length))
      assert.isFalse(decoder.isMidFrame)
      assert.isTrue(Frame.isFault(decoder.next()))
    }
  })

  it("knows an announced length that lies across several chunks not yet looked at", () => {
    const decoder = new Frame.Decoder(1000)
    for (const byte of header(258)) decoder.push(Uint8Array.of(byte))
    assert.strictEqual(decoder.frameLength, 258)
    assert.isTrue(decoder.isMidFrame)
  })

  it("gives no memory for a length announced, only for bytes received", () => {
    const decoders = Array.from({ length: 1000 }, () => new Frame.Decoder(0xffff_ffff))
    const before = process.memoryUsage().arrayBuffers
    for (const decoder of decoders) {
      decoder.push(concat(header(0x4000_0000), Uint8Array.of(1, 2, 3)))
      assert.isUndefined(decoder.next())
    }
    assert.isBelow(process.memoryUsage().arrayBuffers - before, 16_000_000)
    assert.strictEqual(decoders[0]?.buffered, 7)
  })

  it("holds one frame and no more while 1 MiB trickles in", () => {
    const body = new Uint8Array(Frame.defaultLimit).fill(0x78)
    const frame = concat(header(body.length), body)
    const decoder = new Frame.Decoder(Frame.defaultLimit)
    let greatest = 0
    for (let at = 0; at < frame.length; at += 7) {
      assert.isUndefined(decoder.next())
      decoder.push(frame.subarray(at, at + 7))
      greatest = Math.max(greatest, decoder.buffered)
    }
    assert.strictEqual(greatest, frame.length)
    const whole = decoder.next()
    assert.isTrue(whole instanceof Uint8Array && whole.length === body.length && whole.every((byte) => byte === 0x78))
    assert.isTrue(whole instanceof Uint8Array && whole.buffer.byteLength === body.length)
    assert.strictEqual(decoder.buffered, 0)
  })

  it("discards what it holds and all that follows", () => {
    const decoder = new Frame.Decoder(100)
    decoder.push(concat(Frame.encode("one"), header(5)))
    decoder.discard()
    assert.strictEqual(decoder.buffered, 0)
    decoder.push(Frame.encode("two"))
    assert.isUndefined(decoder.next())
    assert.isFalse(decoder.isMidFrame)
    assert.strictEqual(decoder.frameLength, 0)
  })

  it("forgets a fault when it discards", () => {
    const decoder = new Frame.Decoder(100)
    decoder.push(header(0))
    assert.isTrue(Frame.isFault(decoder.next()))
    decoder.discard()
    assert.isUndefined(decoder.next())
  })

  it("goes through any bytes without a throw", () => {
    fc.assert(
      fc.property(fc.array(fc.uint8Array({ maxLength: 40 }), { maxLength: 10 }), (chunks) => {
        const decoder = new Frame.Decoder(64)
        const out = run(decoder, chunks)
        const total = chunks.reduce((sum, chunk) => sum + chunk.length, 0)
        assert.isAtMost(decoder.buffered, total)
        assert.isTrue(out.every((next, i) => typeof next === "string" || i === out.length - 1))
      })
    )
  })
})

type Chunk = string | { readonly hex: string; readonly times?: number; readonly cut?: number }
type Outcome =
  | { readonly message: unknown }
  | { readonly code: string; readonly fatal: boolean; readonly replyTo?: string }

interface Case {
  readonly description: string
  readonly maxBytes?: number
  readonly chunks: ReadonlyArray<Chunk>
  readonly outcomes: ReadonlyArray<Outcome>
  readonly incomplete?: boolean
}

const chunksOf = (chunk: Chunk): ReadonlyArray<Uint8Array> => {
  if (typeof chunk === "string") return [Buffer.from(chunk, "hex")]
  const bytes = Buffer.from(chunk.hex.repeat(chunk.times ?? 1), "hex")
  const size = chunk.cut ?? bytes.length
  return Array.from({ length: Math.ceil(bytes.length / size) }, (_, i) => bytes.subarray(i * size, (i + 1) * size))
}

/** What a receiver answers, in the form of the vectors. */
const receive = (decoder: Frame.Decoder, chunks: ReadonlyArray<Uint8Array>): ReadonlyArray<Outcome> => {
  const out: Array<Outcome> = []
  for (const chunk of chunks) {
    decoder.push(chunk)
    for (let next = decoder.next(); next !== undefined; next = decoder.next()) {
      if (Frame.isFault(next)) return [...out, { code: next.code, fatal: true }]
      const decoded = Message.decode(next)
      switch (decoded._tag) {
        case "Message":
          out.push({ message: decoded.envelope })
          break
        case "Malformed":
          return [...out, { code: "MALFORMED_FRAME", fatal: true }]
        case "Invalid":
          out.push({
            code: "INVALID_MESSAGE",
            fatal: false,
            ...(decoded.replyTo === undefined ? {} : { replyTo: decoded.replyTo })
          })
      }
    }
  }
  return out
}

describe("vectors: frames.json", () => {
  for (const vector of readVectors<Case>("frames.json")) {
    it(`${vector.description}`, () => {
      const decoder = new Frame.Decoder(vector.maxBytes ?? Frame.defaultLimit)
      assert.deepStrictEqual(receive(decoder, vector.chunks.flatMap(chunksOf)), vector.outcomes)
      assert.strictEqual(decoder.isMidFrame, vector.incomplete ?? false)
    })
  }
})
