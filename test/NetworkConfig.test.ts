import { assert, describe, it } from "@effect/vitest"
import * as Config from "effect/Config"
import * as ConfigError from "effect/ConfigError"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as HashSet from "effect/HashSet"
import type * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as Option from "effect/Option"
import * as PathPatch from "effect/ConfigProviderPathPatch"
import * as Redacted from "effect/Redacted"
import * as fc from "fast-check"
import { readFileSync } from "node:fs"
import { version } from "../src/internal/version.js"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as NodeId from "../src/NodeId.js"
import * as PeerAddress from "../src/PeerAddress.js"

type Key = NetworkConfig.Key

/** A secret of 32 bytes. */
const secretOf = (n: number): string => String(n).repeat(32)

/** An id that a key can have. */
const idOf = (letter: string): string => `${letter.repeat(51)}a`

/** For each key: one value as text, as JSON and in code, what it is read as, and values that no source may give. */
type Samples = {
  readonly [K in Key]: {
    readonly text: string
    readonly json: unknown
    readonly input: NonNullable<NetworkConfig.Input[K]>
    readonly value: NetworkConfig.Settings[K]
    readonly bad: ReadonlyArray<unknown>
  }
}

const counts = (value: number) => ({
  text: String(value),
  json: value,
  input: value,
  value,
  bad: [0, -1, 1.5, Number.NaN, Infinity, 2 ** 53, "many", "1,2", true, null, [1], {}]
})

const badDurations: ReadonlyArray<unknown> = [
  -1,
  Number.NaN,
  Infinity,
  "-5 seconds",
  "5",
  "5 parsecs",
  "soon",
  "25 days",
  null,
  true,
  {},
  [-1, 0],
  -1n,
  Duration.infinity
]

const durations = (amount: number) => ({
  text: ` ${amount} millis `,
  json: amount,
  input: `${amount} millis` as const,
  value: Duration.millis(amount),
  bad: [...badDurations, 0, "0 seconds", "500 micros", Duration.zero]
})

const words = (more: ReadonlyArray<unknown>): ReadonlyArray<unknown> => [...more, 1, null, {}, ["none"]]

const badAddresses: ReadonlyArray<unknown> = [
  "10.0.0.6",
  "10.0.0.6:70000",
  "10.0.0.6:0",
  "a:1,b",
  "a:1;b:2",
  ["a:1", 7],
  ["a:1,b:2"],
  [{ host: "a" }],
  [{ host: "", port: 1 }],
  9470,
  null,
  { host: "a", port: 1 }
]

