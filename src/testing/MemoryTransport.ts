/**
 * The transport in memory: links that behave as TCP connections do, and networks of made-up addresses for them. Nothing
 * leaves the process, no clock is asked, and the same program takes the same course each time.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { later, type LinkOptions, MemoryLink } from "../internal/MemoryLink.js"
import { DialRefused, ListenFailed } from "../NetworkError.js"
import * as PeerAddress from "../PeerAddress.js"
import { type Link, type Listener, Transport } from "../Transport.js"

// --- Links ---

export type { LinkOptions } from "../internal/MemoryLink.js"

/**
 * Both ends of a new link.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makePair = (
  options: LinkOptions & {
    /** Where the first and the second end are. */
    readonly addresses?: readonly [PeerAddress.PeerAddress, PeerAddress.PeerAddress] | undefined
  } = {}
): readonly [Link, Link] => {
  const [first, second] = options.addresses ?? [PeerAddress.make("memory-1", 1), PeerAddress.make("memory-2", 2)]
  const one = new MemoryLink(first, second, options)
  return [one, one.answer()]
}

/**
 * A `cut` that hands bytes over in pieces of every size, single bytes among them: always the same ones for the same seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export { seededCut } from "../internal/seededCut.js"

// --- Networks ---

/**
 * A network in memory, which transports share. Two nodes meet where their transports are of the same network.
 *
 * @since 0.1.0
 * @category tags
 */
export class MemoryNetwork extends Context.Tag("synapse-p2p/testing/MemoryNetwork")<
  MemoryNetwork,
  {
    /**
     * A transport of a machine on this network. `host` is what others see its dials come from, and what a listening
     * address of `0.0.0.0`, `::` or `""` stands for; by default the host that it last listened at, and any host.
     */
    readonly transport: (host?: string) => Transport["Type"]
    /**
     * Takes a host off the network without a word, as if its cable were pulled: a dial to it or from it waits for an
     * answer until it is interrupted, and on the links it has with other hosts nothing arrives any more, neither bytes
     * nor an end nor a reset. What is written waits in the buffers, as far as there is room.
     */
    readonly silence: (host: string) => Effect.Effect<void>
    /** Puts a silenced host back: what waited goes on, dials included, and what broke meanwhile is noticed. */
    readonly restore: (host: string) => Effect.Effect<void>
  }
>() {}

const firstFreePort = 49_152
const ports = 65_536 - firstFreePort

/**
 * A network of its own. Every address can be listened at, and any that nobody listens at refuses, or answers nothing
 * where its host is silenced; a name stands for itself.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeNetwork = (options: LinkOptions = {}): MemoryNetwork["Type"] => {
  const listeners = new Map<string, (near: MemoryLink) => void>()
  const silent = new Set<string>()
  const held = new Set<() => void>()
  let portsGiven = 0

  const isCut = (one: string, other: string, goOn: () => void): boolean => {
    if (one === other || !(silent.has(one) || silent.has(other))) return false
    held.add(goOn)
    return true
  }
  const medium = { ...options, isCut }

  const nextPort = (): number => firstFreePort + (portsGiven++ % ports)

  const freePort = (keyOf: (port: number) => string): number | undefined => {
    for (let tried = 0; tried < ports; tried++) {
      const port = nextPort()
      if (!listeners.has(keyOf(port))) return port
    }
    return undefined
  }

  const transport = (host?: string): Transport["Type"] => {
    let own = host ?? "memory"

    const open = (address: PeerAddress.PeerAddress, onLink: (link: Link) => void): Effect.Effect<Bound, ListenFailed> =>
      Effect.suspend(() => {
        const anyHost = PeerAddress.isUnspecified(address.host)
        const keyOf = (port: number): string => key(anyHost ? (host ?? "*") : address.host, port)
        const port = address.port === 0 ? freePort(keyOf) : address.port
        if (port === undefined || listeners.has(keyOf(port))) {
          return Effect.fail(new ListenFailed({ address, reason: "AddressInUse" }))
        }
        if (!anyHost) own = host ?? address.host
        const links = new Set<MemoryLink>()
        listeners.set(keyOf(port), (near) => {
          const far = near.answer(() => links.delete(far))
          links.add(far)
          try {
            onLink(far)
          } catch (cause) {
            far.destroy(cause)
          }
        })
        let accepting = true
        const stopAccepting = Effect.sync(() => {
          if (accepting) listeners.delete(keyOf(port))
          accepting = false
        })
        return Effect.succeed({ address: PeerAddress.make(address.host, port), stopAccepting, links })
      })

    const dial = (address: PeerAddress.PeerAddress): Effect.Effect<Link, DialRefused> =>
      Effect.async((resume) => {
        let link: MemoryLink | undefined = undefined
        let abandoned = false
        const knock = (): void => later(answer)
        const answer = (): void => {
          if (abandoned || isCut(own, address.host, knock)) return
          const accept = listeners.get(key(address.host, address.port)) ?? listeners.get(key("*", address.port))
          if (accept === undefined) {
            resume(Effect.fail(new DialRefused({ address })))
            return
          }
          link = new MemoryLink(PeerAddress.make(own, nextPort()), address, medium)
          accept(link)
          resume(Effect.succeed(link))
        }
        knock()
        return Effect.sync(() => {
          abandoned = true
          held.delete(knock)
          link?.destroy()
        })
      })

    return {
      listen: (address, onLink) => Effect.acquireRelease(open(address, onLink), close),
      dial,
      resolve: (address) => Effect.succeed([address])
    }
  }

  return {
    transport,
    silence: (host) =>
      Effect.sync(() => {
        silent.add(host)
      }),
    restore: (host) =>
      Effect.sync(() => {
        silent.delete(host)
        const waiting = [...held]
        held.clear()
        // Who is still cut off finds out, and waits again.
        for (const goOn of waiting) goOn()
      })
  }
}

interface Bound extends Listener {
  readonly links: ReadonlySet<MemoryLink>
}

const close = (bound: Bound): Effect.Effect<void> =>
  Effect.map(bound.stopAccepting, () => {
    for (const link of bound.links) link.destroy(new Error("the listener was closed"))
  })

const key = (host: string, port: number): string => `${host}:${port}`

/**
 * One network, for the {@link layerTransport}s that are built with it. Where transports are provided apart from each
 * other, make the network once ({@link makeNetwork}) and provide it with `Layer.succeed`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNetwork: Layer.Layer<MemoryNetwork> = Layer.sync(MemoryNetwork, () => makeNetwork())

/**
 * As {@link layerNetwork}, with links that behave as said.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerNetworkWith = (options: LinkOptions): Layer.Layer<MemoryNetwork> =>
  Layer.sync(MemoryNetwork, () => makeNetwork(options))

/**
 * A transport on the network that is provided.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTransport: Layer.Layer<Transport, never, MemoryNetwork> = Layer.effect(
  Transport,
  Effect.map(MemoryNetwork, (network) => network.transport())
)

/**
 * A transport on the network that is provided, whose dials come from the host given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerTransportAt = (host: string): Layer.Layer<Transport, never, MemoryNetwork> =>
  Layer.effect(
    Transport,
    Effect.map(MemoryNetwork, (network) => network.transport(host))
  )

/**
 * A transport on a network of its own, a new one each time the layer is built: who shares the layer can meet.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport> = Layer.provide(layerTransport, Layer.fresh(layerNetwork))
