import { assert, describe, it } from "@effect/vitest"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as NetworkError from "../src/NetworkError.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as Policy from "../src/Policy.js"

type Tag = NetworkError.NetworkError["_tag"]

const tags = Object.keys(Policy.policies) as ReadonlyArray<Tag>
const codes = Object.keys(Policy.codes) as ReadonlyArray<NetworkError.ErrorCode>
const address = PeerAddress.make("10.0.0.6", 9470)
const remote = { address, origin: "remote", detail: "" } as const

const tagsThat = (holds: (policy: Policy.Policy) => boolean): ReadonlyArray<Tag> =>
  tags.filter((_tag) => holds(Policy.of({ _tag })))

const backoff: Policy.Backoff = { retryBase: 200, retryFactor: 2, retryMax: 30_000 }

const anyBackoff = fc.record({
  retryBase: fc.integer({ min: 1, max: 10_000 }),
  retryFactor: fc.double({ min: 1, max: 10, noNaN: true }),
  retryMax: fc.integer({ min: 1, max: 100_000 })
})
const anyAttempt = fc.integer({ min: 0, max: 5000 })
const anyRandom = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })

const fatalOf = (kind: Policy.CodePolicy["fatal"]) => codes.filter((code) => Policy.codes[code].fatal === kind)

const delay = (error: NetworkError.NetworkError, attempt = 0) => Policy.retryDelay(backoff, error, attempt, 0.5)

/** Retries until the schedule ends, in virtual time, and tells when the attempts were made. */
const attempts = (
  fail: (attempt: number) => NetworkError.NetworkError | undefined,
  total?: Duration.DurationInput,
  config: NetworkConfig.Settings = NetworkConfig.defaults
) =>
  Effect.gen(function* () {
    const times: Array<number> = []
    const attempt = Effect.gen(function* () {
      times.push(yield* TestClock.currentTimeMillis)
      const error = fail(times.length - 1)
      if (error !== undefined) return yield* Effect.fail(error)
      return "connected"
    })
    const fiber = yield* Effect.fork(Effect.either(Effect.retry(attempt, Policy.retrySchedule(config, total))))
    yield* TestClock.adjust("1 hour")
    return { times, result: yield* Fiber.join(fiber) }
  })

const refused = new NetworkError.DialRefused({ address })

const row = (tag: Tag) =>
  Policy.toMarkdown()
    .split("\n")
    .find((line) => line.includes(`\`${tag}\``)) ?? ""

