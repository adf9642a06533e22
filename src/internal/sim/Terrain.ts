/**
 * The hosts of a simulated world and the paths between them, with what stands in their way.
 *
 * @internal
 */
import { type Obstacle, Path, type Shape } from "./Path.js"
import { SimulatedHost } from "./SimulatedHost.js"
import type { LinkSettings } from "./SimulatedLink.js"
import type { World } from "./World.js"

export class Terrain {
  readonly hosts = new Map<string, SimulatedHost>()
  readonly world: World
  readonly settings: LinkSettings
  private readonly paths = new Map<string, Path>()
  /** Those from or to each host. */
  private readonly pathsAt = new Map<string, Array<Path>>()
  private readonly obstacles = new Set<Obstacle>()
  private readonly delays = new Map<
    object,
    { readonly on: (from: string, to: string) => boolean; readonly millis: number }
  >()
  private readonly shape: Shape

  constructor(world: World, shape: Shape, settings: LinkSettings) {
    this.world = world
    this.shape = shape
    this.settings = settings
  }

  /** The host of that name, made where there is none yet. */
  host(name: string): SimulatedHost {
    const known = this.hosts.get(name)
    if (known !== undefined) return known
    const host = new SimulatedHost(this, name)
    this.hosts.set(name, host)
    return host
  }

  path(from: string, to: string): Path {
    const key = `${from} ${to}`
    const known = this.paths.get(key)
    if (known !== undefined) return known
    const path = new Path(this.world, from, to, from === to ? { ...this.shape, latency: 0, jitter: 0 } : this.shape)
    path.meet(this.obstacles)
    path.delay = this.delayOf(path)
    this.paths.set(key, path)
    this.index(from, path)
    if (to !== from) this.index(to, path)
    return path
  }

  private index(host: string, path: Path): void {
    const paths = this.pathsAt.get(host)
    if (paths === undefined) this.pathsAt.set(host, [path])
    else paths.push(path)
  }

  /** Puts something in the way; the function returned takes it away. */
  obstruct(obstacle: Obstacle): () => void {
    this.obstacles.add(obstacle)
    this.look(obstacle)
    return () => {
      if (this.obstacles.delete(obstacle)) this.look(obstacle)
    }
  }

  /** Makes paths slower; the function returned makes them as before. */
  slow(on: (from: string, to: string) => boolean, millis: number): () => void {
    const key = {}
    this.delays.set(key, { on, millis })
    const apply = (): void => {
      for (const path of this.paths.values()) path.delay = this.delayOf(path)
    }
    apply()
    return () => {
      this.delays.delete(key)
      apply()
    }
  }

  /** Something has come or gone. */
  private look({ host }: Obstacle): void {
    const paths = host === undefined ? this.paths.values() : (this.pathsAt.get(host) ?? [])
    for (const path of paths) path.meet(this.obstacles)
  }

  private delayOf({ from, to }: Path): number {
    let millis = 0
    for (const delay of this.delays.values()) if (delay.on(from, to)) millis += delay.millis
    return millis
  }
}