const samples: Samples = {
  nodeId: {
    text: "node-a",
    json: "node-a",
    input: "node-a",
    value: Option.some(NodeId.make("node-a")),
    bad: ["node a", "é", "x".repeat(129), 7, null, Option.some("node a")]
  },
  network: { text: "test", json: "test", input: "test", value: "test", bad: ["x".repeat(129), 7, null] },
  host: {
    text: "::1",
    json: "localhost",
    input: "127.0.0.2",
    value: "127.0.0.2",
    bad: ["a b", "[::1]", "127.0.0.1:9470", "a/b", "x".repeat(254), 7, null]
  },
  port: {
    text: "9471",
    json: 9471,
    input: 9471,
    value: 9471,
    bad: [-1, 65536, 1.5, "http", "", "  ", null, Number.NaN]
  },
  advertise: {
    text: "10.0.0.5:9470",
    json: [{ host: "10.0.0.5", port: 9470 }],
    input: ["10.0.0.5:9470"],
    value: [PeerAddress.make("10.0.0.5", 9470)],
    bad: [...badAddresses, Array.from({ length: 17 }, (_, index) => `10.0.0.${index}:1`)]
  },
  bootstrap: {
    text: " a:1,, [::1]:2 ,",
    json: ["a:1", "[::1]:2"],
    input: ["a:1", PeerAddress.make("::1", 2)],
    value: [PeerAddress.make("a", 1), PeerAddress.make("::1", 2)],
    bad: badAddresses
  },
  maxPeers: counts(100),
  targetPeers: counts(11),
  maxInbound: counts(12),
  maxConnectionsPerIp: counts(13),
  maxPendingHandshakes: counts(14),
  handshakeRate: { ...counts(21), value: Option.some(21), bad: [0, -1, 0.5, "on", null, true] },
  maxInvalidMessages: counts(15),
  banDuration: { ...durations(60_000), bad: badDurations },
  frameTimeout: durations(1001),
  closeTimeout: durations(1002),
  drainTimeout: durations(1003),
  slowConsumerTimeout: durations(1004),
  broadcastTtl: { ...counts(3), bad: [-1, 256, 1.5, "far", null] },
  tags: {
    text: "role=storage, zone = b=c ,",
    json: { role: "storage", zone: "b=c" },
    input: { role: "storage", zone: "b=c" },
    value: { role: "storage", zone: "b=c" },
    bad: [
      "role",
      "=storage",
      { role: 1 },
      { role: "x".repeat(512) },
      { role: "é".repeat(255) },
      ["role=storage"],
      7,
      null
    ]
  },
  agent: { text: "mine/1", json: "mine/1", input: "mine/1", value: "mine/1", bad: ["é".repeat(129), 7, null] },
  connectTimeout: durations(1005),
  handshakeTimeout: durations(1006),
  sendTimeout: durations(1007),
  requestTimeout: durations(1008),
  shutdownGrace: durations(1009),
  heartbeatInterval: durations(1010),
  heartbeatTimeout: durations(20_000),
  discoveryInterval: durations(1011),
  retryBase: durations(101),
  retryFactor: { ...counts(1.5), bad: [0.99, -2, Infinity, Number.NaN, "twice", null] },
  retryMax: durations(40_000),
  maxMessageBytes: { ...counts(65_536), bad: [65_535, 67_108_865, 70_000.5, "1 MiB", null] },
  outboundQueue: counts(16),
  outboundQueueBytes: counts(17),
  inboundQueue: counts(18),
  inboundQueueBytes: counts(19),
  rateLimit: { ...counts(20), value: Option.some(20), bad: [0, -1, 0.5, "on", null, true] },
  healingInterval: durations(1012),
  dialConcurrency: counts(21),
  maxHints: counts(1000),
  maxHintsPerTeller: counts(22),
  seenMemory: durations(1013),
  seenIds: counts(23),
  stateDir: {
    text: "/var/lib/s",
    json: "/var/lib/s",
    input: "/var/lib/s",
    value: Option.some("/var/lib/s"),
    bad: [7, null]
  },
  logLevel: {
    text: "DEBUG",
    json: "debug",
    input: LogLevel.Debug,
    value: LogLevel.Debug,
    bad: words(["loud", { _tag: "Debug" }])
  },
  logFormat: { text: "Json", json: "json", input: "json", value: "json", bad: words(["xml"]) },
  encryption: { text: "TLS", json: "tls", input: "tls", value: "tls", bad: words(["ssl"]) },
  identityKey: {
    text: "a key",
    json: "a key",
    input: "a key",
    value: Option.some(Redacted.make("a key")),
    bad: [7, ["a key"], {}, null]
  },
  networkKey: {
    text: `${secretOf(1)}, ${secretOf(2)}`,
    json: [secretOf(1), secretOf(2)],
    input: [Redacted.make(secretOf(1)), secretOf(2)],
    value: [Redacted.make(secretOf(1)), Redacted.make(secretOf(2))],
    bad: ["s3cret-value", Redacted.make("s3cret-value"), [secretOf(1), "s3cret-value"], 7, null, {}]
  },
  allow: {
    text: `${idOf("b")}, ${idOf("c")}`,
    json: [idOf("b"), idOf("c")],
    input: [idOf("b"), idOf("c")],
    value: [NodeId.make(idOf("b")), NodeId.make(idOf("c"))],
    bad: ["node b", [idOf("b"), ""], 7, null]
  },
  deny: {
    text: idOf("b"),
    json: [idOf("b")],
    input: [idOf("b")],
    value: [NodeId.make(idOf("b"))],
    bad: ["node b", [idOf("b"), ""], 7, null]
  },
  handlerConcurrency: counts(24)
}

const allKeys = NetworkConfig.keys.map(({ key }) => key)
const envOf = (key: Key): string => NetworkConfig.keys.find((row) => row.key === key)?.env ?? ""
const flagOf = (key: Key): string => `--${key.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`

const provider = (entries: Readonly<Record<string, string>>) => ConfigProvider.fromMap(new Map(Object.entries(entries)))
const noEnv = provider({})

const load = (options: Parameters<typeof NetworkConfig.load>[0]) =>
  Effect.runSync(Effect.either(NetworkConfig.load({ env: noEnv, ...options })))

