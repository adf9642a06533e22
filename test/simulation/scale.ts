/**
 * A large network in one process: it starts, sends messages to all, loses a share of its nodes at once, and heals.
 * `npm run scale -- --nodes 1000 --target 8`. Exits with 1 where something does not hold.
 */
import * as Command from "@effect/cli/Command"
import * as Options from "@effect/cli/Options"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import { resourceUsage } from "node:process"
import { defaults, type Graph, roundsOf, run, type Spread } from "./support/Swarm.js"

const options = {
  nodes: Options.integer("nodes").pipe(Options.withDefault(defaults.nodes)),
  target: Options.integer("target").pipe(Options.withDefault(defaults.target)),
  maxPeers: Options.integer("max-peers").pipe(Options.withDefault(defaults.maxPeers)),
  seed: Options.integer("seed").pipe(Options.withDefault(defaults.seed)),
  lost: Options.float("lost").pipe(Options.withDefault(defaults.lost)),
  broadcasts: Options.integer("broadcasts").pipe(Options.withDefault(defaults.broadcasts))
}

/** What a node of it may take, and all of them, on two cores. */
const mostWallMillis = 60_000
const mostBytes = 4 * 2 ** 30

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`
const kib = (bytes: number): string => `${(bytes / 1024).toFixed(0)} KiB`
const rounds = (millis: number): string => `${seconds(millis)} (${roundsOf(millis).toFixed(1)} rounds)`

const shape = ({ least, mean, most }: Graph): string => `peers ${least} to ${most}, mean ${mean.toFixed(1)}`

const told = (title: string, spreads: ReadonlyArray<Spread>): ReadonlyArray<string> =>
  spreads.map(({ all, duplicates, half, hops, most, of, reached }, index) => {
    const times = [half, most, all].map((millis) => (millis === Infinity ? "-" : `${Math.round(millis)}`)).join(" / ")
    return (
      `${index === 0 ? title.padEnd(20) : "".padEnd(20)}${reached}/${of}, 50 / 99 / 100 % after ${times} ms, ` +
      `${(duplicates / reached).toFixed(2)} duplicates a delivery, by hops ${hops.join(" ")}`
    )
  })

const scale = Command.make("scale", options, (given) =>
  Effect.gen(function* () {
    const report = yield* run(given)
    const { after, before, healed, joined, memory, noticed, phases, rejoined, rest, settled, whole } = report
    const wall = phases.reduce((sum, phase) => sum + phase.wall, 0)
    const cpu = phases.reduce((sum, phase) => sum + phase.cpu, 0)
    const peak = resourceUsage().maxRSS * 1024
    const broken = [
      ...report.broken,
      ...(wall > mostWallMillis ? [`it took ${seconds(wall)}, not ${seconds(mostWallMillis)}`] : []),
      ...(peak > mostBytes ? [`it took ${kib(peak)}, not ${kib(mostBytes)}`] : [])
    ]
    yield* Console.log(
      [
        `${given.nodes} nodes, target ${given.target} peers (${given.maxPeers} at most), seed ${given.seed}, trace ${report.trace}`,
        `${"".padEnd(20)}${"simulated".padStart(11)}${"real".padStart(11)}${"CPU".padStart(11)}`,
        ...[
          ...phases,
          { name: "all", simulated: phases.reduce((sum, phase) => sum + phase.simulated, 0), wall, cpu }
        ].map(
          (phase) =>
            phase.name.padEnd(20) +
            [phase.simulated, phase.wall, phase.cpu].map((millis) => seconds(millis).padStart(11)).join("")
        ),
        `${"one component".padEnd(20)}${rounds(joined)}`,
        `${"each at target".padEnd(20)}${rounds(settled)}; ${shape(whole)}`,
        ...told("broadcast", before),
        `${"loss noticed".padEnd(20)}${seconds(noticed)}`,
        `${"one component again".padEnd(20)}${seconds(rejoined)}`,
        `${"each at target again".padEnd(20)}${rounds(healed)}; ${shape(rest)}`,
        ...told("broadcast again", after),
        `${"memory a node".padEnd(20)}heap ${kib(memory.heap / given.nodes)}, outside of it ${kib(memory.external / given.nodes)}, ` +
          `resident ${kib(memory.rss / given.nodes)}; at most ${kib(peak)} in all`,
        broken.length === 0 ? "all of it holds" : `does not hold: ${broken.join("; ")}`
      ].join("\n")
    )
    if (broken.length > 0) yield* Effect.fail("it does not hold")
  })
)

Command.run(scale, { name: "scale", version: "1" })(process.argv).pipe(
  Effect.provide(NodeContext.layer),
  Logger.withMinimumLogLevel(LogLevel.None),
  NodeRuntime.runMain({ disableErrorReporting: true })
)
