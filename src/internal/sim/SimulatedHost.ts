/**
 * A host of a simulated world: its address, the process that runs on it, its listening ports and the ends of its links.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import { DialRefused, DialUnreachable, ListenFailed } from "../../NetworkError.js"
import * as PeerAddress from "../../PeerAddress.js"
import type { Link, Listener, Transport } from "../../Transport.js"
import { Pipe } from "./Pipe.js"
import { type LinkHost, SimulatedLink } from "./SimulatedLink.js"
import { SimulatedProcess, type WallClock } from "./SimulatedProcess.js"
import type { Terrain } from "./Terrain.js"

const firstFreePort = 49_152
const ports = 65_536 - firstFreePort

/** A dial that hears nothing is sent again after so long, then twice as long, and so on (RFC 6298). */
const firstDialRetryMillis = 1000

/** Six times: then the host counts as one that cannot be reached. */
const dialRetries = 6

type Accept = (link: SimulatedLink) => void

export class SimulatedHost implements LinkHost {
  readonly name: string
  /** What runs here now, or ran last. */
  process: SimulatedProcess
  readonly links = new Set<SimulatedLink>()
  /** How fast its processes read, bytes a second: the slowest counts. */
  readonly rates = new Set<{ readonly rate: number }>()
  private runs = 0
  private portsGiven = 0
  private readonly listening = new Map<number, Accept>()
  private readonly terrain: Terrain
  /** Faults that keep it from running. */
  private downs = 0
  /** Goes up when it goes off: what its system had to send is gone then. */
  private powerCycles = 0
  /** Its clock goes on, and stays wrong, whatever happens to its processes. */
  readonly wall: WallClock = { error: 0 }

  constructor(terrain: Terrain, name: string) {
    this.terrain = terrain
    this.name = name
    this.process = this.nextProcess()
  }

  private nextProcess(): SimulatedProcess {
    return new SimulatedProcess(this.terrain.world, `${this.name}/${this.runs++}`, this.wall)
  }

  get listeners(): number {
    return this.listening.size
  }

  readRate(): number {
    let slowest = Infinity
    for (const { rate } of this.rates) slowest = Math.min(slowest, rate)
    return slowest
  }

  released(link: SimulatedLink): void {
    this.links.delete(link)
  }

  // --- Faults ---

  /**
   * Ends the process at once; the system closes its links. The function returned ends the fault: whether none is left
   * that keeps the host from running, so that there is a process again.
   */
  kill(): () => boolean {
    this.end((link) => link.abandon())
    return this.down()
  }

  /** The host is off: nobody is told. The function returned: as that of {@link kill}. */
  powerOff(): () => boolean {
    this.powerCycles++
    this.end((link) => link.vanish())
    const up = this.down()
    const powerOn = this.terrain.obstruct({
      host: this.name,
      stops: (from, to) => from === this.name || to === this.name,
      isLoss: true
    })
    return () => {
      powerOn()
      return up()
    }
  }

  private down(): () => boolean {
    this.downs++
    return () => {
      if (--this.downs > 0) return false
      this.process = this.nextProcess()
      return true
    }
  }

  private end(link: (link: SimulatedLink) => void): void {
    this.process.kill()
    this.listening.clear()
    for (const one of this.links) link(one)
  }

  // --- Transport ---

  /** For the process that runs here now. */
  transport(): Transport["Type"] {
    const { process } = this
    return {
      listen: (address, onLink) => this.listen(process, address, onLink),
      dial: (address) => this.dial(process, address),
      resolve: (address) => Effect.succeed([address])
    }
  }

  private listen(
    process: SimulatedProcess,
    address: PeerAddress.PeerAddress,
    onLink: (link: Link) => void
  ): Effect.Effect<Listener, ListenFailed, Scope.Scope> {
    const accept: Accept = (link) => {
      try {
        onLink(link)
      } catch (cause) {
        link.destroy(cause)
      }
    }
    const open = Effect.suspend(() => {
      const isHere = PeerAddress.isUnspecified(address.host) || address.host === this.name
      const port = address.port === 0 ? this.freePort() : address.port
      if (!isHere) return Effect.fail(new ListenFailed({ address, reason: "AddressNotAvailable" }))
      if (port === undefined || this.listening.has(port)) {
        return Effect.fail(new ListenFailed({ address, reason: "AddressInUse" }))
      }
      this.listening.set(port, accept)
      const stop = (): void => {
        if (this.listening.get(port) === accept) this.listening.delete(port)
      }
      return Effect.succeed({
        address: PeerAddress.make(address.host, port),
        stopAccepting: Effect.sync(stop)
      })
    })
    return Effect.acquireRelease(open, ({ stopAccepting }) =>
      Effect.map(stopAccepting, () => {
        if (process.isKilled) return
        for (const link of this.links) {
          if (link.acceptedBy === accept) link.destroy(new Error("the listener was closed"))
        }
      })
    )
  }

