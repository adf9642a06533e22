import { assert, describe, it } from "@effect/vitest"
import * as PlatformError from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as ConfigProvider from "effect/ConfigProvider"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as ExecutionStrategy from "effect/ExecutionStrategy"
import * as Exit from "effect/Exit"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync
} from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { afterAll, beforeAll } from "vitest"
import type { RememberedPeer } from "../../src/internal/RememberedPeers.js"
import * as LocalNode from "../../src/LocalNode.js"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import type { StateFolderFailed } from "../../src/NetworkError.js"
import * as NodeId from "../../src/NodeId.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import * as StateFolder from "../../src/node/StateFolder.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as PeerBook from "../../src/PeerBook.js"
import * as ChildProgram from "../utils/childProgram.js"
import { plain } from "../utils/plain.js"
import { logged, namesIn, open, openClosable, temporary, turn, visit } from "../utils/stateFolder.js"

const peer = (id: string, port: number): RememberedPeer => ({
  id: NodeId.make(id),
  addresses: [{ host: "127.0.0.1", port }],
  lastSeen: "2026-01-01T00:00:00.000Z"
})

const readJson = (path: string): unknown => JSON.parse(readFileSync(path, "utf8"))

const identity = (path: string): unknown => readJson(join(path, "identity.json"))

const addressOf = (network: P2PNetwork["Type"]) => Effect.map(network.status, ({ address }) => String(address))

const refused = (path: string, settings: NetworkConfig.Input = {}) =>
  Effect.map(Effect.either(visit(path, settings)), (result): StateFolderFailed => {
    if (Either.isRight(result)) throw new Error("the folder was opened")
    if (result.left._tag !== "StateFolderFailed") throw result.left
    return result.left
  })

/** A folder that only writes down what it is given, over a book that the test changes. */
const buildPeers = (remembered: ReadonlyArray<RememberedPeer>, isWorking = (): boolean => true) =>
  Effect.gen(function* () {
    const kept: Array<ReadonlyArray<string>> = []
    const folder = Layer.succeed(StateFolder.StateFolder, {
      path: "/state",
      nodeId: NodeId.make("self"),
      remembered,
      keep: (peers: ReadonlyArray<{ readonly id: string }>) =>
        Effect.sync(() => {
          kept.push(peers.map(({ id }) => id))
          return isWorking()
        })
    })
    const parts = Layer.mergeAll(LocalNode.layer, PeerBook.layer).pipe(
      Layer.provide(StateFolder.layerIdentity),
      Layer.provideMerge(folder)
    )
    const scope = yield* Scope.make()
    const context = yield* Layer.build(
      StateFolder.layerPeers.pipe(
        Layer.provideMerge(parts),
        Layer.provide(Layer.succeed(NetworkConfig.NetworkConfig, NetworkConfig.defaults))
      )
    ).pipe(Scope.extend(scope))
    const book = Context.get(context, PeerBook.PeerBook)
    const hints = () => [...HashMap.keys(book.get().hints)].map(String).sort()
    return { kept, book, hints, close: Scope.close(scope, Exit.void) }
  })

const meet = (id: string, port: number) => (state: PeerBook.State) =>
  PeerBook.connected(
    state,
    {
      identity: {
        id: NodeId.make(id),
        session: undefined,
        relay: true,
        maxMessageBytes: 65_536,
        listen: [PeerAddress.make("127.0.0.1", port)],
        agent: undefined,
        tags: {}
      },
      direction: "inbound",
      address: PeerAddress.make("127.0.0.1", 50_000),
      dialed: undefined,
      openedAt: 0
    },
    0,
    { peers: 4096, hints: 1024, hintsPerTeller: 64 }
  )

