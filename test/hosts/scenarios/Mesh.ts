/** Twenty-two hosts with a node each, of which all but the first know only that one. */
import { assert } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { HostNode } from "../support/HostNode.js"
import * as Network from "../support/network.js"
import * as Switch from "../support/Switch.js"
import { askUntil, now, until, watchDelays } from "../support/waiting.js"

const size = 22

export class Mesh extends Context.Tag("Mesh")<
  Mesh,
  {
    readonly hub: Switch.Switch
    readonly nodes: Network.Nodes
    readonly node: (number: number) => HostNode
    /** Starts a node again. It is killed when all is over. */
    readonly start: (node: HostNode) => Effect.Effect<void>
    /** When the last of them was told to start. */
    readonly begun: number
  }
>() {}

/** It listens at whatever address its host has. */
const roamer = size

export const layer = Layer.scoped(
  Mesh,
  Effect.gen(function* () {
    const scope = yield* Effect.scope
    const hub = yield* Switch.make
    const folder = Network.newFolder()
    const numbers = Array.from({ length: size }, (_, index) => index + 1)
    const nodes = yield* Effect.forEach(numbers, (number) =>
      Effect.map(hub.host(number), (host) => new HostNode(host, folder))
    )
    const node = (number: number): HostNode => {
      const found = nodes[number - 1]
      if (found === undefined) throw new Error(`there is no host ${number}`)
      return found
    }
    const first = node(1)
    const start = (one: HostNode) =>
      one
        .start({
          bootstrap: one === first ? [] : [first.address],
          env: Network.env,
          ...(one === node(roamer) ? { listen: "0.0.0.0" } : {})
        })
        .pipe(Scope.extend(scope))
    yield* start(first)
    yield* Effect.forEach(Network.without(nodes, first), start, { concurrency: 3, discard: true })
    return Mesh.of({ hub, nodes, node, start, begun: now() })
  })
)

const { allShow, complaints, firstSaid, interval, mesh, seconds, spread, tellAll, timeout, without } = Network

/** No node has said of another that it is dead, but those named or of those. */
const assertOthersUndisturbed = (nodes: Network.Nodes, after: number, ...concerned: Network.Nodes): void => {
  assert.deepStrictEqual(complaints(without(nodes, ...concerned), after, ["dead", "disconnected", "left"]), [])
}

const assertOnce = (nodes: Network.Nodes): void => assert.deepStrictEqual(Network.repeated(nodes), [])

/** How long after `cut` each of the nodes has shown each of the peers dead, for silence and within the time promised. */
const silenceNoticed = (
  nodes: Network.Nodes,
  peers: Network.Nodes,
  cut: number,
  limit: number
): ReadonlyArray<number> => {
  const times = nodes.flatMap((node) =>
    peers.flatMap((peer) => {
      const dead = node.since(cut, peer.id).find(({ status }) => status === "dead")
      assert.strictEqual(dead?.error?._tag, "PeerSilent", `${node.host.name} on ${peer.host.name}`)
      return dead === undefined ? [] : [dead.at - cut]
    })
  )
  // The last bytes came up to an interval before; they are noticed when they are next looked for.
  assert.isAtLeast(Math.min(...times), timeout - interval - 500, "noticed too soon, ms")
  assert.isAtMost(Math.max(...times), limit, "noticed too late, ms")
  return times
}

// --- Scenarios ---

export const findEachOther = Effect.gen(function* () {
  const { begun, nodes } = yield* Mesh
  yield* mesh(nodes)
  const met = now() - begun
  const { millis } = yield* tellAll(nodes)
  assertOnce(nodes)
  const arrivals = nodes.length * (nodes.length - 1)
  return `all connected ${seconds(met)} after the last start; ${arrivals} arrivals in ${seconds(millis)}`
})

export const unplugged = Effect.gen(function* () {
  const { node, nodes } = yield* Mesh
  yield* mesh(nodes)
  const cut = node(6)
  const others = without(nodes, cut)
  const slack = watchDelays()
  const begun = now()
  yield* cut.host.unplug
  yield* allShow(others, [cut], "dead")
  yield* allShow([cut], others, "dead")
  const limit = timeout + interval + slack()
  const there = silenceNoticed(others, [cut], begun, limit)
  const here = silenceNoticed([cut], others, begun, limit)
  const slackAfter = watchDelays()
  const plugged = now()
  yield* cut.host.plug
  yield* mesh(nodes)
  const back = now() - plugged
  assert.isAtMost(back, Network.healed + slackAfter(), "back, ms")
  yield* tellAll(nodes)
  assertOthersUndisturbed(nodes, begun, cut)
  assertOnce(nodes)
  return `dead to its peers after ${spread(there)}, they to it after ${spread(here)}; back with all after ${seconds(back)}`
}).pipe(Effect.ensuring(Effect.flatMap(Mesh, ({ node }) => node(6).host.plug)))