  private dial(
    process: SimulatedProcess,
    address: PeerAddress.PeerAddress
  ): Effect.Effect<Link, DialRefused | DialUnreachable> {
    return Effect.async((resume) => {
      const { terrain } = this
      const there = terrain.path(this.name, address.host)
      const back = terrain.path(address.host, this.name)
      let isOver = false
      let link: SimulatedLink | undefined
      let cancelRetry: (() => void) | undefined
      const settle = (result: Effect.Effect<Link, DialRefused | DialUnreachable>): void => {
        isOver = true
        cancelRetry?.()
        process.deliver(() => resume(result))
      }
      const answered = (isAccepted: boolean): void => {
        if (isOver || process.isKilled) return
        if (!isAccepted) return settle(Effect.fail(new DialRefused({ address })))
        link = this.connect(address)
        settle(Effect.succeed(link))
      }
      const arrived = (): void => {
        const isAccepted = terrain.hosts.get(address.host)?.listening.has(address.port) === true
        back.send(() => answered(isAccepted))
      }
      const ask = (attempt: number): void => {
        if (isOver || process.isKilled) return
        if (attempt > dialRetries) {
          return settle(Effect.fail(new DialUnreachable({ address, cause: new Error("nothing answers there") })))
        }
        there.send(arrived)
        cancelRetry = terrain.world.after(firstDialRetryMillis * 2 ** attempt, () => ask(attempt + 1))
      }
      ask(0)
      return Effect.sync(() => {
        isOver = true
        cancelRetry?.()
        // It may be there already, and the fiber not yet know of it.
        link?.destroy()
      })
    })
  }

  /** Makes both ends; the far one is accepted once the last step of the dial has come there. */
  private connect(address: PeerAddress.PeerAddress): SimulatedLink {
    const { settings, world } = this.terrain
    const far = this.terrain.host(address.host)
    const local = PeerAddress.make(this.name, this.nextPort())
    const near = new SimulatedLink(world, this, { local, remote: address }, settings)
    const other = new SimulatedLink(world, far, { local: address, remote: local }, settings)
    near.join(other, this.pipe(near, other))
    other.join(near, far.pipe(other, near))
    this.links.add(near)
    near.open()
    return near
  }

  private pipe(from: SimulatedLink, to: SimulatedLink): Pipe {
    const { settings, world } = this.terrain
    const { powerCycles } = this
    return new Pipe(
      world,
      this.terrain.path(from.host.name, to.host.name),
      this.terrain.path(to.host.name, from.host.name),
      settings.capacity,
      {
        arrive: (segment) => {
          if (powerCycles !== this.powerCycles) return
          world.trace.note(world.now, `${segment._tag} ${from.local} ${to.local}`)
          if (segment._tag === "Data") world.trace.noteBytes(segment.bytes)
          if (segment._tag === "Open") to.host.accept(to)
          else to.arrive(segment)
        },
        room: () => from.room(),
        brokenOff: () => from.timeOut()
      }
    )
  }

  /** The last step of a dial has come: the process gets the link, or there is none. */
  accept(link: SimulatedLink): void {
    const accept = this.listening.get(link.local.port)
    // The process that listened when the dial came may be another one.
    if (accept === undefined || link.process !== this.process) return link.refuse()
    link.acceptedBy = accept
    this.links.add(link)
    link.process.deliver(() => {
      if (this.listening.get(link.local.port) === accept) accept(link)
      else link.destroy(new Error("nobody listens any more"))
    })
  }

  private nextPort(): number {
    return firstFreePort + (this.portsGiven++ % ports)
  }

  private freePort(): number | undefined {
    for (let tried = 0; tried < ports; tried++) {
      const port = this.nextPort()
      if (!this.listening.has(port)) return port
    }
    return undefined
  }
}
