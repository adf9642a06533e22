/**
 * What goes wrong in a simulated network, as values: for a test to bring about by command, and for plans drawn at random.
 * Each fault has a beginning and, but for a reset, an end. They may overlap: one that is over takes away only its own
 * part, and a host that is down for several runs again when the last is over.
 *
 * @since 0.1.0
 */

/**
 * A fault. Hosts are named as the nodes that run on them.
 *
 * @since 0.1.0
 * @category models
 */
export type Fault =
  /** Hosts of different groups do not hear each other; all that are in no group are one more group. */
  | { readonly _tag: "Partition"; readonly groups: ReadonlyArray<ReadonlyArray<string>> }
  /** What `from` sends to `to` is lost; the way back is free. */
  | { readonly _tag: "Swallow"; readonly from: string; readonly to: string }
  /** Nothing is lost between two hosts, but nothing moves until it ends. */
  | { readonly _tag: "Stall"; readonly between: readonly [string, string] }
  /** The same between one host and all others. */
  | { readonly _tag: "Clog"; readonly host: string }
  /** What is sent between two hosts takes so much longer. */
  | { readonly _tag: "Delay"; readonly between: readonly [string, string]; readonly millis: number }
  /** All links between two hosts break at once, and both know. It has no end. */
  | { readonly _tag: "Reset"; readonly between: readonly [string, string] }
  /** A host reads no faster. */
  | { readonly _tag: "SlowReader"; readonly host: string; readonly bytesPerSecond: number }
  /**
   * The node stops with grace. In the end it starts again in the same process: same id, new session. A restart after a
   * crash starts it as well.
   */
  | { readonly _tag: "Leave"; readonly host: string }
  /**
   * The process is killed, and its system closes its links: the other ends see what it had sent and the end of it, or a
   * reset where something was not read. In the end it starts again: same id, new session.
   */
  | { readonly _tag: "Crash"; readonly host: string; readonly keepState: boolean }
  /** The host is off: its links end without a word (half-open at the other side). In the end it starts again. */
  | { readonly _tag: "PowerOff"; readonly host: string; readonly keepState: boolean }
  /** The process is stopped (SIGSTOP): its system goes on taking bytes, its timers come late. A restart ends it. */
  | { readonly _tag: "Pause"; readonly host: string }
  /** The wall clock of a host jumps by so many milliseconds, whatever runs there. In the end it jumps back. */
  | { readonly _tag: "ClockStep"; readonly host: string; readonly millis: number }

/**
 * A fault in words.
 *
 * @since 0.1.0
 * @category accessors
 */
export const describe = (fault: Fault): string => {
  switch (fault._tag) {
    case "Partition":
      return `partition ${fault.groups.map((group) => group.join("+")).join(" | ")} | the rest`
    case "Swallow":
      return `what ${fault.from} sends to ${fault.to} is lost`
    case "Stall":
      return `nothing moves between ${fault.between.join(" and ")}`
    case "Clog":
      return `nothing moves to or from ${fault.host}`
    case "Delay":
      return `${fault.millis} ms more between ${fault.between.join(" and ")}`
    case "Reset":
      return `links between ${fault.between.join(" and ")} are reset`
    case "SlowReader":
      return `${fault.host} reads ${fault.bytesPerSecond} bytes a second`
    case "Leave":
      return `${fault.host} leaves`
    case "Crash":
      return `${fault.host} is killed${fault.keepState ? "" : ", its state lost"}`
    case "PowerOff":
      return `${fault.host} is off${fault.keepState ? "" : ", its state lost"}`
    case "Pause":
      return `${fault.host} is stopped`
    case "ClockStep":
      return `the clock of ${fault.host} jumps by ${fault.millis} ms`
  }
}

/**
 * The hosts that a fault names.
 *
 * @since 0.1.0
 * @category accessors
 */
export const hosts = (fault: Fault): ReadonlyArray<string> => {
  switch (fault._tag) {
    case "Partition":
      return fault.groups.flat()
    case "Swallow":
      return [fault.from, fault.to]
    case "Stall":
    case "Delay":
    case "Reset":
      return fault.between
    default:
      return [fault.host]
  }
}
