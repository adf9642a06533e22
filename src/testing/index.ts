/**
 * Networks in memory, for tests, and the promises of a transport as tests.
 *
 * @since 0.1.0
 */
export * as Fault from "./Fault.js"
export * as FaultPlan from "./FaultPlan.js"
export * as MemoryTransport from "./MemoryTransport.js"
export * as P2PNetworkMemory from "./P2PNetworkMemory.js"
export * as SimulatedNetwork from "./SimulatedNetwork.js"
export * as TransportCompliance from "./TransportCompliance.js"
