/**
 * Measures Synapse P2P beside other systems, on this machine alone: `npm run bench`. Names of workloads and systems
 * choose among them (`npm run bench -- latency libp2p`): a name, or what names begin with. `--help` says the rest.
 */
import { existsSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { loadSystems, loadWorkloads } from "./lib/catalogue.mjs"
import { bench, build, facts, install, majorFor, nodeOf, openFiles, ownMajor } from "./lib/machine.mjs"
import { endAll } from "./lib/processes.mjs"
import { section } from "./lib/report.mjs"
import { label, runWorkload } from "./lib/runner.mjs"

const help = `npm run bench -- [options] [workload or system]...

  --quick          short: one round of each; to see that it works, not to judge by
  --rounds N       rounds that count (default: 5)
  --seconds N      how long a round measures, where it is not given by the work
  --no-build       measure dist as it is
  --no-write       do not write bench/RESULTS.md (nor is it written with --quick, or where not everything ran)
  --write          write bench/RESULTS.md whatever ran
  --json FILE      write all rounds there
  --list           the names
`

const { positionals, values: flags } = parseArgs({
  allowPositionals: true,
  allowNegative: true,
  options: {
    quick: { type: "boolean", default: false },
    rounds: { type: "string" },
    seconds: { type: "string" },
    build: { type: "boolean", default: true },
    write: { type: "boolean" },
    json: { type: "string" },
    list: { type: "boolean", default: false },
    help: { type: "boolean", default: false }
  }
})

const tell = (text) => process.stderr.write(`${text}\n`)

const allSystems = await loadSystems()
const allWorkloads = await loadWorkloads()

/** Those the names choose; a whole name wins over beginnings. */
const chosen = (all, names) => {
  const found = new Set()
  for (const name of names) {
    const exact = all.filter((each) => each.name === name)
    for (const each of exact.length > 0 ? exact : all.filter((some) => some.name.startsWith(name))) found.add(each)
  }
  return all.filter((each) => found.has(each))
}

const line = ({ about, name }) => `  ${name.padEnd(18)} ${about}`

if (flags.help) {
  process.stdout.write(help)
  process.exit(0)
}
if (flags.list) {
  const names = ["Workloads:", ...allWorkloads.map(line), "Systems:", ...allSystems.map(line), ""]
  process.stdout.write(names.join("\n"))
  process.exit(0)
}
const unknown = positionals.filter((name) => chosen([...allSystems, ...allWorkloads], [name]).length === 0)
if (unknown.length > 0) {
  tell(`No workload or system begins with ${unknown.join(", ")}; --list gives the names.`)
  process.exit(1)
}

const namedSystems = chosen(allSystems, positionals)
const namedWorkloads = chosen(allWorkloads, positionals)
const workloads = namedWorkloads.length > 0 ? namedWorkloads : allWorkloads
// Ratios are to raw, so it is always there.
const systems = allSystems.filter((each) =>
  namedSystems.length > 0 ? each.name === "raw" || namedSystems.includes(each) : each.onDemand !== true
)

/** The systems of a workload; what needs a newer Node stands there beside raw and synapse on that one. */
const rowsOf = (workload) => {
  /** @param {import("./lib/types.js").System} system */
  const takesPart = ({ lacks, name, only }) =>
    (workload.systems === undefined || workload.systems.includes(name)) &&
    (only === undefined || only.includes(workload.name)) &&
    lacks?.[workload.name] === undefined
  const own = systems.filter((each) => takesPart(each) && majorFor(each.node) === ownMajor)
  const newer = systems.filter((each) => takesPart(each) && majorFor(each.node) !== ownMajor)
  const references =
    newer.length === 0 ? [] : systems.filter((each) => ["raw", "synapse"].includes(each.name) && takesPart(each))
  const isAlone = own.length === 1 && own[0]?.name === "raw" && newer.length > 0
  const rows = [
    ...(isAlone ? [] : own.map((system) => ({ system, node: ownMajor, bars: true }))),
    ...[...references, ...newer].map((system) => ({ system, node: majorFor(24), bars: false }))
  ]
  const all = workload.points ?? [undefined]
  const points = flags.quick ? all.filter((_, i) => i % 2 === 0) : all
  return points.flatMap((point) =>
    rows.map(({ bars, node, system }) => ({ bars, node, system, point, rounds: [], failure: undefined }))
  )
}

const plan = workloads.map((workload) => ({ workload, rows: rowsOf(workload) })).filter(({ rows }) => rows.length > 0)
const used = systems.filter((system) => plan.some(({ rows }) => rows.some((row) => row.system === system)))
const majors = [...new Set(plan.flatMap(({ rows }) => rows.map(({ node }) => node)))].sort()

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"]) {
  process.once(signal, () => {
    endAll()
    process.exit(130)
  })
}
process.once("exit", endAll)

if (used.some(({ packages }) => packages.length > 0) || majors.some((major) => major !== ownMajor)) install()
if (flags.build || !existsSync(new URL("../dist/index.js", import.meta.url))) build()

const begun = performance.now()
const sections = []
const kept = {}
for (const { rows, workload } of plan) {
  const files = openFiles()
  if (workload.files !== undefined && files < workload.files) {
    tell(`${workload.name} needs ${workload.files} open files, ${files} are allowed: skipped. ulimit -n raises it.`)
    sections.push(`## ${workload.title}\n\nSkipped: it needs ${workload.files} open files, ${files} were allowed.\n`)
    continue
  }
  const rounds = flags.quick ? 1 : Number(flags.rounds ?? workload.rounds ?? 5)
  const seconds = Number(flags.seconds ?? (flags.quick ? 0.2 : (workload.seconds ?? 0.5)))
  const warmups = flags.quick ? 0 : (workload.warmups ?? 1)
  const since = performance.now()
  const notes = await runWorkload(workload, rows, {
    rounds,
    seconds,
    warmups,
    quick: flags.quick,
    nodeOf,
    tell
  })
  const text = section(workload, rows, notes)
  sections.push(text)
  kept[workload.name] = rows.map((row) => ({ row: label(row), rounds: row.rounds, failure: row.failure }))
  process.stdout.write(`${text}\n`)
  tell(`(${workload.name} took ${((performance.now() - since) / 1000).toFixed(0)} s)`)
}

const lacking = used.flatMap(({ lacks, name }) =>
  Object.entries(lacks ?? {})
    .filter(([workload]) => plan.some((each) => each.workload.name === workload))
    .map(([workload, why]) => `- ${name} takes no part in \`${workload}\`: ${why}`)
)
const result = [
  "# Results of the bench",
  "",
  "Made by `npm run bench`; what is measured how is said there and in the code beside this file. Medians of the rounds;",
  "× raw is the median of the ratios to `raw`, on the same Node, in the same round. Every measurement runs sender and",
  "receiver as processes of their own on loopback, and the systems take turns: A B C, A B C. ~ marks a row whose rounds",
  "lie more than 25 % of their median apart.",
  "",
  ...facts(used, majors),
  ...(lacking.length === 0 ? [] : ["", "Not everything can be asked of every system:", "", ...lacking]),
  "",
  ...sections
].join("\n")
const isWhole = positionals.length === 0 && !flags.quick
if (flags.write ?? isWhole) writeFileSync(`${bench}RESULTS.md`, result)
if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify(kept, undefined, 1))
tell(`${((performance.now() - begun) / 1000).toFixed(0)} s in all`)
process.exit(0)