const settingsOf = (options: Parameters<typeof NetworkConfig.load>[0]) => Either.getOrThrow(load(options)).settings
const warningsOf = (input: NetworkConfig.Input) => Either.getOrThrow(NetworkConfig.make(input)).warnings

const issuesOf = (result: ReturnType<typeof load>) =>
  Either.match(result, { onLeft: ({ issues }) => issues, onRight: () => [] })

/** An input of keys and values that the types would not let pass. */
const loose = (values: Readonly<Record<string, unknown>>): NetworkConfig.Input => values

const inbound = (maxPeers: number) => settingsOf({ flags: { maxPeers } }).maxInbound

const millis = (input: Duration.DurationInput) =>
  Duration.toMillis(settingsOf({ flags: { banDuration: input } }).banDuration)

const level = (logLevel: NonNullable<NetworkConfig.Input["logLevel"]>) => settingsOf({ flags: { logLevel } }).logLevel

const faultOf = (file: unknown) => issuesOf(load({ file })).map((issue) => [issue.key, issue.value])

const flagIssues = (flags: NetworkConfig.Input) => issuesOf(load({ flags }))

const build = <E>(layer: Layer.Layer<NetworkConfig.NetworkConfig, E>, env = noEnv) => {
  const lines: Array<string> = []
  const sink = Logger.make(({ logLevel, message }) => lines.push(`${logLevel._tag} ${String(message)}`))
  return NetworkConfig.NetworkConfig.pipe(
    Effect.provide(layer),
    Effect.withConfigProvider(env),
    Effect.provide(Logger.replace(Logger.defaultLogger, sink)),
    Effect.either,
    Effect.map((result) => ({ result, lines })),
    Effect.runSync
  )
}

const env1234 = provider({ SYNAPSE_PORT: "1234", SYNAPSE_MAX_PEERS: "7" })

const read = (entries: Readonly<Record<string, string>>) =>
  Effect.runSync(Effect.either(Effect.withConfigProvider(NetworkConfig.config, provider(entries))))

