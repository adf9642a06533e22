/**
 * Measures Synapse P2P beside other systems, on this machine alone: `npm run bench`. Names of workloads and systems
 * choose among them (`npm run bench -- latency libp2p`): a name, or what names begin with. `--help` says the rest.
 */
import { existsSync, writeFileSync } from "node:fs"
import { parseArgs } from "node:util"
import { loadSystems, loadWorkloads } from "./lib/catalogue.mjs"
import { bench, build, facts, install, nodeOf, openFiles, ownMajor } from "./lib/machine.mjs"
import { endAll } from "./lib/processes.mjs"
import { estimate, rowsOf, timesOf } from "./lib/plan.mjs"
import { bars, comparison, section, troubles } from "./lib/report.mjs"
import { label, runWorkload } from "./lib/runner.mjs"
import { shown } from "./lib/stats.mjs"

const help = `npm run bench -- [options] [workload or system]...

  --quick          short: one round of each; to see that it works, not to judge by
  --rounds N       rounds that count (default: 5); one that does not goes before them
  --seconds N      how long a round measures, where it is not given by the work
  --no-build       measure dist as it is
  --no-write       do not write bench/RESULTS.md (nor is it written with --quick, or where not everything ran)
  --write          write bench/RESULTS.md whatever ran
  --json FILE      write all rounds there
  --list           the names, and how long it all takes by and large
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

if (flags.help) {
  process.stdout.write(help)
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

const plan = workloads
  .map((workload) => ({ workload, rows: rowsOf(workload, systems, flags.quick), times: timesOf(workload, flags) }))
  .filter(({ rows }) => rows.length > 0)

if (flags.list) {
  const spans = plan.map(({ rows, times, workload }) => ({ workload, seconds: estimate(workload, rows, times) }))
  const all = spans.reduce((sum, { seconds }) => sum + seconds, 0)
  const names = [
    "Workloads, and the seconds each takes:",
    ...spans.map(
      ({ seconds, workload }) =>
        `  ${workload.name.padEnd(18)} ${shown(Math.round(seconds)).padStart(4)}  ${workload.title}`
    ),
    `  ${"all".padEnd(18)} ${shown(Math.round(all)).padStart(4)}  about ${Math.round(all / 60)} minutes`,
    "Systems:",
    ...allSystems.map(({ about, name }) => `  ${name.padEnd(18)} ${about}`),
    ""
  ]
  process.stdout.write(names.join("\n"))
  process.exit(0)
}
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
const measured = []
const kept = {}
for (const { rows, times, workload } of plan) {
  const files = openFiles()
  if (workload.files !== undefined && files < workload.files) {
    tell(`${workload.name} needs ${workload.files} open files, ${files} are allowed: skipped. ulimit -n raises it.`)
    sections.push(`## ${workload.title}\n\nSkipped: it needs ${workload.files} open files, ${files} were allowed.\n`)
    continue
  }
  const since = performance.now()
  const notes = await runWorkload(workload, rows, { ...times, quick: flags.quick, nodeOf, tell })
  const text = section(workload, rows, notes)
  sections.push(text)
  measured.push({ workload, rows })
  kept[workload.name] = rows.map((row) => ({ row: label(row), rounds: row.rounds, failure: row.failure }))
  process.stdout.write(`${text}\n`)
  const took = (performance.now() - since) / 1000
  tell(`(${workload.name} took ${took.toFixed(0)} s, ${estimate(workload, rows, times).toFixed(0)} s were expected)`)
}
const overview = [...comparison(measured, "synapse-tls", ["libp2p-noise", "libp2p-tls"]), ...bars(measured)]
process.stdout.write(`${overview.join("\n")}\n`)

const lacking = used.flatMap(({ lacks, name }) =>
  Object.entries(lacks ?? {})
    .filter(([workload]) => plan.some((each) => each.workload.name === workload))
    .map(([workload, why]) => `- ${name} takes no part in \`${workload}\`: ${why}`)
)
const disturbed = troubles(measured)
const result = [
  "# Results of the bench",
  "",
  "Made by `npm run bench`; what is measured how is said there and in the code beside this file. Medians of the rounds;",
  "× raw is the median of the ratios to `raw`, on the same Node, in the same round. Every measurement runs sender and",
  "receiver as processes of their own on loopback, and the systems take turns: A B C, A B C; a longer round that does not",
  "count goes before them, and where they are short another before each. ~ marks a row whose rounds lie more than 25 % of their median apart.",
  "",
  ...facts(used, majors),
  "",
  ...(disturbed.length === 0
    ? ["Nothing was disturbed."]
    : ["Disturbed (how far its rounds lie apart), and thus to be taken with care:", "", ...disturbed]),
  ...(lacking.length === 0 ? [] : ["", "Not everything can be asked of every system:", "", ...lacking]),
  "",
  ...sections,
  ...overview
].join("\n")
const isWhole = positionals.length === 0 && !flags.quick
if (flags.write ?? isWhole) writeFileSync(`${bench}RESULTS.md`, result)
if (flags.json !== undefined) writeFileSync(flags.json, JSON.stringify(kept, undefined, 1))
tell(`${((performance.now() - begun) / 1000).toFixed(0)} s in all`)
process.exit(0)
