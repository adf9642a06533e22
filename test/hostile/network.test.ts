/**
 * A network of twenty processes, six of which attack the others in every way at once: the others keep their links, hear
 * each other's news once each, and need no more memory than they should.
 */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs"
import { tmpdir } from "node:os"
import { join } from "node:path"
import { fileURLToPath } from "node:url"
import { attack, Node, until } from "./network/processes.js"
import type { Status } from "./network/processes.js"

const program = process.env["SYNAPSE_PROGRAM"] ?? fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

const nodeCount = 14
const newsPerNode = 5
const attackSeconds = 20
const mebibytes = 150
const attacks = ["garbage", "flood", "dialer", "liar", "impostor", "deaf"]

const env = {
  SYNAPSE_HEARTBEAT_INTERVAL: "1 second",
  SYNAPSE_HEARTBEAT_TIMEOUT: "6 seconds",
  SYNAPSE_DISCOVERY_INTERVAL: "2 seconds",
  SYNAPSE_TARGET_PEERS: "20",
  // Short enough to be over and to begin again some times, as for one that takes nothing.
  SYNAPSE_BAN_DURATION: "2 seconds",
  SYNAPSE_SLOW_CONSUMER_TIMEOUT: "8 seconds"
}

const idOf = (n: number): string => `node-${String(n).padStart(2, "0")}`

/** The last of the nodes: another one says that it is this one. */
const stolen = idOf(nodeCount)

interface Loss {
  readonly seconds: number
  readonly node: string
  readonly peer: string
  readonly why: string
}

const startNetwork = (logOf: (id: string) => string) =>
  Effect.gen(function* () {
    const nodes = Array.from({ length: nodeCount }, (_, n) => new Node(idOf(n + 1)))
    const startOne = (node: Node, n: number) => {
      // Each at an address of its own, so that what they hold against an attacker's address is held against no other.
      const bootstrap = nodes
        .slice(0, 2)
        .flatMap(({ address }) => (address.port === 0 ? [] : [`${address.host}:${address.port}`]))
      return node.start(program, { id: node.id, host: `127.0.1.${n + 1}`, bootstrap, env }, logOf(node.id))
    }
    for (const [n, node] of nodes.slice(0, 2).entries()) yield* startOne(node, n)
    yield* Effect.forEach(nodes.slice(2), (node, n) => startOne(node, n + 2), { concurrency: 3 })
    const isMeshed = () =>
      nodes.every((node) => nodes.every((peer) => peer === node || node.peers.get(peer.id) === "connected"))
    assert.isTrue(yield* until(isMeshed, 60), "every node has found every other")
    return nodes
  })

const isShown = (process.env["SYNAPSE_SHOW"] ?? "") !== ""