describe("StateFolder", () => {
  describe("the id", () => {
    it.scopedLive("is random at first, and the same from then on", () =>
      Effect.gen(function* () {
        const path = join(yield* temporary, "deep", "state")
        const first = yield* visit(path)
        assert.match(first.nodeId, /^[0-9a-f]{32}$/)
        assert.deepStrictEqual(identity(path), { version: 1, nodeId: first.nodeId })
        assert.strictEqual((yield* visit(path)).nodeId, first.nodeId)
        assert.notStrictEqual((yield* visit(yield* temporary)).nodeId, first.nodeId)
      })
    )

    it.scopedLive("is the configured one, which is kept", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const { lines } = yield* logged(visit(path, { nodeId: "alice" }))
        assert.deepStrictEqual(lines, [])
        assert.strictEqual((yield* visit(path)).nodeId, "alice")
      })
    )

    it.scopedLive("is the configured one, with a warning, where another was kept", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        yield* visit(path, { nodeId: "alice" })
        const { lines, value } = yield* logged(visit(path, { nodeId: "bob" }))
        assert.strictEqual(value.nodeId, "bob")
        assert.strictEqual(lines.length, 1)
        assert.match(lines[0] ?? "", /^WARN .*alice.*bob/)
        assert.deepStrictEqual((yield* logged(visit(path))).value.nodeId, "bob")
      })
    )
  })

  describe("the nodes", () => {
    it.scopedLive("are those that were kept", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const peers = [peer("a", 1), peer("b", 2)]
        yield* Effect.scoped(Effect.flatMap(open(path, { network: "n" }), ({ keep }) => keep(peers)))
        assert.deepStrictEqual(readJson(join(path, "peers.json")), { version: 1, network: "n", peers })
        const { lines, value } = yield* logged(visit(path, { network: "n" }))
        assert.deepStrictEqual(value.remembered, peers)
        assert.deepStrictEqual(lines, [])
      })
    )

    it.scopedLive("are none where they are of another network, with a warning", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        yield* Effect.scoped(Effect.flatMap(open(path, { network: "n" }), ({ keep }) => keep([peer("a", 1)])))
        const { lines, value } = yield* logged(visit(path, { network: "m" }))
        assert.deepStrictEqual(value.remembered, [])
        assert.match(lines.join("\n"), /^WARN .*network n: not used$/)
      })
    )

    it.scopedLive("are for this user only", () =>
      Effect.gen(function* () {
        const path = join(yield* temporary, "state")
        yield* Effect.scoped(Effect.flatMap(open(path), ({ keep }) => keep([peer("a", 1)])))
        assert.strictEqual(statSync(path).mode & 0o777, 0o700)
        for (const name of namesIn(path)) assert.strictEqual(statSync(join(path, name)).mode & 0o777, 0o600)
        assert.deepStrictEqual(namesIn(path), ["identity.json", "peers.json"])
      })
    )
  })

  describe("a damaged file", () => {
    const whole = { version: 1, network: "synapse", peers: [peer("a", 1)] }
    const damages: Readonly<Record<string, string>> = {
      empty: "",
      "cut off": JSON.stringify(whole).slice(0, -5),
      "no JSON": "\u0000\u0000\u0000\u0000",
      "another version": JSON.stringify({ ...whole, version: 2, nodeId: "a" }),
      "another form": "[]",
      "a wrong id": JSON.stringify({ version: 1, nodeId: "not an id", network: "synapse", peers: [{ id: "" }] }),
      "no address": JSON.stringify({ ...whole, peers: [{ ...peer("a", 1), addresses: [] }] }),
      "a wrong port": JSON.stringify({ ...whole, peers: [peer("a", 65_536)] }),
      "no time": JSON.stringify({ ...whole, peers: [{ ...peer("a", 1), lastSeen: "yesterday" }] })
    }

    for (const [what, content] of Object.entries(damages)) {
      it.scopedLive(`is set aside with a warning: ${what}`, () =>
        Effect.gen(function* () {
          const path = yield* temporary
          for (const name of ["identity.json", "peers.json"]) writeFileSync(join(path, name), content)
          const { lines, value } = yield* logged(visit(path))
          assert.deepStrictEqual(value.remembered, [])
          assert.match(value.nodeId, /^[0-9a-f]{32}$/)
          assert.strictEqual(lines.length, 2)
          for (const line of lines) assert.match(line, /^WARN .* is damaged and not used .* kept as /)
          const aside = namesIn(path).filter((name) => name.includes(".damaged-"))
          assert.strictEqual(aside.length, 2)
          for (const name of aside) {
            assert.match(name, /^(?:identity|peers)\.json\.damaged-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{3}Z$/)
            assert.strictEqual(readFileSync(join(path, name), "utf8"), content)
          }
          assert.deepStrictEqual((yield* logged(visit(path))).lines, [])
        })
      )
    }

    it.scopedLive("is set aside too where it is a folder, a device or far too long", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        mkdirSync(join(path, "identity.json"))
        symlinkSync("/dev/zero", join(path, "peers.json"))
        assert.strictEqual((yield* logged(visit(path))).lines.length, 2)
        writeFileSync(join(path, "peers.json"), Buffer.alloc(33 * 1024 * 1024, " "))
        assert.match((yield* logged(visit(path))).lines.join("\n"), /it has 34603008 bytes/)
        assert.isDefined((yield* visit(path)).nodeId)
      })
    )

    it.scopedLive("is written anew where it cannot be set aside", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        writeFileSync(join(path, "identity.json"), "?")
        const files = yield* Effect.provide(FileSystem.FileSystem, NodeContext.layer)
        let renames = 0
        const stubborn = FileSystem.FileSystem.of({
          ...files,
          rename: (from, to) =>
            renames++ === 0
              ? Effect.fail(new PlatformError.BadArgument({ module: "FileSystem", method: "rename" }))
              : files.rename(from, to)
        })
        const { lines, value } = yield* logged(
          Effect.scoped(
            StateFolder.make(path).pipe(
              Effect.provideService(FileSystem.FileSystem, stubborn),
              Effect.provideService(NetworkConfig.NetworkConfig, { ...NetworkConfig.defaults, ...plain }),
              Effect.provide(NodeContext.layer)
            )
          )
        )
        assert.match(lines.join("\n"), /^WARN .* it will be written anew$/)
        assert.deepStrictEqual(identity(path), { version: 1, nodeId: value.nodeId })
      })
    )

    it.live("never stops the node, whatever bytes are in it", () =>
      Effect.promise(() =>
        fc.assert(
          fc.asyncProperty(
            fc.oneof(
              fc.uint8Array({ maxLength: 200 }),
              fc.json().map((text) => Buffer.from(text))
            ),
            fc.constantFrom("identity.json", "peers.json"),
            (bytes, name) =>
              Effect.gen(function* () {
                const path = yield* temporary
                writeFileSync(join(path, name), bytes)
                const { value } = yield* logged(visit(path))
                assert.isTrue(NodeId.is(value.nodeId))
                assert.strictEqual((yield* visit(path)).nodeId, value.nodeId)
              }).pipe(Effect.scoped, Effect.runPromise)
          ),
          { numRuns: 40 }
        )
      )
    )
  })

  describe("a folder that cannot be had", () => {
    it.scopedLive("is in use: one line says by whom and what to do", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        yield* open(path)
        const error = yield* refused(path)
        assert.deepInclude(error, { _tag: "StateFolderFailed", reason: "InUse", pid: process.pid, path })
        assert.match(error.message, new RegExp(`^the state folder ${path} is in use by process ${process.pid}: stop`))
        assert.notInclude(error.message, "\n")
      })
    )

    it.scopedLive("is no folder", () =>
      Effect.gen(function* () {
        const path = join(yield* temporary, "file")
        writeFileSync(path, "")
        const error = yield* refused(path)
        assert.strictEqual(error.reason, "NotAFolder")
        assert.match(error.message, /is not a folder: choose another one/)
        assert.strictEqual(readFileSync(path, "utf8"), "")
      })
    )

    it.scopedLive("cannot be made", () =>
      Effect.gen(function* () {
        const file = join(yield* temporary, "file")
        writeFileSync(file, "")
        for (const path of [join(file, "state"), "/proc/synapse-state"]) {
          const error = yield* refused(path)
          assert.strictEqual(error.reason, "NotWritable", path)
          assert.match(error.message, /cannot be written to: .*choose another folder/)
        }
      })
    )

    it.scopedLive("cannot be written to", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        chmodSync(path, 0o500)
        // To root nothing is forbidden there, but nobody makes files in /proc.
        const error = yield* refused(process.getuid?.() === 0 ? "/proc/self" : path)
        assert.strictEqual(error.reason, "NotWritable")
        chmodSync(path, 0o700)
      })
    )

    it.scopedLive("has something in it where the lock should be", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        mkdirSync(join(path, "lock"))
        assert.strictEqual((yield* refused(path)).reason, "Other")
        assert.strictEqual((yield* refused("\u0000")).reason, "Other")
      })
    )

    it.scopedLive("is one for the same process again once its scope is closed", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const { close, folder } = yield* openClosable(path)
        yield* close
        assert.strictEqual((yield* visit(path)).nodeId, folder.nodeId)
      })
    )
  })

  describe("trouble while the node runs", () => {
    it.scopedLive("is a warning once, and good news once", () =>
      Effect.gen(function* () {
        const path = join(yield* temporary, "state")
        const { lines } = yield* logged(
          Effect.gen(function* () {
            const { keep } = yield* open(path)
            yield* keep([peer("a", 1)])
            rmSync(path, { recursive: true })
            yield* keep([peer("b", 1)])
            yield* keep([peer("c", 1)])
            assert.isFalse(existsSync(path))
            mkdirSync(path)
            yield* keep([peer("d", 1)])
            yield* keep([peer("e", 1)])
          })
        )
        assert.strictEqual(lines.length, 2, lines.join("\n"))
        assert.match(lines[0] ?? "", /^WARN .* cannot be kept in .*ENOENT/)
        assert.match(lines[1] ?? "", /^INFO .* again$/)
        assert.deepInclude(readJson(join(path, "peers.json")), { peers: [peer("e", 1)] })
        assert.include(namesIn(path), "lock")
      })
    )

    it.scopedLive("of a full disk leaves the old file whole and nothing beside it", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const files = yield* Effect.provide(FileSystem.FileSystem, NodeContext.layer)
        let isFull = false
        const full = new PlatformError.SystemError({
          reason: "Unknown",
          module: "FileSystem",
          method: "write",
          description: "ENOSPC: no space left on device"
        })
        const small = FileSystem.FileSystem.of({
          ...files,
          open: (name, options) =>
            Effect.map(files.open(name, options), (file) =>
              isFull ? { ...file, writeAll: () => Effect.fail(full), sync: file.sync } : file
            )
        })
        const { lines } = yield* logged(
          Effect.gen(function* () {
            const { keep } = yield* StateFolder.make(path).pipe(
              Effect.provideService(FileSystem.FileSystem, small),
              Effect.provideService(NetworkConfig.NetworkConfig, { ...NetworkConfig.defaults, ...plain }),
              Effect.provide(NodeContext.layer)
            )
            yield* keep([peer("a", 1)])
            isFull = true
            yield* keep([peer("b", 1)])
          })
        )
        assert.match(lines.join("\n"), /^WARN .*ENOSPC/)
        assert.deepInclude(readJson(join(path, "peers.json")), { peers: [peer("a", 1)] })
        assert.deepStrictEqual(namesIn(path), ["identity.json", "lock", "peers.json"])
      })
    )

    it.scopedLive("with another process that has taken the folder leaves that one's files alone", () =>
      Effect.gen(function* () {
        const path = yield* temporary
        const { lines } = yield* logged(
          Effect.gen(function* () {
            const { keep } = yield* open(path)
            yield* keep([peer("a", 1)])
            writeFileSync(join(path, "lock"), "{}")
            yield* keep([peer("b", 1)])
          })
        )
        assert.match(lines.join("\n"), /^WARN .*another process has taken the folder$/)
        assert.deepInclude(readJson(join(path, "peers.json")), { peers: [peer("a", 1)] })
      })
    )
  })

  describe("a process that is killed", () => {
    let folder = ""
    let program = ""
    beforeAll(async () => {
      folder = mkdtempSync(join(tmpdir(), "synapse-state-"))
      program = join(folder, "child.mjs")
      await ChildProgram.bundle("test/utils/stateFolderChild.ts", program)
    })
    afterAll(() => rmSync(folder, { recursive: true, force: true }))

    it.scopedLive(
      "in the middle of writing leaves whole files and a folder that the next one takes",
      () =>
        Effect.gen(function* () {
          const path = yield* temporary
          const { nodeId } = yield* visit(path)
          for (let round = 0; round < 12; round++) {
            const child = yield* ChildProgram.start(program, ["write", path])
            assert.strictEqual(yield* child.line, `held ${nodeId}`)
            // Somewhere else in its work each time.
            for (let turns = 0; turns < 40 * round; turns++) yield* turn
            yield* child.kill
            assert.deepInclude(readJson(join(path, "peers.json")), { version: 1, network: "synapse" })
            assert.include(namesIn(path), "lock")
          }
          const { lines, value } = yield* logged(visit(path))
          assert.strictEqual(value.nodeId, nodeId)
          assert.deepStrictEqual(lines, [])
          assert.isEmpty(readdirSync(path).filter((name) => name.includes("damaged")))
        }),
      60_000
    )
  })
})

