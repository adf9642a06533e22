/** What the nodes of a network say while it is attacked: of each other, and of the news that each tells to all. */
import * as Effect from "effect/Effect"
import type { Node, Status } from "./processes.js"

/** A node that has said of a peer, one of the nodes too, that it is not connected any more, or that it is silent. */
export interface Remark {
  readonly seconds: number
  readonly node: string
  readonly peer: string
  readonly status: string
  readonly why: string
}

export class Watch {
  readonly remarks: Array<Remark> = []
  private readonly begun = performance.now()
  private readonly saidAt = new Map<string, number>()
  private longestDelay = 0
  private readonly nodes: ReadonlyArray<Node>
  /** The node whose name another has taken: what comes of that is told apart. */
  private readonly robbed: string

  constructor(nodes: ReadonlyArray<Node>, robbed: string) {
    this.nodes = nodes
    this.robbed = robbed
    const ids = new Set(nodes.map(({ id }) => id))
    for (const node of nodes) {
      node.onPeer = ({ error, peer: { id, status } }) => {
        if (!ids.has(id) || status === "connected") return
        const why = error === undefined ? "" : `${error._tag} ${error.message}`
        this.remarks.push({ seconds: this.seconds(), node: node.id, peer: id, status, why })
      }
      node.onNews = (key) => {
        this.longestDelay = Math.max(this.longestDelay, this.seconds() - (this.saidAt.get(key) ?? 0))
      }
    }
  }

  /** Since it began. */
  seconds(): number {
    return (performance.now() - this.begun) / 1000
  }

  /** Every node tells its next piece of news, without waiting for what comes of it. */
  sayNews(n: number) {
    return Effect.forEach(
      this.nodes,
      (node) => {
        this.saidAt.set(`${node.id} ${n}`, this.seconds())
        return Effect.forkScoped(node.command("broadcast", { type: "NEWS", payload: { n } }))
      },
      { discard: true }
    )
  }

  /** Links between two nodes that one of them has shown as lost; of the robbed node, or of the others. */
  losses(ofRobbed: boolean): ReadonlyArray<Remark> {
    return this.remarks.filter((remark) => remark.status !== "suspect" && this.isRobbed(remark) === ofRobbed)
  }

  /** News that should have come and has not; from and to the robbed node, or among the others. */
  missing(ofRobbed: boolean): ReadonlyArray<string> {
    return this.expected(ofRobbed).flatMap(([key, node]) => (node.news.has(key) ? [] : [`${key} at ${node.id}`]))
  }

  /** News that has come more than once. */
  repeated(): ReadonlyArray<string> {
    return this.nodes.flatMap(({ id, news }) =>
      [...news].flatMap(([key, times]) => (times > 1 ? [`${key} at ${id}, ${times} times`] : []))
    )
  }

  /** A line for each thing, for people. */
  report(statuses: ReadonlyArray<Status | undefined>, usages: ReadonlyArray<ReturnType<Node["usage"]>>): string {
    const told = statuses.flatMap((status) => status ?? [])
    const worst = (of: (usage: (typeof usages)[number]) => number) => Math.max(...usages.map(of)).toFixed(0)
    const silent = this.remarks.filter((remark) => remark.status === "suspect").length
    const share = (ofRobbed: boolean) => `${this.missing(ofRobbed).length} of ${this.expected(ofRobbed).length}`
    return [
      `counts   ${sums(told.map(({ counts }) => counts))}`,
      `errors   ${sums(told.map(({ errors }) => errors))}`,
      `links    lost ${this.losses(false).length}, silent ${silent}; of ${this.robbed} lost ${this.losses(true).length}`,
      `news     missing ${share(false)}, repeated ${this.repeated().length}; of and for ${this.robbed} missing ${share(true)}`,
      `worst    ${this.longestDelay.toFixed(1)} s for a piece of news; ${worst(({ seconds }) => seconds)} s of processor`,
      `memory   ${worst(({ now }) => now)} MiB, peak ${worst(({ most }) => most)} MiB`,
      `seconds  ${this.seconds().toFixed(1)}`,
      ...this.losses(false).map((remark) => JSON.stringify(remark))
    ].join("\n")
  }

  private isRobbed({ node, peer }: { readonly node: string; readonly peer: string }): boolean {
    return node === this.robbed || peer === this.robbed
  }

  private expected(ofRobbed: boolean): ReadonlyArray<readonly [key: string, node: Node]> {
    return [...this.saidAt.keys()].flatMap((key) => {
      const peer = key.split(" ", 1).join("")
      return this.nodes.flatMap((node) =>
        node.id !== peer && this.isRobbed({ node: node.id, peer }) === ofRobbed ? [[key, node] as const] : []
      )
    })
  }
}

const sums = (each: ReadonlyArray<Readonly<Record<string, number>>>): string => {
  const all = new Map<string, number>()
  for (const [name, count] of each.flatMap(Object.entries<number>)) all.set(name, (all.get(name) ?? 0) + count)
  return [...all].flatMap(([name, count]) => (count === 0 ? [] : [`${name} ${count}`])).join(", ")
}