describe("Policy", () => {
  describe("policies", () => {
    it("must have a row for every error, or nothing compiles", () => {
      const { PeerSilent: _, ...lacking } = Policy.policies
      // @ts-expect-error a table without a row for PeerSilent is none
      const part: { readonly [T in Tag]: Policy.Policy } = lacking
      assert.strictEqual(Object.keys(part).length, tags.length - 1)
    })

    it("must have a row for every code, or nothing compiles", () => {
      const { BANNED: _, ...lacking } = Policy.codes
      // @ts-expect-error a table without a row for BANNED is none
      const part: { readonly [C in NetworkError.ErrorCode]: Policy.CodePolicy } = lacking
      assert.strictEqual(Object.keys(part).length, codes.length - 1)
    })

    it("has a row for every error class of the package, and no other", () => {
      const classes = Object.entries(NetworkError).flatMap(([name, value]) =>
        typeof value === "function" && "_tag" in value ? [name] : []
      )
      assert.isAtLeast(classes.length, 40)
      assert.deepStrictEqual([...tags].sort(), classes.sort())
    })

    it("dials again as the protocol says", () => {
      assert.deepStrictEqual(
        tagsThat(({ retry }) => retry === "backoff"),
        [
          "DialRefused",
          "DialTimeout",
          "DialReset",
          "DialUnreachable",
          "AddressUnresolved",
          "DialQueueFull",
          "MalformedFrame",
          "FrameTooLarge",
          "InvalidMessage",
          "HandshakeRequired",
          "HandshakeTimeout",
          "RateLimited",
          "PeerFault",
          "ConnectionLost",
          "PeerSilent",
          "SlowConsumer"
        ]
      )
      assert.deepStrictEqual(
        tagsThat(({ retry }) => retry === "retryAfter"),
        ["TooManyConnections", "Banned", "IdConflict"]
      )
      assert.deepStrictEqual(
        tagsThat(({ retry }) => retry === "healing"),
        ["VersionMismatch", "NetworkMismatch", "Unauthorized", "TlsFailed"]
      )
      for (const _tag of ["ShuttingDown", "Disconnected", "DuplicateConnection", "SelfConnection"] as const) {
        assert.strictEqual(Policy.of({ _tag }).retry, "never")
      }
    })

    it("counts against the other end what the protocol counts, and nothing else", () => {
      assert.deepStrictEqual(
        tagsThat(({ countsAsInvalid }) => countsAsInvalid),
        ["MalformedFrame", "FrameTooLarge", "InvalidMessage"]
      )
    })

    it("takes for transient what backs off or waits as told", () => {
      const connected: ReadonlyArray<NetworkError.NetworkError> = [
        new NetworkError.DialRefused({ address }),
        new NetworkError.TooManyConnections(remote),
        new NetworkError.ConnectionLost(remote)
      ]
      assert.isTrue(connected.every(Policy.isTransient))
      assert.isFalse(Policy.isTransient(new NetworkError.VersionMismatch(remote)))
      assert.isFalse(Policy.isTransient(new NetworkError.ShuttingDown(remote)))
      assert.isFalse(Policy.isTransient(new NetworkError.AddressInvalid({ detail: "" })))
    })

    it("says of every error what can be done, in a sentence", () => {
      for (const _tag of tags) assert.match(Policy.of({ _tag }).advice, /^[A-Z].{10,}\.$/, _tag)
    })
  })

  describe("codes", () => {
    it("stand for the errors that NetworkError makes of them", () => {
      for (const code of Object.keys(NetworkError.connectionErrors) as ReadonlyArray<NetworkError.ConnectionCode>) {
        assert.strictEqual(NetworkError.fromCode(code, remote)._tag, Policy.codes[code].tag)
      }
    })

    it("are known from other strings", () => {
      assert.isTrue(codes.every(Policy.isCode))
      assert.isFalse(["SOMETHING_NEW", "banned", "toString", "__proto__", ""].some(Policy.isCode))
    })

    it("agree with the policies of their errors", () => {
      for (const code of codes) {
        const { countsAsInvalid, fatal, tag } = Policy.codes[code]
        assert.strictEqual(countsAsInvalid, Policy.policies[tag].countsAsInvalid, code)
        // A PeerFault is made of a fatal INTERNAL only.
        if (code !== "INTERNAL") assert.strictEqual(fatal === "always", Policy.policies[tag].closes, code)
      }
    })

    it("are fatal as the protocol says", () => {
      assert.deepStrictEqual(fatalOf("handshake"), ["INVALID_MESSAGE"])
      assert.deepStrictEqual(fatalOf("never"), ["UNSUPPORTED_TYPE", "NO_ROUTE", "REQUEST_FAILED"])
      assert.deepStrictEqual(fatalOf("either"), ["RATE_LIMITED", "INTERNAL"])
      assert.strictEqual(fatalOf("always").length, 13)
    })
  })

  describe("backoffDelay", () => {
    it("doubles from the base up to the cap", () => {
      assert.deepStrictEqual(
        [0, 1, 2, 3, 7, 8, 100, 5000].map((attempt) => Policy.backoffDelay(backoff, attempt, 0.5)),
        [200, 400, 800, 1600, 25_600, 30_000, 30_000, 30_000]
      )
    })

    it("varies by a fifth either way", () => {
      assert.strictEqual(Policy.backoffDelay(backoff, 0, 0), 160)
      assert.approximately(Policy.backoffDelay(backoff, 0, 0.999_999), 240, 0.01)
    })

    it("is never over the cap, nor under four fifths of what it would be", () => {
      fc.assert(
        fc.property(anyBackoff, anyAttempt, anyRandom, (settings, attempt, random) => {
          const delay = Policy.backoffDelay(settings, attempt, random)
          const full = Math.min(settings.retryMax, settings.retryBase * settings.retryFactor ** attempt)
          assert.isAtMost(delay, settings.retryMax)
          assert.isAtLeast(delay, full * 0.8)
          assert.isAtMost(delay, full * 1.2)
        })
      )
    })

    it("never falls with the attempts, nor with the random number", () => {
      fc.assert(
        fc.property(anyBackoff, anyAttempt, anyRandom, anyRandom, (settings, attempt, one, other) => {
          assert.isAtMost(Policy.backoffDelay(settings, attempt, one), Policy.backoffDelay(settings, attempt + 1, one))
          assert.isAtMost(
            Policy.backoffDelay(settings, attempt, Math.min(one, other)),
            Policy.backoffDelay(settings, attempt, Math.max(one, other))
          )
        })
      )
    })
  })

  describe("retryDelay", () => {
    it("is undefined for what is not dialed again", () => {
      assert.isUndefined(delay(new NetworkError.VersionMismatch(remote)))
      assert.isUndefined(delay(new NetworkError.Disconnected({ ...remote, retryAfterMs: 5 })))
    })

    it("is the back-off where the other end says nothing", () => {
      assert.strictEqual(delay(new NetworkError.DialRefused({ address }), 3), 1600)
      assert.strictEqual(delay(new NetworkError.TooManyConnections(remote), 2), 800)
    })

    it("is what the other end asks for, or the wait of the protocol", () => {
      assert.strictEqual(delay(new NetworkError.TooManyConnections({ ...remote, retryAfterMs: 7000 }), 9), 7000)
      assert.strictEqual(delay(new NetworkError.Banned({ ...remote, retryAfterMs: 1000 })), 1000)
      assert.strictEqual(delay(new NetworkError.Banned(remote)), 300_000)
      assert.strictEqual(Policy.retryDelay(backoff, { _tag: "IdConflict" }, 0, 0.5), 30_000)
    })

    it("listens to retryAfterMs of no other error", () => {
      assert.strictEqual(delay(new NetworkError.PeerFault({ ...remote, retryAfterMs: 1 })), 200)
    })

    it("lets the other end call neither for a storm nor for silence", () => {
      assert.strictEqual(delay(new NetworkError.TooManyConnections({ ...remote, retryAfterMs: 0 })), 200)
      assert.strictEqual(delay(new NetworkError.Banned({ ...remote, retryAfterMs: -5 })), 200)
      assert.strictEqual(delay(new NetworkError.Banned({ ...remote, retryAfterMs: 1e15 })), 3_600_000)
    })
  })

  describe("retrySchedule", () => {
    it.effect("backs off, with jitter, until it is connected", () =>
      Effect.gen(function* () {
        const { result, times } = yield* attempts((attempt) => (attempt < 5 ? refused : undefined))
        assert.strictEqual(result._tag, "Right")
        const waits = times.slice(1).map((time, index) => time - (times[index] ?? 0))
        for (const [index, wait] of waits.entries()) {
          assert.isAtLeast(wait, Math.floor(0.8 * 200 * 2 ** index))
          assert.isAtMost(wait, Math.ceil(1.2 * 200 * 2 ** index))
        }
        assert.strictEqual(waits.length, 5)
      })
    )

    it.effect("waits as backoffDelay says for the same random numbers", () =>
      Effect.gen(function* () {
        const { times } = yield* Effect.withRandomFixed(
          attempts((attempt) => (attempt < 3 ? refused : undefined)),
          [0, 0.5]
        )
        assert.deepStrictEqual(times, [0, 160, 560, 1200])
      })
    )

    it.effect("stops at an error that is not transient, after the same attempts", () =>
      Effect.gen(function* () {
        const mismatch = new NetworkError.NetworkMismatch(remote)
        const { result, times } = yield* attempts((attempt) => (attempt < 2 ? refused : mismatch))
        assert.strictEqual(times.length, 3)
        assert.deepStrictEqual(result._tag === "Left" && result.left, mismatch)
      })
    )

    it.effect("gives up after ten minutes, and waits 30 seconds at most in between", () =>
      Effect.gen(function* () {
        const rounding = 0.001
        const { result, times } = yield* attempts(() => refused)
        assert.deepStrictEqual(result._tag === "Left" && result.left, refused)
        assert.isAtMost(times.at(-1) ?? 0, Duration.toMillis(Policy.giveUpAfter) + rounding)
        assert.isAtLeast(times.at(-1) ?? 0, 570_000)
        for (const [index, time] of times.entries()) assert.isAtMost(time - (times[index - 1] ?? 0), 30_000 + rounding)
      })
    )

    it.effect("does not begin a wait that would end too late", () =>
      Effect.gen(function* () {
        const busy = new NetworkError.TooManyConnections({ ...remote, retryAfterMs: 40_000 })
        assert.deepStrictEqual((yield* attempts(() => busy, "100 seconds")).times, [0, 40_000, 80_000])
        assert.deepStrictEqual((yield* attempts(() => busy, "39 seconds")).times.length, 1)
      })
    )

    it.effect("follows the settings", () =>
      Effect.gen(function* () {
        const config = {
          ...NetworkConfig.defaults,
          retryBase: Duration.millis(10),
          retryFactor: 1,
          retryMax: Duration.millis(10)
        }
        const { times } = yield* Effect.withRandomFixed(
          attempts(() => refused, "100 millis", config),
          [0.5]
        )
        assert.deepStrictEqual(times, [0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100])
      })
    )
  })

  describe("toMarkdown", () => {
    it("has a row of six cells for every error", () => {
      const lines = Policy.toMarkdown().split("\n")
      assert.strictEqual(lines.length, tags.length + 2)
      for (const line of lines) assert.match(line, /^\| (?:[^|\n]+ \| ){5}[^|\n]+ \|$/)
      assert.deepStrictEqual(
        lines.slice(2).map((line) => /`(\w+)`/.exec(line)?.[1]),
        [...tags]
      )
    })

    it("says when each is dialed again", () => {
      assert.include(row("DialRefused"), "| after back-off | no | no | info |")
      assert.include(row("Banned"), "| after `retryAfterMs`, else 5m | yes | no | warning |")
      assert.include(row("TooManyConnections"), "| after `retryAfterMs`, else back-off | yes |")
      assert.include(row("Unauthorized"), "| bootstrap nodes only, every `healingInterval` | yes |")
      assert.include(row("MalformedFrame"), "| yes | yes | warning |")
    })
  })
})