const hostsOf = (nodes: Network.Nodes) => nodes.map(({ host }) => host)

export const halves = Effect.gen(function* () {
  const { hub, nodes } = yield* Mesh
  yield* mesh(nodes)
  const left = nodes.filter((_, index) => index % 2 === 0)
  const right = without(nodes, ...left)
  const slack = watchDelays()
  const begun = now()
  yield* hub.move(hostsOf(right), "right")
  yield* allShow(left, right, "dead")
  yield* allShow(right, left, "dead")
  const times = [...silenceNoticed(left, right, begun, timeout + interval + slack()), now() - begun]
  for (const half of [left, right]) {
    const { first } = yield* tellAll(half)
    for (const node of without(nodes, ...half)) {
      assert.isFalse(node.arrivals.some(({ n }) => Number(n) >= first && Number(n) < first + half.length))
    }
    const { peers } = yield* (half[0] as HostNode).status
    assert.deepInclude(peers, { connected: half.length - 1, dead: nodes.length - half.length })
  }
  // Longer than it takes to notice: by now they dial each other as seldom as they ever do.
  yield* Effect.sleep(Math.max(0, begun + 2 * timeout - now()))
  assert.strictEqual(Network.components(nodes), 2)

  const slackAfter = watchDelays()
  const joined = now()
  yield* hub.move(hostsOf(right), "left")
  yield* until(
    () => Network.components(nodes) === 1,
    60,
    () => "one network"
  )
  const one = now() - joined
  assert.isAtMost(one, Network.healed + slackAfter(), "one network again, ms")
  yield* mesh(nodes)
  const all = now() - joined
  yield* tellAll(nodes)
  assertOthersUndisturbed(left, begun)
  assertOthersUndisturbed(right, begun)
  assertOnce(nodes)
  return `noticed after ${spread(times)}; each half works; one again after ${Math.round(one)} ms, all with all after ${seconds(all)}`
}).pipe(Effect.ensuring(Effect.flatMap(Mesh, ({ hub, nodes }) => hub.move(hostsOf(nodes), "left"))))

/** Nobody takes the nodes for two that have one id. */
const assertNoConflict = (nodes: Network.Nodes) =>
  Effect.forEach(nodes, (node) =>
    Effect.map(node.status, ({ errors }) => assert.notProperty(errors, "IdConflict", node.host.name))
  )

export const killed = Effect.gen(function* () {
  const { node, nodes, start } = yield* Mesh
  yield* mesh(nodes)
  const [leaving, victim] = [node(9), node(10)]
  const others = without(nodes, leaving, victim)

  const stopped = now()
  leaving.signal("SIGTERM")
  yield* allShow(without(nodes, leaving), [leaving], "left", 20)
  yield* leaving.gone
  assert.strictEqual(leaving.exitCode, 0, "the exit code of one that leaves")

  const slack = watchDelays()
  const begun = now()
  victim.signal("SIGKILL")
  yield* allShow(others, [victim], "dead")
  const times = others.map((other) => (firstSaid(other, victim, "dead", begun) ?? Infinity) - begun)
  assert.isAtMost(Math.max(...times), slack(), "noticed, ms")
  yield* victim.gone

  const { id } = victim
  const slackAfter = watchDelays()
  yield* start(victim)
  assert.strictEqual(victim.id, id, "the id after the restart")
  const back = yield* mesh(without(nodes, leaving))
  assert.isAtMost(back, Network.healed + slackAfter(), "back, ms")
  yield* assertNoConflict(without(nodes, leaving))

  yield* Effect.sleep(Math.max(0, stopped + timeout + interval + 500 - now()))
  for (const other of others) {
    const said = other.since(stopped, leaving.id).map(({ status }) => status)
    assert.deepStrictEqual(said, ["left"], `what ${other.host.name} says of one that left`)
  }
  yield* start(leaving)
  yield* mesh(nodes)
  yield* tellAll(nodes)
  assertOthersUndisturbed(nodes, stopped, leaving, victim)
  assertOnce(nodes)
  return `dead to all after ${spread(times)}; back with all ${seconds(back)} after it listened; one that left stays so`
})

const frozenShortly = 4000