describe("layerPeers", () => {
  it.scoped("keeps nothing while nothing changes, once for all changes of a second, and all at the end", () =>
    Effect.gen(function* () {
      const { book, close, kept } = yield* buildPeers([])
      yield* TestClock.adjust("10 seconds")
      assert.deepStrictEqual(kept, [])
      book.update(meet("a", 1))
      book.update(meet("b", 2))
      assert.deepStrictEqual(kept, [])
      yield* TestClock.adjust("1 second")
      assert.strictEqual(kept.length, 1)
      assert.sameMembers([...(kept[0] ?? [])], ["a", "b"])
      // Silent and heard again: neither who nor where.
      book.update((state) => PeerBook.suspected(state, NodeId.make("a"), true, 0))
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(kept.length, 1)
      book.update(meet("c", 3))
      yield* close
      assert.strictEqual(kept.length, 2)
      assert.sameMembers([...(kept[1] ?? [])], ["a", "b", "c"])
    })
  )

  it.scoped("tries again until it works", () =>
    Effect.gen(function* () {
      let isWorking = false
      const { book, kept } = yield* buildPeers([], () => isWorking)
      book.update(meet("a", 1))
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(kept, [["a"], ["a"], ["a"]])
      isWorking = true
      yield* TestClock.adjust("10 seconds")
      assert.strictEqual(kept.length, 4)
    })
  )

  it.scoped("keeps at the end when those it kept were seen last, and no list of none", () =>
    Effect.gen(function* () {
      const some = yield* buildPeers([peer("a", 1)])
      yield* some.close
      assert.deepStrictEqual(some.kept, [["a"]])
      const none = yield* buildPeers([])
      yield* none.close
      assert.deepStrictEqual(none.kept, [])
    })
  )

  it.scoped("brings up again at every healing interval whom it knows and is not connected to", () =>
    Effect.gen(function* () {
      const { book, close, hints } = yield* buildPeers([peer("a", 1), peer("b", 2), peer("self", 3)])
      assert.deepStrictEqual(hints(), ["a", "b"])
      book.update(meet("b", 2))
      book.update((state) => PeerBook.dropHint(state, NodeId.make("a"), PeerAddress.make("127.0.0.1", 1)))
      assert.deepStrictEqual(hints(), [])
      yield* TestClock.adjust(NetworkConfig.defaults.healingInterval)
      assert.deepStrictEqual(hints(), ["a"])
      yield* close
      book.update((state) => PeerBook.dropHint(state, NodeId.make("a"), PeerAddress.make("127.0.0.1", 1)))
      yield* TestClock.adjust("1 hour")
      assert.deepStrictEqual(hints(), [])
    })
  )
})

