/**
 * Networks in memory, for tests, and the promises of a transport as tests.
 *
 * @since 0.1.0
 */
export * as Expect from "./Expect.js"
export * as Fault from "./Fault.js"
export * as FaultPlan from "./FaultPlan.js"
export * as MemoryTransport from "./MemoryTransport.js"
export * as Observe from "./Observe.js"
export * as P2PNetworkMemory from "./P2PNetworkMemory.js"
export { P2PNetworkTest } from "./P2PNetworkTest.js"
export type { DeliverOptions, Failures, PeerOptions, Sent, SentFilter, TestPeer } from "./P2PNetworkTest.js"
export * as SimulatedNetwork from "./SimulatedNetwork.js"
export * as TransportCompliance from "./TransportCompliance.js"
export * as TestNodes from "./TestNodes.js"
