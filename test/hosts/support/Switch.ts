/**
 * Hosts without machines: network namespaces with an address each, on the ports of a switch that is a namespace as well.
 * The switch has two bridges, so that it can be split in two.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { execFile } from "node:child_process"
import { promisify } from "node:util"

const execute = promisify(execFile)

const ip = (...args: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.asVoid(Effect.promise(() => execute("ip", args)))

const prefix = (): string => {
  const given = process.env["SYNAPSE_HOSTS_PREFIX"]
  if (given === undefined) throw new Error("run it as: npm run test:hosts")
  return given
}

let switches = 0

export interface Switch {
  /** A host that runs, with the address 10.99.0.`number`. Scope: it is gone. */
  readonly host: (number: number) => Effect.Effect<Host, never, Scope.Scope>
  /** Moves all these to that half of the switch at once: those of one half never lose each other. */
  readonly move: (hosts: ReadonlyArray<Host>, half: "left" | "right") => Effect.Effect<void>
}

export class Host {
  readonly name: string
  readonly namespace: string
  address: string
  /** The command that runs another on this host. */
  readonly within: ReadonlyArray<string>
  private readonly number: number
  private readonly hub: string
  /** The switch's end of its link. */
  readonly port: string

  constructor(hub: string, number: number) {
    this.number = number
    this.hub = hub
    this.name = `h${String(number).padStart(2, "0")}`
    this.namespace = `${hub}-${this.name}`
    this.address = `10.99.0.${number}`
    this.port = `port${number}`
    this.within = ["ip", "netns", "exec", this.namespace]
  }

  /** It has power, but is not plugged in yet: nothing is left of what it knew, but address and card are the same. */
  get powerOn(): Effect.Effect<void> {
    const card = `02:00:0a:63:00:${this.number.toString(16).padStart(2, "0")}`
    const make = ["link", "add", this.port, "type", "veth", "peer", "name", "eth0", "address", card]
    return Effect.all(
      [
        ip("netns", "add", this.namespace),
        ip("-n", this.hub, ...make, "netns", this.namespace),
        ip("-n", this.namespace, "link", "set", "lo", "up"),
        ip("-n", this.namespace, "address", "add", `${this.address}/16`, "dev", "eth0"),
        ip("-n", this.namespace, "link", "set", "eth0", "up"),
        ip("-n", this.hub, "link", "set", this.port, "master", "left")
      ],
      { discard: true }
    )
  }

  /** Its network is gone with all connections, and nobody hears of it. Its processes must have been killed. */
  get powerOff(): Effect.Effect<void> {
    // The port by itself, since it would go with the namespace, but some time later.
    return Effect.zipRight(ip("-n", this.hub, "link", "delete", this.port), ip("netns", "delete", this.namespace))
  }

  get plug(): Effect.Effect<void> {
    return ip("-n", this.hub, "link", "set", this.port, "up")
  }

  /** Packets vanish, both ways. */
  get unplug(): Effect.Effect<void> {
    return ip("-n", this.hub, "link", "set", this.port, "down")
  }

  /** Has that address now, and not the one it had. */
  renumber(address: string): Effect.Effect<void> {
    return Effect.all(
      [
        // In this order, since the second address of a network goes with its first.
        ip("-n", this.namespace, "address", "delete", `${this.address}/16`, "dev", "eth0"),
        ip("-n", this.namespace, "address", "add", `${address}/16`, "dev", "eth0"),
        Effect.sync(() => {
          this.address = address
        })
      ],
      { discard: true }
    )
  }

  /** Delays all that comes to it. False: this kernel cannot. */
  delay(millis: number, jitter: number): Effect.Effect<boolean> {
    const args = ["-n", this.hub, "qdisc", "add", "dev", this.port, "root", "netem"]
    return Effect.promise(() =>
      execute("tc", [...args, "delay", `${millis}ms`, `${jitter}ms`]).then(
        () => true,
        () => false
      )
    )
  }
}

/** Scope: it is gone. */
export const make: Effect.Effect<Switch, never, Scope.Scope> = Effect.gen(function* () {
  const hub = `${prefix()}-s${++switches}`
  yield* Effect.acquireRelease(ip("netns", "add", hub), () => ip("netns", "delete", hub))
  for (const bridge of ["left", "right"]) {
    yield* ip("-n", hub, "link", "add", bridge, "type", "bridge", "stp_state", "0")
    yield* ip("-n", hub, "link", "set", bridge, "up")
  }
  return {
    host: (number) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          const host = new Host(hub, number)
          return Effect.as(Effect.zipRight(host.powerOn, host.plug), host)
        }),
        (host) => host.powerOff
      ),
    move: (hosts, half) =>
      Effect.async((resume) => {
        const child = execFile("ip", ["-n", hub, "-batch", "-"], (error) =>
          resume(error === null ? Effect.void : Effect.die(error))
        )
        child.stdin?.end(hosts.map(({ port }) => `link set ${port} master ${half}\n`).join(""))
      })
  }
})