export const frozen = Effect.gen(function* () {
  const { node, nodes } = yield* Mesh
  yield* mesh(nodes)
  const victim = node(13)
  const others = without(nodes, victim)

  // Shorter than the time-out.
  const begun = now()
  victim.signal("SIGSTOP")
  yield* Effect.sleep(frozenShortly)
  victim.signal("SIGCONT")
  const length = now() - begun
  yield* tellAll(nodes)
  yield* mesh(nodes)
  // Whoever is to be declared dead for that silence is by now.
  yield* Effect.sleep(interval + 500)
  assert.deepStrictEqual(complaints(nodes, begun, ["dead"]), [])
  const suspecting = others.filter((other) => firstSaid(other, victim, "suspect", begun) !== undefined).length

  // Longer.
  const slack = watchDelays()
  const begunAgain = now()
  victim.signal("SIGSTOP")
  yield* allShow(others, [victim], "dead")
  const times = silenceNoticed(others, [victim], begunAgain, timeout + interval + slack())
  yield* Effect.sleep(1000)
  const slackAfter = watchDelays()
  const woken = now()
  victim.signal("SIGCONT")
  // It shows its peers as connected until it has read that they gave it up.
  yield* until(
    () => others.every((other) => firstSaid(victim, other, "dead", woken) !== undefined),
    30,
    () => "it finds out that it was given up"
  )
  const found = now() - woken
  yield* mesh(nodes)
  const back = now() - woken
  assert.isAtMost(back, Network.healed + slackAfter(), "back, ms")
  const reasons = new Set(others.flatMap(({ id }) => victim.since(woken, id).map(({ error }) => error?._tag)))
  assert.isFalse(reasons.has("PeerSilent"), "it takes its own silence for that of others")
  yield* tellAll(nodes)
  assertOthersUndisturbed(nodes, begun, victim)
  assertOnce(nodes)
  const shortly = `for ${seconds(length)}: suspect to ${suspecting}, dead to none`
  return `${shortly}; for longer: dead after ${spread(times)}; it finds out in ${seconds(found)}, back in ${seconds(back)}`
}).pipe(
  Effect.ensuring(
    Effect.flatMap(Mesh, ({ node }) =>
      Effect.sync(() => {
        node(13).signal("SIGCONT")
      })
    )
  )
)

export const roaming = Effect.gen(function* () {
  const { node, nodes } = yield* Mesh
  yield* mesh(nodes)
  const victim = node(roamer)
  const others = without(nodes, victim)
  const address = "10.99.1.200"
  const slack = watchDelays()
  const begun = now()
  yield* victim.host.renumber(address)
  // One that was dialing just then is met at the new address before the old connection is dead: nothing is said of that.
  const shown = Effect.forEach(others, (other) => other.peer(victim.id), { concurrency: "unbounded" })
  const isBack = (peers: Effect.Effect.Success<typeof shown>) =>
    peers.every((peer) => peer?.status === "connected" && peer.address.host === address) &&
    others.every((other) => victim.peers.get(other.id) === "connected")
  const found = yield* askUntil(shown, isBack, 60, "all found at the new address")
  const back = now() - begun
  assert.isAtMost(back, timeout + interval + Network.healed + slack(), "back, ms")
  for (const peer of found) assert.strictEqual(peer?.addresses[0]?.host, address)
  const noticed = others.flatMap((other) => {
    const at = firstSaid(other, victim, "dead", begun)
    return at === undefined ? [] : [at - begun]
  })
  yield* tellAll(nodes)
  assertOthersUndisturbed(nodes, begun, victim)
  assertOnce(nodes)
  const deaths = noticed.length === 0 ? "dead to none" : `dead to ${noticed.length} after ${spread(noticed)}`
  return `${deaths}; known at the new address to all after ${seconds(back)}`
})

export const poweredOff = Effect.gen(function* () {
  const { node, nodes, start } = yield* Mesh
  yield* mesh(nodes)
  const victim = node(17)
  const others = without(nodes, victim)
  const { id } = victim
  const begun = now()
  yield* victim.host.unplug
  victim.signal("SIGKILL")
  yield* victim.gone
  yield* victim.host.powerOff
  yield* victim.host.powerOn
  yield* start(victim)
  assert.strictEqual(victim.id, id, "the id after the restart")
  const booted = now() - begun
  // Else what its peers still send over the old connections would be answered before it dials.
  yield* victim.host.plug
  const slack = watchDelays()
  const back = yield* mesh(nodes)
  assert.isAtMost(back, Network.healed + slack(), "back, ms")
  yield* assertNoConflict(nodes)
  const lost = others.filter((other) => firstSaid(other, victim, "dead", begun) !== undefined).length
  yield* tellAll(nodes)
  assertOthersUndisturbed(nodes, begun, victim)
  assertOnce(nodes)
  return `listens ${seconds(booted)} after the power went; back with all ${seconds(back)} later: ${others.length - lost} had their old connection replaced, ${lost} had lost it`
})
