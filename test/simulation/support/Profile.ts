/** The kinds of networks that plans are played on. */
import type * as P2PNetworkMemory from "../../../src/testing/P2PNetworkMemory.js"
import type * as SimulatedNetwork from "../../../src/testing/SimulatedNetwork.js"

export interface Profile {
  readonly name: string
  readonly hosts: ReadonlyArray<string>
  readonly settings: P2PNetworkMemory.Options
  readonly network: Omit<SimulatedNetwork.Options, "seed">
  /** Each node ends up connected with every other. */
  readonly isMesh: boolean
  /** Bytes that are added to each message. */
  readonly ballast: number
  /** Milliseconds that a handler takes. */
  readonly handling: number
}

const hosts = (count: number): ReadonlyArray<string> => Array.from({ length: count }, (_, index) => `n${index + 1}`)

/** All times are short, in proportion. Milliseconds. */
export const times = {
  heartbeatInterval: 1_000,
  heartbeatTimeout: 3_000,
  healingInterval: 3_000,
  connectTimeout: 1_500,
  shutdownGrace: 3_000
}

const quick: P2PNetworkMemory.Options = {
  ...times,
  bootstrap: ["n1:9470", "n2:9470"],
  discoveryInterval: "2 seconds",
  handshakeTimeout: "2 seconds",
  sendTimeout: "1 second",
  requestTimeout: "3 seconds",
  closeTimeout: "1 second",
  drainTimeout: "2 seconds",
  frameTimeout: "5 seconds",
  slowConsumerTimeout: "10 seconds",
  retryMax: "3 seconds"
}

/** Each knows each, and there is room for all that is sent. */
export const mesh: Profile = {
  name: "mesh",
  hosts: hosts(3),
  settings: quick,
  network: { latency: "2 millis", jitter: "20 millis", limit: "1 hour" },
  isMesh: true,
  ballast: 0,
  handling: 0
}

/** Small queues, narrow links, long messages cut anywhere, slow handlers. */
export const tight: Profile = {
  name: "tight",
  hosts: hosts(3),
  settings: {
    ...quick,
    outboundQueue: 4,
    outboundQueueBytes: 400_000,
    inboundQueue: 4,
    inboundQueueBytes: 300_000,
    maxPendingHandshakes: 2
  },
  network: {
    latency: "5 millis",
    jitter: "5 millis",
    bandwidth: 400_000,
    cut: true,
    capacity: 16_384,
    limit: "1 hour"
  },
  isMesh: true,
  ballast: 90_000,
  handling: 50
}

/** More nodes than each is connected with; messages go over others. */
export const sparse: Profile = {
  name: "sparse",
  hosts: hosts(5),
  settings: { ...quick, targetPeers: 2, maxPeers: 4, maxInbound: 3 },
  network: { latency: "1 millis", jitter: "50 millis", limit: "1 hour" },
  isMesh: false,
  ballast: 0,
  handling: 0
}

export const profiles: ReadonlyArray<Profile> = [mesh, tight, sparse]
