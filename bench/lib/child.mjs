/**
 * A process in which one side of a workload runs: it is told which one by its arguments, and what to do by messages of
 * the process that started it, with which it ends.
 */
import v8 from "node:v8"

const [workloadName, sideName, systemName, args] = process.argv.slice(2)

process.on("disconnect", () => process.exit(0))
// Ctrl-C reaches the whole group; the parent ends its children itself.
process.on("SIGINT", () => undefined)

/** What V8 has taken for objects to come: up to 64 MiB, more or less of them by chance, and not given back when asked. */
const young = () => v8.getHeapSpaceStatistics().find(({ space_name }) => space_name === "new_space").physical_space_size

const own = {
  cpu: () => {
    const { system, user } = process.cpuUsage()
    return system + user
  },
  memory: async () => {
    for (let i = 0; i < 3; i++) {
      globalThis.gc()
      await new Promise((resolve) => setTimeout(resolve, 50))
    }
    const { heapUsed, rss } = process.memoryUsage()
    return { rss: rss - young(), heap: heapUsed }
  }
}

const { default: workload } = await import(`../workloads/${workloadName}.mjs`)
const { default: system } = await import(`../systems/${systemName}.mjs`)
const side = await workload.sides[sideName](system, JSON.parse(args))

process.on("message", async ({ args, call, op }) => {
  try {
    const value = await (own[op] ?? side[op])(args)
    process.send({ call, value })
  } catch (error) {
    process.send({ call, error: String(error?.message ?? error) })
  }
})
process.send({ ready: true })
