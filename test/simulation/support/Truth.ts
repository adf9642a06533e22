/** What the plan says was really so, against which is held what nodes believed. */
import type { NetworkEvent } from "../../../src/Peer.js"
import type { FaultPlan, Step } from "../../../src/testing/FaultPlan.js"
import * as Fault from "../../../src/testing/Fault.js"
import { times } from "./Profile.js"

/** When plans begin, from the beginning of the network. */
export const planAt = 2_000

export interface Truth {
  /** Within this time a silent peer is noticed: the time-out, an interval, and two sweeps. */
  readonly noticedWithin: number
  /** It reads slowly or does not run, or has only just begun to again. */
  readonly isHandicapped: (host: string, now: number) => boolean
  /** How often it has been started anew. */
  readonly restarts: (host: string, now: number) => number
  /** What is wrong about it that a host takes a peer for dead by silence. */
  readonly wronglyDead: (
    host: string,
    event: Extract<NetworkEvent, { readonly _tag: "PeerDead" }>,
    now: number
  ) => string | undefined
}

export const make = ({ steps }: FaultPlan, started: number): Truth => {
  const noticedWithin = times.heartbeatTimeout + times.heartbeatInterval + 500
  const begin = (step: Step): number => started + planAt + step.at
  const end = (step: Step): number => begin(step) + step.lasts
  const isActive = (step: Step, from: number, until: number): boolean => begin(step) <= until && end(step) >= from

  return {
    noticedWithin,
    isHandicapped: (host, now) =>
      steps.some(
        (step) =>
          (step.fault._tag === "Pause" || step.fault._tag === "SlowReader") &&
          step.fault.host === host &&
          isActive(step, now - noticedWithin, now)
      ),
    restarts: (host, now) =>
      steps.filter(
        (step) =>
          (step.fault._tag === "Crash" || step.fault._tag === "PowerOff" || step.fault._tag === "Leave") &&
          step.fault.host === host &&
          end(step) <= now
      ).length,
    wronglyDead: (host, { error, peer }, now) => {
      if (error._tag !== "PeerSilent") return undefined
      // Half of the time-out before, and as long again as a fault that lost something lasted: what is lost is sent again late.
      const isExcused = steps.some(
        (step) =>
          Fault.hosts(step.fault).some((name) => name === host || name === peer.id) &&
          begin(step) <= now &&
          end(step) + step.lasts + 2 * times.heartbeatTimeout >= now &&
          step.lasts >= disturbing(step)
      )
      return isExcused ? undefined : `${host} takes ${peer.id} for dead by silence, and nothing was in their way`
    }
  }
}

/** A fault shorter than this silences nobody for heartbeatTimeout; milliseconds. */
const disturbing = ({ fault }: Step): number => {
  switch (fault._tag) {
    // A round trip longer than usual, or reading that is slow, may add up with others.
    case "Delay":
    case "SlowReader":
      return 0
    // What is lost may be sent again as late as it was lost for.
    case "Partition":
    case "Swallow":
    case "PowerOff":
      return times.heartbeatTimeout / 4
    default:
      return times.heartbeatTimeout - 2 * times.heartbeatInterval
  }
}
