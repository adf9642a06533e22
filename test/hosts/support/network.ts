/** What is true of a network of hosts, and waiting until it is. */
import * as Effect from "effect/Effect"
import { mkdtempSync } from "node:fs"
import { join } from "node:path"
import { NodeId } from "../../../src/NodeId.js"
import type { HostNode } from "./HostNode.js"
import { now, until } from "./waiting.js"

export const interval = 1000
/** Long enough that one of many processes on few processors is not taken for silent. */
export const timeout = 6000
export const connectTimeout = 2000
const healing = 3000
/** Two healing intervals, of which each may be a fifth longer, and the handshake that comes of it. */
export const healed = 2 * healing * 1.2 + connectTimeout

export const env = {
  SYNAPSE_HEARTBEAT_INTERVAL: `${interval} millis`,
  SYNAPSE_HEARTBEAT_TIMEOUT: `${timeout} millis`,
  SYNAPSE_CONNECT_TIMEOUT: `${connectTimeout} millis`,
  SYNAPSE_DISCOVERY_INTERVAL: "1 second",
  SYNAPSE_HEALING_INTERVAL: `${healing} millis`,
  SYNAPSE_RETRY_MAX: "2 seconds"
}

/** A folder for what the disks of some hosts hold. */
export const newFolder = (): string => mkdtempSync(join(process.env["SYNAPSE_HOSTS_FOLDER"] ?? "", "disks-"))

export type Nodes = ReadonlyArray<HostNode>

export const without = (nodes: Nodes, ...left: Nodes): Nodes => nodes.filter((node) => !left.includes(node))

const names = (nodes: Nodes): string => nodes.map(({ host }) => host.name).join(" ")

/** Waits until each of these nodes shows each of those peers with that status. */
export const allShow = (nodes: Nodes, peers: Nodes, status: string, seconds = 60) => {
  const wrong = () =>
    nodes.flatMap((node) => {
      const others = peers.filter((peer) => peer !== node && node.peers.get(peer.id) !== status)
      return others.length === 0 ? [] : [`${node.host.name} does not show ${names(others)} as ${status}`]
    })
  const isSo = () => nodes.every((node) => peers.every((peer) => peer === node || node.peers.get(peer.id) === status))
  return until(isSo, seconds, () => wrong().join("; "))
}

/** Waits until each is connected to all others. */
export const mesh = (nodes: Nodes, seconds = 60) => allShow(nodes, nodes, "connected", seconds)

/** How many components these nodes are in, by connections that both ends show. */
export const components = (nodes: Nodes): number => {
  const left = new Set(nodes)
  let count = 0
  for (const first of nodes) {
    if (!left.delete(first)) continue
    count++
    const reached = [first]
    for (let node = reached.pop(); node !== undefined; node = reached.pop()) {
      for (const other of left) {
        if (node.peers.get(other.id) !== "connected" || other.peers.get(node.id) !== "connected") continue
        left.delete(other)
        reached.push(other)
      }
    }
  }
  return count
}

/** When a node first said so of a peer after that time; undefined: it has not. */
export const firstSaid = (node: HostNode, peer: HostNode, status: string, after: number): number | undefined =>
  node.since(after, peer.id).find((remark) => remark.status === status)?.at

/** What nodes have said of each other since then but that they are connected, a line each. */
export const complaints = (nodes: Nodes, after: number, statuses: ReadonlyArray<string>): ReadonlyArray<string> =>
  nodes.flatMap((node) =>
    nodes.flatMap((peer) =>
      node
        .since(after, peer.id)
        .filter(({ status }) => statuses.includes(status))
        .map(
          ({ error, status }) => `${node.host.name} says that ${peer.host.name} is ${status}: ${error?.message ?? ""}`
        )
    )
  )

let news = 0

/** Each tells all, and waits until each has heard it: how long that took. */
export const tellAll = (nodes: Nodes, seconds = 30) =>
  Effect.gen(function* () {
    const begun = now()
    const said = yield* Effect.forEach(
      nodes,
      (node) => {
        const n = ++news
        return Effect.as(node.ask({ command: "broadcast", type: "NEWS", payload: { n } }), { node, n })
      },
      { concurrency: "unbounded" }
    )
    const missing = () =>
      nodes.flatMap((node) => {
        const heard = new Set(node.arrivals.map(({ n }) => n))
        const none = said.filter((one) => one.node !== node && !heard.has(one.n))
        return none.length === 0 ? [] : [`${node.host.name} has not heard ${names(none.map((one) => one.node))}`]
      })
    yield* until(
      () => missing().length === 0,
      seconds,
      () => missing().join("; ")
    )
    return { millis: now() - begun, first: Math.min(...said.map(({ n }) => n)) }
  })

/** The messages that have come more than once. */
export const repeated = (nodes: Nodes): ReadonlyArray<string> =>
  nodes.flatMap((node) => {
    const met = new Set<string>()
    return node.arrivals.flatMap(({ id, sender }) => {
      const key = `${sender} ${id}`
      if (met.has(key)) return [`${node.host.name} got ${key} again`]
      met.add(key)
      return []
    })
  })

export const idOf = (node: HostNode): NodeId => NodeId.make(node.id)

/** `4 to 17 ms`. */
export const spread = (times: ReadonlyArray<number>): string => {
  const [least, most] = [Math.min(...times), Math.max(...times)].map((millis) => Math.round(millis))
  return least === most ? `${most} ms` : `${least} to ${most} ms`
}

export const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
