/** The systems and workloads there are, in the order in which they are run. A new one is a file and a name here. */
const systems = [
  "raw",
  "raw-plain",
  "synapse",
  "synapse-batch",
  "synapse-tls",
  "protomux",
  "secret-stream",
  "ws",
  "zeromq",
  "libp2p-noise",
  "libp2p-tls",
  "libp2p-plaintext",
  "moleculer"
]

const workloads = [
  "one-way-100",
  "one-way-1k",
  "one-way-64k",
  "latency",
  "in-flight",
  "steady",
  "connect",
  "connect-1000",
  "broadcast",
  "memory-1000",
  "memory-5000",
  "heartbeat",
  "flood",
  "discovery",
  "growth-peers",
  "growth-size",
  "at-size"
]

const load = (folder, names) =>
  Promise.all(names.map(async (name) => (await import(`../${folder}/${name}.mjs`)).default))

/** @returns {Promise<ReadonlyArray<import("./types.js").System>>} */
export const loadSystems = () => load("systems", systems)

/** @returns {Promise<ReadonlyArray<import("./types.js").Workload>>} */
export const loadWorkloads = () => load("workloads", workloads)
