/** A node is killed while it writes what it keeps, over and over. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, watch } from "node:fs"
import { join } from "node:path"
import * as Keys from "../../../src/node/Keys.js"
import { HostNode, port } from "../support/HostNode.js"
import * as Network from "../support/network.js"
import * as Programs from "../support/programs.js"
import * as Switch from "../support/Switch.js"
import { changed, until } from "../support/waiting.js"

/** Nodes side by side; the files at whose sight each is killed at its first starts, and how often after. */
const nodes = 3
const firsts = [/^identity\.pem\.\w+\.new$/, /^identity\.pem$/, /^identity\.json\.tmp$/, /^identity\.json$/]
const rounds = 6

interface Kept {
  readonly peers: ReadonlyArray<{ readonly id: string }>
}

/** What a file of the folder holds, which must be whole; undefined: there is none. */
const read = (node: HostNode, name: string): unknown => {
  const path = join(node.folder, name)
  return existsSync(path) ? JSON.parse(readFileSync(path, "utf8")) : undefined
}

/** Kills the node in the moment in which it makes that file. */
const killAtSight = (node: HostNode, name: RegExp) =>
  Effect.scoped(
    Effect.gen(function* () {
      let isSeen = false
      yield* Effect.acquireRelease(
        Effect.sync(() =>
          watch(node.folder, (_, file) => {
            if (file === null || !name.test(file) || isSeen) return
            isSeen = true
            node.signal("SIGKILL")
            changed()
          })
        ),
        (watcher) => Effect.sync(() => watcher.close())
      )
      yield* until(
        () => isSeen,
        20,
        () => `${node.host.name} writes ${name.source}`
      )
      yield* node.gone
    })
  )

// Guests are many, and none of them is there to be dialed again.
const env = { ...Network.env, SYNAPSE_TARGET_PEERS: "1", SYNAPSE_RETRY_BASE: "20 seconds", SYNAPSE_ENCRYPTION: "none" }

const killAfter = (node: HostNode, millis: number) =>
  Effect.sleep(millis).pipe(Effect.zipRight(Effect.sync(() => node.signal("SIGKILL"))), Effect.zipRight(node.gone))

/** The id that the folder holds, with and without a key. */
const idIn = (node: HostNode): string | undefined =>
  (read(node, "identity.json") as { readonly nodeId: string } | undefined)?.nodeId

const keyIn = (node: HostNode): string | undefined => {
  const path = join(node.folder, "identity.pem")
  if (!existsSync(path)) return undefined
  const { id } = Either.getOrThrow(Keys.fromPem(Redacted.make(readFileSync(path, "utf8"))))
  return id
}

/** The write was under way. */
const isHalfWay = (node: HostNode, name: string): boolean => existsSync(join(node.folder, `${name}.tmp`))

const killOver = (hub: Switch.Switch, number: number, folder: string) =>
  Effect.gen(function* () {
    const [host, guests] = yield* Effect.all([hub.host(number), hub.host(100 + number)])
    const node = new HostNode(host, folder)
    let halfWay = 0

    // The first start of all, in which it gets its id.
    for (const file of firsts) {
      rmSync(node.folder, { recursive: true, force: true })
      mkdirSync(node.folder, { recursive: true, mode: 0o700 })
      const isKey = file.source.includes("pem")
      const here = isKey ? { ...env, SYNAPSE_ENCRYPTION: "tls" } : env
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* node.launch({ env: here })
          yield* killAtSight(node, file)
          if (readdirSync(node.folder).some((name) => /^identity\..*(tmp|new)$/.test(name))) halfWay++
          const identity = isKey ? keyIn(node) : idIn(node)
          yield* node.start({ env: here })
          if (identity !== undefined) assert.strictEqual(node.id, identity, "the id that was kept")
        })
      )
    }

    const { id } = node
    const target = { id, host: host.address, port }
    const order = { id: "guest", from: guests.address, stolen: "", targets: [target] }
    yield* Programs.run(guests, "guests", JSON.stringify(order))
    let known = 0
    for (let round = 0; round < rounds; round++) {
      yield* Effect.scoped(
        Effect.gen(function* () {
          yield* node.start({ env })
          assert.strictEqual(node.id, id, "the id")
          yield* round % 3 === 0
            ? killAfter(node, 100 + Math.random() * 1200)
            : killAtSight(node, round % 3 === 1 ? /^peers\.json\.tmp$/ : /^peers\.json$/)
          if (isHalfWay(node, "peers.json")) halfWay++
          const kept = read(node, "peers.json") as Kept | undefined
          const count = kept?.peers.length ?? 0
          assert.isAtLeast(count, known, "peers kept")
          known = count
        })
      )
    }
    yield* node.start({ env })
    assert.strictEqual(node.id, id, "the id")
    assert.notInclude(node.logged(), "damaged")
    assert.isAbove(known, 10, "peers kept")
    return { halfWay, known }
  })

export const whileWriting = Effect.gen(function* () {
  const hub = yield* Switch.make
  const folder = Network.newFolder()
  const numbers = Array.from({ length: nodes }, (_, index) => index + 1)
  const found = yield* Effect.forEach(numbers, (number) => killOver(hub, number, folder), { concurrency: nodes })
  const halfWay = found.reduce((sum, one) => sum + one.halfWay, 0)
  assert.isAbove(halfWay, 0, "kills while a file was half written")
  const kills = nodes * (firsts.length + rounds)
  return `${kills} kills, ${halfWay} of them with a file half written; every start went well, ids the same, ${Math.min(...found.map(({ known }) => known))} peers or more kept`
})
