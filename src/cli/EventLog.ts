/**
 * What happens in the network as lines of the log, one for each event.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as LogLevel from "effect/LogLevel"
import type { NodeId } from "../NodeId.js"
import type { NetworkEvent, Peer } from "../Peer.js"
import { annotatePeer } from "../NetworkLogger.js"
import type { Policy } from "../Policy.js"
import { policies } from "../Policy.js"

/**
 * A line of the log.
 *
 * @since 0.1.0
 * @category models
 */
export interface Entry {
  readonly level: LogLevel.LogLevel
  readonly text: string
}

const levels = {
  Debug: LogLevel.Debug,
  Info: LogLevel.Info,
  Warning: LogLevel.Warning,
  Error: LogLevel.Error
} as const

const isPolicy = (tag: string): tag is keyof typeof policies => Object.hasOwn(policies, tag)

const policyOf = (tag: string): Policy | undefined => (isPolicy(tag) ? policies[tag] : undefined)

const levelOf = (tag: string): LogLevel.LogLevel => levels[policyOf(tag)?.level ?? "Warning"]

const isPowerOfTwo = (n: number): boolean => Number.isInteger(Math.log2(n))

// An address that is down is dialed for ever. The first failure is news; of the others those that double the count are
// enough to see that it goes on.
const dialLevel = (tag: string, attempts: number): LogLevel.LogLevel => {
  if (attempts <= 1) return LogLevel.greaterThan(levelOf(tag), LogLevel.Warning) ? levelOf(tag) : LogLevel.Warning
  return isPowerOfTwo(attempts) ? levelOf(tag) : LogLevel.Debug
}

const seconds = (millis: number): string => `${(millis / 1000).toFixed(1)} s`

const info = (text: string): Entry => ({ level: LogLevel.Info, text })
const warning = (text: string): Entry => ({ level: LogLevel.Warning, text })

/**
 * What is logged of an event, and how loud.
 *
 * @since 0.1.0
 * @category formatting
 */
export const entry = (nodeId: NodeId, event: NetworkEvent): Entry => {
  switch (event._tag) {
    case "Listening":
      return info(`Node ${nodeId} listens at ${event.address}`)
    case "PeerConnected":
      return info(`Connected: ${describe(event.peer)}`)
    case "PeerSuspect":
      return warning(`Suspect: ${describe(event.peer)} has not been heard from for a while`)
    case "PeerRecovered":
      return info(`Recovered: ${describe(event.peer)} is heard from again`)
    case "PeerDisconnected":
      return info(`Disconnected: ${event.error.message}`)
    case "PeerDead":
      return warning(`Dead: ${event.error.message}`)
    case "PeerLeft":
      return info(`Left: ${describe(event.peer)}`)
    case "MessagesLost":
      return warning(`${event.ids.length} messages to ${event.peer} were not sent: its connection ended`)
    case "DialFailed": {
      const next = event.retryInMs === undefined ? "it is not dialed again" : `next in ${seconds(event.retryInMs)}`
      return {
        level: dialLevel(event.error._tag, event.attempts),
        text: `Dial ${event.attempts} failed: ${event.error.message}; ${next}`
      }
    }
    case "HandshakeFailed":
      return { level: levelOf(event.error._tag), text: `Handshake failed: ${event.error.message}` }
    case "IdConflict":
      return {
        level: LogLevel.Error,
        text: `Two nodes call themselves ${event.id} (the latest at ${event.address}): give each a node id of its own`
      }
    case "Stopped":
      return info(`Node ${nodeId} has stopped`)
  }
}

const describe = (peer: Peer): string => `${peer.id} at ${peer.address} (${peer.direction})`

const annotate = (nodeId: NodeId, event: NetworkEvent) => {
  switch (event._tag) {
    case "Listening":
      return Effect.annotateLogs({ nodeId, address: event.address.toString() })
    case "HandshakeFailed":
      return annotatePeer(event)
    case "DialFailed":
      return annotatePeer({ address: event.address, direction: "outbound" })
    case "IdConflict":
      return Effect.annotateLogs({ peer: event.id, address: event.address.toString() })
    case "MessagesLost":
      return Effect.annotateLogs({ peer: event.peer })
    case "Stopped":
      return Effect.annotateLogs({ nodeId })
    default:
      return annotatePeer(event.peer)
  }
}

/**
 * Logs an event, with annotations that say where it happened.
 *
 * @since 0.1.0
 * @category constructors
 */
export const log = (nodeId: NodeId, event: NetworkEvent): Effect.Effect<void> => {
  const { level, text } = entry(nodeId, event)
  return annotate(nodeId, event)(Effect.logWithLevel(level, text))
}