describe("a node with a state folder", () => {
  const quick = { port: 0, discoveryInterval: "200 millis", healingInterval: "300 millis" } as const

  const node = (stateDir: string, settings: NetworkConfig.Input = {}) =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope, ExecutionStrategy.sequential)
      const context = yield* Layer.build(P2PNetworkNode.layer({ ...plain, ...quick, stateDir, ...settings })).pipe(
        Scope.extend(scope)
      )
      return { network: Context.get(context, P2PNetwork), stop: Scope.close(scope, Exit.void) }
    })

  it.scopedLive("finds its network again without its bootstrap peer", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const first = yield* node(yield* temporary, { nodeId: "first" })
      const bootstrap = [yield* addressOf(first.network)]
      const third = yield* node(yield* temporary, { nodeId: "third", bootstrap })
      const before = yield* node(path, { bootstrap })
      yield* before.network.waitForPeers(2)
      yield* before.stop
      yield* first.stop

      const kept = readJson(join(path, "peers.json")) as { readonly peers: ReadonlyArray<RememberedPeer> }
      assert.deepStrictEqual(kept.peers.map(({ id }) => String(id)).sort(), ["first", "third"])

      const after = yield* node(path)
      assert.strictEqual(after.network.nodeId, before.network.nodeId)
      const peers = yield* after.network.waitForPeers(1)
      assert.deepStrictEqual(
        peers.map(({ id }) => String(id)),
        ["third"]
      )
      assert.isTrue(Option.isNone(yield* after.network.peer("first")), "known only by name")
      assert.isTrue(Option.isSome(yield* third.network.peer(after.network.nodeId)))
    })
  )

  it.scopedLive("finds a node that was away when it started", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const elsewhere = yield* temporary
      const away = yield* node(elsewhere)
      const address = yield* addressOf(away.network)
      const before = yield* node(path, { bootstrap: [address] })
      yield* before.network.waitForPeers(1)
      yield* before.stop
      yield* away.stop

      const after = yield* node(path)
      assert.deepStrictEqual(yield* after.network.peers(), [])
      const back = yield* node(elsewhere, { port: Number(address.split(":")[1]) })
      assert.deepStrictEqual(
        (yield* after.network.waitForPeers(1)).map(({ id }) => id),
        [back.network.nodeId]
      )
    })
  )

  it.scopedLive("keeps whom it meets within about a second, not only when it stops", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const met = yield* node(yield* temporary, { nodeId: "met" })
      const meeting = yield* node(path, { bootstrap: [yield* addressOf(met.network)] })
      yield* meeting.network.waitForPeers(1)
      const peers = yield* Effect.repeat(
        Effect.zipRight(
          Effect.sleep("50 millis"),
          Effect.sync(() => (existsSync(join(path, "peers.json")) ? readJson(join(path, "peers.json")) : undefined))
        ),
        { until: (file) => file !== undefined, times: 200 }
      )
      assert.nestedPropertyVal(peers, "peers[0].id", "met")
    })
  )

  it.scopedLive("is refused by one line where another node has the folder", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      yield* node(path)
      const error = yield* Effect.flip(node(path))
      assert.deepInclude(error, { _tag: "StateFolderFailed", reason: "InUse", pid: process.pid })
    })
  )

  it.scopedLive("takes the folder from the environment", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const provider = ConfigProvider.fromMap(
        new Map([
          ["SYNAPSE_STATE_DIR", path],
          ["SYNAPSE_ENCRYPTION", "none"]
        ])
      )
      const context = yield* Layer.build(P2PNetworkNode.layerFromEnv({ port: 0 })).pipe(
        Effect.withConfigProvider(provider)
      )
      assert.deepStrictEqual(identity(path), { version: 1, nodeId: Context.get(context, P2PNetwork).nodeId })
    })
  )

  it.scopedLive("is another one after each start where there is no folder", () =>
    Effect.gen(function* () {
      const start = Effect.scoped(Layer.build(P2PNetworkNode.layer({ ...plain, port: 0 })))
      const [one, other] = yield* Effect.all([start, start])
      assert.notStrictEqual(Context.get(one, P2PNetwork).nodeId, Context.get(other, P2PNetwork).nodeId)
    })
  )

  it.scoped("starts with settings in the context too", () =>
    Effect.gen(function* () {
      const path = yield* temporary
      const settings = { ...NetworkConfig.defaults, ...plain, port: 0, stateDir: Option.some(path) }
      const build = Layer.build(
        P2PNetworkNode.layerConfig({ autoStart: false }).pipe(
          Layer.provide(Layer.succeed(NetworkConfig.NetworkConfig, settings))
        )
      )
      const { nodeId } = Context.get(yield* build, P2PNetwork)
      assert.deepStrictEqual(identity(path), { version: 1, nodeId })
      yield* TestClock.adjust("5 seconds")
      assert.isFalse(existsSync(join(path, "peers.json")), "nothing has changed")
    })
  )
})
