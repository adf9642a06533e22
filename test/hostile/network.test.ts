/**
 * A network of twenty processes, six of which attack the others in every way at once: the others keep their links, hear
 * each other's news once each, and stay small. `SYNAPSE_SHOW=1` prints how it went, `SYNAPSE_PROGRAM` names another
 * build than `dist/bin.js`.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { plainEnv } from "../utils/plain.js"
import { attack, Node, until } from "./network/processes.js"
import type { Status } from "./network/processes.js"
import { Watch } from "./network/Watch.js"

const program = process.env["SYNAPSE_PROGRAM"] ?? fileURLToPath(new URL("../../dist/bin.js", import.meta.url))
const isShown = (process.env["SYNAPSE_SHOW"] ?? "") !== ""

const nodeCount = 14
const newsPerNode = 5
const attackSeconds = 20
/** Of each process, which has about 120 at rest. */
const mostMebibytes = 175
const kinds = ["garbage", "flood", "dialer", "liar", "impostor", "deaf"]

const env = {
  ...plainEnv,
  SYNAPSE_HEARTBEAT_INTERVAL: "1 second",
  // Fourteen busy nodes share two processors: one that gets no turn is not dead.
  SYNAPSE_HEARTBEAT_TIMEOUT: "15 seconds",
  SYNAPSE_DISCOVERY_INTERVAL: "2 seconds",
  SYNAPSE_TARGET_PEERS: "20",
  // So short that both come to their end and begin anew while it lasts.
  SYNAPSE_BAN_DURATION: "2 seconds",
  SYNAPSE_SLOW_CONSUMER_TIMEOUT: "12 seconds"
}

const ids = Array.from({ length: nodeCount }, (_, n) => `node-${String(n + 1).padStart(2, "0")}`)
/** Whose id an attacker takes: another attacker's, or that of the last of the nodes, who then cannot keep its links. */
const stranger = "liar"
const robbedNode = `node-${nodeCount}`

/** Nodes that have all found each other. */
const startNodes = (logOf: (id: string) => string) =>
  Effect.gen(function* () {
    const nodes = ids.map((id) => new Node(id))
    const [first, ...others] = nodes
    const startOne = (node: Node) => {
      const bootstrap = node === first ? [] : [`${first?.address.host}:${first?.address.port}`]
      return node.start(program, { host: "127.0.0.1", bootstrap, env }, logOf(node.id))
    }
    if (first !== undefined) yield* startOne(first)
    yield* Effect.forEach(others, startOne, { concurrency: 3 })
    const knowsAll = (node: Node) => ids.every((id) => id === node.id || node.peers.get(id) === "connected")
    assert.isTrue(yield* until(() => nodes.every(knowsAll), 60), "every node has found every other")
    return nodes
  })

const siege = (robbed: string) =>
  Effect.gen(function* () {
    const folder = yield* Effect.acquireRelease(
      Effect.sync(() => mkdtempSync(join(tmpdir(), "synapse-hostile-"))),
      (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
    )
    const logOf = (id: string) => join(folder, `${id}.log`)
    const nodes = yield* startNodes(logOf)

    const watch = new Watch(nodes, robbed)
    const targets = nodes.map(({ address, id }) => ({ id, ...address }))
    // Each at an address of its own, so that what the nodes hold against it is held against no other.
    const attackers = yield* Effect.forEach(kinds, (kind, n) =>
      attack(kind, { id: kind, from: `127.0.2.${n + 1}`, stolen: robbed, targets })
    )
    for (let n = 0; n < newsPerNode; n++) {
      yield* Effect.sleep(`${attackSeconds / (newsPerNode + 1)} seconds`)
      yield* watch.sayNews(n)
    }
    yield* Effect.sleep(Math.max(0, (attackSeconds - watch.seconds()) * 1000))

    const usages = nodes.map((node) => node.usage())
    const done = yield* Effect.forEach(attackers, ({ stop }) => stop, { concurrency: "unbounded" })
    // What was said under attack may be on its way yet.
    yield* until(() => watch.missing(false).length === 0, 30)
    const statuses = (yield* Effect.forEach(nodes, (node) => node.command("status"), {
      concurrency: "unbounded"
    })) as ReadonlyArray<Status | undefined>
    const conflicts = nodes.flatMap(({ id }) =>
      readFileSync(logOf(id), "utf8").split("two nodes call themselves")
    ).length
    const table = [
      ...kinds.map((kind, n) => `${kind.padEnd(8)} ${JSON.stringify(done[n])}`),
      `conflict ${conflicts - nodes.length} times said by ${robbed}`,
      watch.report(statuses, usages)
    ].join("\n")
    if (isShown) process.stdout.write(`${table}\n`)

    assert.deepStrictEqual(
      nodes.filter(({ isGone }) => isGone).map(({ id }) => id),
      [],
      `nodes that ended\n${table}`
    )
    assert.strictEqual(watch.losses(false).length, 0, `links lost\n${table}`)
    assert.deepStrictEqual(watch.missing(false), [], `news missing\n${table}`)
    assert.deepStrictEqual(watch.repeated(), [], `news that came more than once\n${table}`)
    for (const { most } of usages) assert.isBelow(most, mostMebibytes, `mebibytes\n${table}`)
  })

// The addresses 127.0.2.n are there to dial from on Linux alone.
const whyNot =
  process.platform !== "linux" ? " (not run: needs Linux)" : existsSync(program) ? "" : " (not run: not built)"

describe.skipIf(whyNot !== "")(`A network of twenty, six of them attackers${whyNot}`, () => {
  it.scopedLive(
    "keeps the links of all others, delivers each one's news once, and stays small",
    () => siege(stranger),
    150_000
  )

  it.scopedLive(
    "the same where one of the others is robbed of its id, but for what concerns that one",
    () => siege(robbedNode),
    150_000
  )
})