describe.skipIf(process.platform !== "linux" || !existsSync(program))(
  `A network under attack (Linux, and ${program} built)`,
  () => {
    it.scopedLive(
      "keeps its links, delivers all news once, and stays small, whatever six of twenty do",
      () =>
        Effect.gen(function* () {
          const folder = yield* Effect.acquireRelease(
            Effect.sync(() => mkdtempSync(join(tmpdir(), "synapse-hostile-"))),
            (made) => Effect.sync(() => rmSync(made, { recursive: true, force: true }))
          )
          const logOf = (id: string) => join(folder, `${id}.log`)
          const nodes = yield* startNetwork(logOf)

          // --- The attack ---

          const begun = performance.now()
          const seconds = () => (performance.now() - begun) / 1000
          const losses: Array<Loss> = []
          const suspects: Array<Loss> = []
          const ids = new Set(nodes.map(({ id }) => id))
          for (const node of nodes) {
            node.onPeer = ({ error, peer }) => {
              if (!ids.has(peer.id) || peer.status === "connected") return
              const loss = { seconds: seconds(), node: node.id, peer: peer.id, why: error?._tag ?? "" }
              if (peer.status === "suspect") suspects.push(loss)
              else losses.push({ ...loss, why: `${peer.status}: ${error?._tag} ${error?.message}` })
            }
          }
          const targets = nodes.map(({ address, id }) => ({ id, ...address }))
          const attackers = yield* Effect.forEach(attacks, (kind, n) =>
            attack(kind, { id: kind, from: `127.0.2.${n + 1}`, stolen, targets })
          )

          // --- News, all the while ---

          const saidAt = new Map<string, number>()
          const delays: Array<number> = []
          for (const node of nodes) {
            node.onNews = (key) => delays.push(seconds() - (saidAt.get(key) ?? 0))
          }
          const sayNews = (n: number) =>
            Effect.forEach(
              nodes,
              (node) => {
                saidAt.set(`${node.id} ${n}`, seconds())
                return node.command("broadcast", { type: "NEWS", payload: { n } })
              },
              { concurrency: "unbounded", discard: true }
            )
          for (let n = 0; n < newsPerNode; n++) {
            yield* Effect.sleep(n === 0 ? 2_000 : 3_500)
            yield* Effect.forkScoped(sayNews(n))
          }
          yield* Effect.sleep(Math.max(0, (attackSeconds - seconds()) * 1000))

          // --- How they bore it ---

          const robbed = (one: Loss) => one.node === stolen || one.peer === stolen
          const keys = [...saidAt.keys()]
          const missing = (among: (id: string) => boolean) =>
            nodes
              .filter(({ id }) => among(id))
              .flatMap((node) =>
                keys
                  .filter((key) => !key.startsWith(`${node.id} `) && among(key.split(" ")[0] ?? "") && !node.news.has(key))
                  .map((key) => `${key} at ${node.id}`)
              )
          const isHonestAlone = (id: string) => id !== stolen
          yield* until(() => missing(isHonestAlone).length === 0, 10)
          const usages = nodes.map((node) => node.usage())
          const statuses = (yield* Effect.forEach(nodes, (node) => node.command("status"), {
            concurrency: "unbounded"
          })) as ReadonlyArray<Status | undefined>
          const attackLasted = seconds()
          const twice = nodes.flatMap((node) =>
            [...node.news].filter(([, times]) => times > 1).map(([key, times]) => `${key} at ${node.id}: ${times}`)
          )
          const tallies = yield* Effect.forEach(attackers, ({ stop }) => stop, { concurrency: "unbounded" })

          const total = (of: (status: Status) => Readonly<Record<string, number>>): Record<string, number> => {
            const sums: Record<string, number> = {}
            for (const status of statuses) {
              if (status === undefined) continue
              for (const [name, count] of Object.entries(of(status))) sums[name] = (sums[name] ?? 0) + count
            }
            return sums
          }
          const logs = nodes.map(({ id }) => readFileSync(logOf(id), "utf8")).join("\n")
          const worst = (of: (usage: (typeof usages)[number]) => number) => Math.max(...usages.map(of)).toFixed(0)
          const table = [
            ...attackers.map(({ kind }, n) => `${kind.padEnd(9)} ${JSON.stringify(tallies[n])}`),
            `counts    ${JSON.stringify(total(({ counts }) => counts))}`,
            `errors    ${JSON.stringify(total(({ errors }) => errors))}`,
            `conflicts ${logs.split("another node calls itself").length - 1}`,
            `seconds   ${attackLasted.toFixed(1)}, statuses ${statuses.filter((s) => s !== undefined).length}`,
            `links     lost ${losses.filter((one) => !robbed(one)).length}, suspected ${suspects.filter((one) => !robbed(one)).length}; of the robbed: lost ${losses.filter(robbed).length}`,
            `news      missing ${missing(isHonestAlone).length} of ${(nodeCount - 1) * (nodeCount - 2) * newsPerNode}; with the robbed ${missing(() => true).length} of ${nodeCount * (nodeCount - 1) * newsPerNode}; twice ${twice.length}; worst delay ${Math.max(...delays).toFixed(2)} s`,
            `memory    ${worst(({ now }) => now)} MiB, peak ${worst(({ most }) => most)} MiB; processor ${worst(({ seconds }) => seconds)} s`,
            `          ${usages.map(({ most, now }) => `${now.toFixed(0)}/${most.toFixed(0)}`).join(" ")}`,
            ...losses.filter((one) => !robbed(one)).slice(0, 20).map((one) => JSON.stringify(one))
          ].join("\n")
          if (isShown) process.stdout.write(`${table}\n${JSON.stringify(losses.filter(robbed).slice(0, 30))}\n${missing(() => true).slice(0, 20).join("\n")}\n`)
          if (process.env["KEEP"]) (yield* Effect.promise(() => import("node:fs"))).cpSync(folder, process.env["KEEP"], { recursive: true })
        }),
      120_000
    )
  }
)