describe("NetworkConfig", () => {
  describe("documentation", () => {
    it("names every key's environment variable", () => {
      assert.deepStrictEqual(
        NetworkConfig.keys.map(({ env }) => env.replace("SYNAPSE_", "")).join(" "),
        "NODE_ID NETWORK HOST PORT ADVERTISE BOOTSTRAP MAX_PEERS TARGET_PEERS MAX_INBOUND MAX_CONNECTIONS_PER_IP " +
          "MAX_PENDING_HANDSHAKES HANDSHAKE_RATE MAX_INVALID_MESSAGES BAN_DURATION FRAME_TIMEOUT CLOSE_TIMEOUT DRAIN_TIMEOUT " +
          "SLOW_CONSUMER_TIMEOUT BROADCAST_TTL TAGS AGENT CONNECT_TIMEOUT HANDSHAKE_TIMEOUT SEND_TIMEOUT " +
          "REQUEST_TIMEOUT SHUTDOWN_GRACE HEARTBEAT_INTERVAL HEARTBEAT_TIMEOUT DISCOVERY_INTERVAL RETRY_BASE " +
          "RETRY_FACTOR RETRY_MAX MAX_MESSAGE_BYTES OUTBOUND_QUEUE OUTBOUND_QUEUE_BYTES INBOUND_QUEUE " +
          "INBOUND_QUEUE_BYTES RATE_LIMIT HEALING_INTERVAL DIAL_CONCURRENCY MAX_HINTS MAX_HINTS_PER_TELLER " +
          "SEEN_MEMORY SEEN_IDS STATE_DIR LOG_LEVEL LOG_FORMAT ENCRYPTION IDENTITY_KEY NETWORK_KEY ALLOW DENY " +
          "HANDLER_CONCURRENCY"
      )
    })

    it("has the defaults of the protocol", () => {
      const texts = NetworkConfig.keys.map((row) => `${row.key} ${row.default}`)
      assert.deepStrictEqual(texts, [
        "nodeId random, kept in the state folder if there is one",
        "network synapse",
        "host 127.0.0.1",
        "port 9470",
        "advertise what it listens on",
        "bootstrap (none)",
        "maxPeers 256",
        "targetPeers 32",
        "maxInbound three quarters of maxPeers; with maxPeers under 8, all of it",
        "maxConnectionsPerIp 64",
        "maxPendingHandshakes 1024",
        "handshakeRate 10",
        "maxInvalidMessages 10",
        "banDuration 5 minutes",
        "frameTimeout 30 seconds",
        "closeTimeout 2 seconds",
        "drainTimeout 5 seconds",
        "slowConsumerTimeout 60 seconds",
        "broadcastTtl 8",
        "tags (none)",
        "agent synapse-p2p/version",
        "connectTimeout 5 seconds",
        "handshakeTimeout 5 seconds",
        "sendTimeout 5 seconds",
        "requestTimeout 10 seconds",
        "shutdownGrace 5 seconds",
        "heartbeatInterval 5 seconds",
        "heartbeatTimeout 15 seconds",
        "discoveryInterval 10 seconds",
        "retryBase 200 millis",
        "retryFactor 2",
        "retryMax 30 seconds",
        "maxMessageBytes 1048576",
        "outboundQueue 1024",
        "outboundQueueBytes 8388608",
        "inboundQueue 256",
        "inboundQueueBytes 4194304",
        "rateLimit off",
        "healingInterval 30 seconds",
        "dialConcurrency 8",
        "maxHints 1024",
        "maxHintsPerTeller 64",
        "seenMemory 2 minutes",
        "seenIds 65536",
        "stateDir (none)",
        "logLevel info",
        "logFormat pretty",
        "encryption tls",
        "identityKey (none)",
        "networkKey (none)",
        "allow (none)",
        "deny (none)",
        "handlerConcurrency 16"
      ])
    })

    it("states in every field's docstring the default that the table has", () => {
      const source = readFileSync(new URL("../src/NetworkConfig.ts", import.meta.url), "utf8")
      for (const { default: initial, key } of NetworkConfig.keys) {
        const doc = new RegExp(String.raw`/\*\*((?:(?!\*/)[\s\S])*)\*/\s+readonly ${key}: `).exec(source)?.[1] ?? ""
        assert.include(doc.replaceAll(/[\s*]+/g, " "), `Default: ${initial}.`, key)
      }
    })

    it("is text for people in every cell", () => {
      for (const row of NetworkConfig.keys) {
        for (const cell of Object.values(row)) assert.match(cell, /^[^\n|]{2,}$|^\d$/, row.key)
      }
    })
  })

  describe("defaults", () => {
    it("are those of the documentation", () => {
      const { defaults } = NetworkConfig
      assert.deepStrictEqual(
        [defaults.host, defaults.port, defaults.maxPeers, defaults.targetPeers, defaults.maxInbound],
        ["127.0.0.1", 9470, 256, 32, 192]
      )
      assert.deepStrictEqual(
        [defaults.heartbeatInterval, defaults.heartbeatTimeout, defaults.banDuration].map((d) => Duration.toMillis(d)),
        [5000, 15_000, 300_000]
      )
      assert.deepStrictEqual([defaults.nodeId, defaults.rateLimit, defaults.identityKey], Array(3).fill(Option.none()))
      assert.deepStrictEqual([defaults.networkKey, defaults.allow, defaults.deny], [[], [], []])
      assert.deepStrictEqual(Object.keys(defaults), [...allKeys])
    })

    it("name the version that package.json names", () => {
      const manifest: unknown = JSON.parse(readFileSync(new URL("../package.json", import.meta.url), "utf8"))
      assert.propertyVal(manifest, "version", version)
      assert.strictEqual(NetworkConfig.defaults.agent, `synapse-p2p/${version}`)
    })

    it("leave a quarter of the places for dialing out, except in the smallest nodes", () => {
      assert.deepStrictEqual([1, 7, 8, 9, 100].map(inbound), [1, 7, 6, 6, 75])
    })

    it("give no warning", () => {
      assert.deepStrictEqual(warningsOf({}), [])
    })
  })

  describe("every key", () => {
    it.each(allKeys)("%s is read in code, from a file, from the environment and from flags", (key) => {
      const { input, json, text, value } = samples[key]
      assert.deepStrictEqual(settingsOf({ flags: loose({ [key]: input }) })[key], value)
      assert.deepStrictEqual(Either.getOrThrow(NetworkConfig.make(loose({ [key]: input }))).settings[key], value)
      const same = (found: unknown) =>
        key === "host" ? assert.include(["::1", "localhost"], found) : assert.deepStrictEqual(found, value)
      same(settingsOf({ file: { [key]: json } })[key])
      same(settingsOf({ file: JSON.stringify({ [key]: json }) })[key])
      same(settingsOf({ env: provider({ [envOf(key)]: text }) })[key])
    })

    it.each(allKeys)("%s refuses what is not allowed, under the name it has where it stands", (key) => {
      const { allowed } = NetworkConfig.keys.find((row) => row.key === key) ?? { allowed: "" }
      for (const bad of samples[key].bad) {
        const check = (result: ReturnType<typeof load>, name: string) => {
          const issues = issuesOf(result)
          assert.deepStrictEqual(
            issues.map((issue) => [issue.key, issue.expected]),
            [[name, allowed]],
            String(bad)
          )
          assert.isAtMost(issues[0]?.value.length ?? 0, 121)
        }
        check(NetworkConfig.make(loose({ [key]: bad })), key)
        check(load({ flags: loose({ [key]: bad }) }), flagOf(key))
        check(load({ file: { [key]: bad } }), `${key} (in the file)`)
        if (typeof bad === "string" && bad !== "") check(load({ env: provider({ [envOf(key)]: bad }) }), envOf(key))
      }
    })

    it.each(allKeys)("%s is not set by an empty variable or an undefined value", (key) => {
      const settings = settingsOf({ env: provider({ [envOf(key)]: "" }), flags: { [key]: undefined } })
      assert.deepStrictEqual(settings[key], NetworkConfig.defaults[key])
    })
  })

  describe("values", () => {
    it("takes durations in every form that Effect has", () => {
      assert.deepStrictEqual(
        [Duration.seconds(7), 7000, "7 seconds", [7, 0], 7_000_000_000n, "0.5 minutes", 0, "0 seconds"].map((input) =>
          millis(input as Duration.DurationInput)
        ),
        [7000, 7000, 7000, 7000, 7000, 30_000, 0, 0]
      )
    })

    it("takes log levels by their short name and by Effect's, in any case", () => {
      assert.strictEqual(level("Warning"), LogLevel.Warning)
      assert.strictEqual(level("all"), LogLevel.All)
      assert.strictEqual(level(LogLevel.None), LogLevel.None)
    })

    it("lets a later source take a rate limit back", () => {
      assert.deepStrictEqual(
        settingsOf({ file: { rateLimit: 5 }, env: provider({ SYNAPSE_RATE_LIMIT: "off" }) }).rateLimit,
        Option.none()
      )
    })

    it("writes a mapped IPv4 address as IPv4", () => {
      const [address] = settingsOf({ flags: { bootstrap: ["[::ffff:10.0.0.6]:9470"] } }).bootstrap
      assert.strictEqual(String(address), "10.0.0.6:9470")
    })

    it("takes what it gave", () => {
      const given = settingsOf({
        flags: { nodeId: "a", bootstrap: ["a:1"], rateLimit: 9, logLevel: "debug", tags: { a: "b" }, retryBase: 7 }
      })
      const again: NetworkConfig.Input = given
      assert.deepStrictEqual(Either.getOrThrow(NetworkConfig.make(again)), { settings: given, warnings: [] })
    })
  })

  describe("sources", () => {
    it("are overridden by the later ones: file, environment, flags", () => {
      const numbers: ReadonlyArray<Key> = ["port", "maxConnectionsPerIp", "seenIds", "outboundQueue", "broadcastTtl"]
      const source = fc.dictionary(fc.constantFrom(...numbers), fc.integer({ min: 1, max: 255 }))
      fc.assert(
        fc.property(source, source, source, (file, env, flags) => {
          const settings = settingsOf({
            file: JSON.stringify(file),
            env: provider(Object.fromEntries(Object.entries(env).map(([key, n]) => [envOf(key as Key), String(n)]))),
            flags: loose(flags)
          })
          for (const key of numbers) {
            const expected = flags[key] ?? env[key] ?? file[key] ?? NetworkConfig.defaults[key]
            assert.deepStrictEqual(settings[key], expected)
          }
        }),
        { numRuns: 100 }
      )
    })

    it("report all that is wrong at once, each under its own name", () => {
      const result = load({
        file: { port: 70_000, retryFactor: 0, maxPeer: 3 },
        env: provider({ SYNAPSE_PORT: "http", SYNAPSE_BAN_DURATION: "soon" }),
        flags: loose({ maxInvalidMessages: 0, logLevel: "loud" })
      })
      assert.deepStrictEqual(
        issuesOf(result).map(({ key }) => key),
        [
          "port (in the file)",
          "retryFactor (in the file)",
          "maxPeer (in the file)",
          "SYNAPSE_PORT",
          "SYNAPSE_BAN_DURATION",
          "--max-invalid-messages",
          "--log-level"
        ]
      )
      assert.include(
        Either.match(result, { onLeft: ({ message }) => message, onRight: () => "" }),
        'SYNAPSE_PORT is "http", but must be an integer from 0 to 65535; SYNAPSE_BAN_DURATION is "soon", but must be'
      )
    })

    it("report a bad value even where a later source has a good one", () => {
      const result = load({ file: { port: -1 }, flags: { port: 1 } })
      assert.deepStrictEqual(issuesOf(result), [
        { key: "port (in the file)", value: "-1", expected: "an integer from 0 to 65535" }
      ])
    })

    it("have no key that is not known, and name the nearest", () => {
      const nearest = (key: string) => issuesOf(load({ file: JSON.stringify({ [key]: 1 }) }))[0]
      assert.deepStrictEqual(nearest("maxPeer"), {
        key: "maxPeer (in the file)",
        value: "unknown",
        expected: "a known key (nearest: maxPeers)"
      })
      assert.include(nearest("HEARTBEAT_INTERVAL")?.expected ?? "", "heartbeatInterval")
      assert.include(nearest("log-format")?.expected ?? "", "logFormat")
      assert.include(nearest("constructor")?.expected ?? "", "nearest")
      assert.include(nearest("x".repeat(10_000))?.expected ?? "", "nearest")
      assert.strictEqual(issuesOf(load({ file: '{"__proto__":{"port":1}}' })).length, 1)
    })

    it("show no secret", () => {
      const secret = "s3cret-value"
      for (const options of [
        { file: { networkKey: secret } },
        { file: `{"networkKey": "${secret}"` },
        { file: `{"networkKey": ${secret}}` },
        { file: { network_key: secret } },
        { env: provider({ SYNAPSE_NETWORK_KEY: secret }) },
        { flags: { networkKey: secret } },
        { flags: { networkKey: Redacted.make(secret) } }
      ]) {
        const result = load(options)
        assert.isNotEmpty(issuesOf(result))
        assert.notInclude(JSON.stringify(issuesOf(result)), secret)
      }
      assert.strictEqual(issuesOf(load({ flags: { networkKey: secret } }))[0]?.value, "<redacted>")
    })

    it("say what is wrong with a file that holds no settings", () => {
      assert.match(faultOf("{")[0]?.[1] ?? "", /^not JSON/)
      assert.deepStrictEqual(faultOf("")[0]?.[0], "the file")
      assert.deepStrictEqual(faultOf("[]"), [["the file", "an array"]])
      assert.deepStrictEqual(faultOf(null), [["the file", "null"]])
      assert.deepStrictEqual(faultOf("7"), [["the file", "7"]])
      assert.strictEqual(settingsOf({ file: '\uFEFF{"port":1}' }).port, 1)
    })

    it("name a variable that cannot be read", () => {
      const broken = ConfigProvider.fromFlat(
        ConfigProvider.makeFlat({
          load: (path) =>
            Effect.fail(
              path[0] === "SYNAPSE_PORT"
                ? ConfigError.Unsupported([...path], "locked")
                : ConfigError.MissingData([...path], "absent")
            ),
          enumerateChildren: () => Effect.succeed(HashSet.empty()),
          patch: PathPatch.empty
        })
      )
      assert.deepStrictEqual(issuesOf(load({ env: broken })), [
        { key: "SYNAPSE_PORT", value: "unreadable", expected: "an integer from 0 to 65535" }
      ])
    })
  })

  describe("values that go together", () => {
    it("clamps what another value makes senseless, and says so where it was asked for", () => {
      const loaded = Either.getOrThrow(
        load({
          env: provider({ SYNAPSE_TARGET_PEERS: "500" }),
          flags: { maxPeers: 10, maxInbound: 11, maxHints: 5, retryMax: 100, retryBase: "1 second" }
        })
      )
      const { maxHintsPerTeller, maxInbound, retryBase, targetPeers } = loaded.settings
      assert.deepStrictEqual(
        [targetPeers, maxInbound, maxHintsPerTeller, Duration.toMillis(retryBase)],
        [9, 10, 5, 100]
      )
      assert.deepStrictEqual(loaded.warnings, [
        "SYNAPSE_TARGET_PEERS is 500, which is over maxPeers less one: 9 is used",
        "--max-inbound is 11, which is over maxPeers: 10 is used",
        "--retry-base is 1s, which is over retryMax: 100ms is used"
      ])
    })

    it("never leaves a clamped value over its bound", () => {
      const n = fc.integer({ min: 1, max: 1000 })
      fc.assert(
        fc.property(fc.record({ maxPeers: n, targetPeers: n, maxInbound: n }, { requiredKeys: [] }), (flags) => {
          const { maxInbound, maxPeers, targetPeers } = settingsOf({ flags })
          assert.isTrue(targetPeers < maxPeers || maxPeers === 1)
          assert.isAtMost(maxInbound, maxPeers)
          assert.strictEqual(targetPeers, Math.max(1, Math.min(flags.targetPeers ?? 32, maxPeers - 1)))
        }),
        { numRuns: 100 }
      )
    })

    it("refuses heartbeats that time out before the next, naming the value that was given", () => {
      assert.deepStrictEqual(flagIssues({ heartbeatInterval: "15 seconds" }), [
        { key: "--heartbeat-interval", value: "15s", expected: "shorter than heartbeatTimeout (15s)" }
      ])
      assert.deepStrictEqual(flagIssues({ heartbeatTimeout: "4 seconds", heartbeatInterval: "6 seconds" }), [
        { key: "--heartbeat-timeout", value: "4s", expected: "longer than heartbeatInterval (6s)" }
      ])
      assert.deepStrictEqual(flagIssues({ heartbeatInterval: "20 seconds", heartbeatTimeout: "21 seconds" }), [])
    })

    it("does not judge a pair of which one is bad already", () => {
      const issues = issuesOf(load({ flags: loose({ heartbeatInterval: "20 seconds", heartbeatTimeout: "soon" }) }))
      assert.deepStrictEqual(
        issues.map(({ key }) => key),
        ["--heartbeat-timeout"]
      )
    })

    it("warns of a host that others can reach without encryption", () => {
      const plain = { encryption: "none" } as const
      assert.include(warningsOf({ host: "0.0.0.0", ...plain })[0] ?? "", 'host is "0.0.0.0" and encryption is none')
      assert.strictEqual(warningsOf({ host: "node.example", ...plain }).length, 1)
      for (const host of ["localhost", "::1", "127.1.2.3"]) assert.deepStrictEqual(warningsOf({ host, ...plain }), [])
      assert.deepStrictEqual(warningsOf({ host: "0.0.0.0" }), [])
    })

    it("list nobody that no key can be: with encryption one is refused, wherever it is given, and without any is possible", () => {
      const good = idOf("b")
      const wrong = [
        good.toUpperCase(),
        good.slice(1),
        `${good}a`,
        `${good.slice(0, -1)}b`,
        `0${good.slice(1)}`,
        "node-b"
      ]
      for (const id of wrong) {
        for (const key of ["allow", "deny"] as const) {
          const found = [
            load({ file: { [key]: [good, id] } }),
            load({ env: provider({ [envOf(key)]: `${good}, ${id}` }) }),
            load({ flags: { [key]: [good, id] } }),
            load({ file: { encryption: "none" }, flags: { encryption: "tls", [key]: [id] } })
          ].map(issuesOf)
          assert.deepStrictEqual(
            found.map((issues) => issues.map((issue) => [issue.key, issue.value])),
            [`${key} (in the file)`, envOf(key), `--${key}`, `--${key}`].map((name) => [[name, JSON.stringify(id)]])
          )
          for (const [issue] of found) assert.include(issue?.expected, "52 characters of a-z and 2-7")
          assert.deepStrictEqual(settingsOf({ flags: { encryption: "none", [key]: [id] } })[key], [NodeId.make(id)])
          assert.strictEqual(read({ [envOf(key)]: id })._tag, "Left")
          assert.strictEqual(build(NetworkConfig.layer({ [key]: [id] })).result._tag, "Left")
        }
      }
      for (const last of ["a", "q"]) {
        const id = good.slice(0, -1) + last
        assert.deepStrictEqual(settingsOf({ flags: { allow: [id] } }).allow, [NodeId.make(id)])
      }
    })

    it("offer no keys without encryption, in whatever order they are given", () => {
      const secret = secretOf(1)
      for (const key of ["networkKey", "identityKey"] as const) {
        const issues = [
          issuesOf(load({ flags: { encryption: "none", [key]: secret } })),
          issuesOf(load({ env: provider({ SYNAPSE_ENCRYPTION: "none" }), flags: { [key]: secret } }))
        ]
        for (const found of issues) {
          assert.deepStrictEqual(
            found.map(({ expected, value }) => [value, expected]),
            [["<redacted>", "left out where encryption is none"]]
          )
        }
      }
      assert.deepStrictEqual(issuesOf(load({ flags: { encryption: "none", networkKey: [] } })), [])
    })
  })

  describe("layers", () => {
    it("layer does not look at the environment", () => {
      const { lines, result } = build(NetworkConfig.layer({ maxPeers: 20 }), env1234)
      const { maxPeers, port } = Either.getOrThrow(result)
      assert.deepStrictEqual([port, maxPeers], [9470, 20])
      assert.deepStrictEqual(lines, [])
    })

    it("layerFromEnv reads the process's own environment by Effect's default provider", () => {
      process.env["SYNAPSE_MAX_HINTS_PER_TELLER"] = "9"
      try {
        const read = Effect.provide(NetworkConfig.NetworkConfig, NetworkConfig.layerFromEnv({ host: "127.0.0.1" }))
        assert.strictEqual(Effect.runSync(read).maxHintsPerTeller, 9)
      } finally {
        delete process.env["SYNAPSE_MAX_HINTS_PER_TELLER"]
      }
    })

    it("layerFromEnv reads the environment, and overrides win", () => {
      const { maxPeers, port } = Either.getOrThrow(build(NetworkConfig.layerFromEnv({ maxPeers: 20 }), env1234).result)
      assert.deepStrictEqual([port, maxPeers], [1234, 20])
      assert.strictEqual(Either.getOrThrow(build(NetworkConfig.layerFromEnv(), env1234).result).maxPeers, 7)
    })

    it("log what a person should know", () => {
      const { lines } = build(NetworkConfig.layer({ targetPeers: 300, host: "0.0.0.0", encryption: "none" }))
      assert.deepStrictEqual(
        lines.map((line) => line.slice(0, 30)),
        ["Warning targetPeers is 300, wh", 'Warning host is "0.0.0.0" and ']
      )
    })

    it("fail with all issues, by the names of their sources", () => {
      const bad = provider({ SYNAPSE_PORT: "x" })
      const { result } = build(NetworkConfig.layerFromEnv(loose({ maxPeers: 0 })), bad)
      const issues = Either.match(result, { onLeft: (error) => error.issues, onRight: () => [] })
      assert.deepStrictEqual(
        issues.map(({ key }) => key),
        ["SYNAPSE_PORT", "maxPeers"]
      )
    })
  })

  describe("config", () => {
    it("is the settings of the environment", () => {
      const settings = Either.getOrThrow(read({ SYNAPSE_PORT: "1", SYNAPSE_BOOTSTRAP: "a:1, b:2", SYNAPSE_HOST: "" }))
      assert.deepStrictEqual(
        [settings.port, settings.bootstrap.map(String), settings.host],
        [1, ["a:1", "b:2"], "127.0.0.1"]
      )
      assert.deepStrictEqual(Either.getOrThrow(read({})), NetworkConfig.defaults)
    })

    it("fails with all that is wrong, in one ConfigError", () => {
      const text = Either.match(read({ SYNAPSE_PORT: "x", SYNAPSE_TAGS: "y", SYNAPSE_NETWORK_KEY: "s3cret-value" }), {
        onLeft: String,
        onRight: () => ""
      })
      assert.include(text, 'SYNAPSE_PORT: "is "x", but must be an integer from 0 to 65535"')
      assert.include(text, "SYNAPSE_TAGS")
      assert.notInclude(text, "s3cret-value")
    })

    it("is part of a larger configuration like any other", () => {
      const both = Config.all({ node: NetworkConfig.config, name: Config.string("APP_NAME") })
      const { name, node } = Effect.runSync(
        Effect.withConfigProvider(both, provider({ APP_NAME: "chat", SYNAPSE_PORT: "5" }))
      )
      assert.deepStrictEqual([name, node.port], ["chat", 5])
    })
  })
})
