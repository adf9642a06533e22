/**
 * The door: which links become connections, and which are told to go before anything is held for them.
 *
 * @internal
 */
import type { Owner } from "../../Connection.js"
import { Connection } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import * as Option from "effect/Option"
import * as PeerAddress from "../../PeerAddress.js"
import type { Link } from "../../Transport.js"
import { HandshakeRate, sourceOf } from "../HandshakeRate.js"
import type { Faults } from "./Faults.js"
import { errorFrame, localError, retryWhenFull } from "./Refusals.js"
import type { State } from "./State.js"

export interface Admission {
  /** A link that another node dialed. */
  readonly accept: (link: Link) => void
  /** A connection over a link: its handshake begins. `prepare` comes before anything is read. */
  readonly begin: (
    link: Link,
    dialed: PeerAddress.PeerAddress | undefined,
    prepare?: (connection: Connection) => void
  ) => Connection
  /** The link of a connection is gone. */
  readonly closed: (connection: Connection) => void
  /** Destroys the links that were turned away. */
  readonly clear: () => void
}

export const make = (state: State, faults: Faults, owner: Owner): Admission => {
  const { all, config, deadlines, halfOpen, handshakeTimeout, node, report, stats } = state
  const inboundBySource = new Map<string, number>()
  const rate = Option.getOrUndefined(
    Option.map(config.handshakeRate, (perSecond) => new HandshakeRate(perSecond, config.maxConnectionsPerIp))
  )
  /** Links refused, while they are told so. */
  const turnedAway = new Set<Link>()

  /** Whether what is said over the link would first have to be encrypted, which is work that the other end is not worth. */
  const isCostly = (link: Link): boolean => node.credentials !== undefined && link.proven === undefined

  const turnAway = (link: Link, refusal: Handshake.Refusal): void => {
    stats.count("handshakesFailed")
    report({
      _tag: "HandshakeFailed",
      address: link.remote,
      direction: "inbound",
      error: localError({ remote: link.remote }, refusal)
    })
    if (isCostly(link) || turnedAway.size >= config.maxPendingHandshakes) return link.destroy()
    turnedAway.add(link)
    const cancel = deadlines.after(state.closeTimeout, () => link.destroy())
    link.attach({
      onData: () => {},
      onEnd: () => {},
      onClose: () => {
        cancel()
        turnedAway.delete(link)
      }
    })
    link.write([errorFrame(node, refusal, true)], () => link.end())
  }

  const accept = (link: Link): void => {
    if (!state.isRunning) return link.destroy()
    const { host } = link.remote
    const bannedFor = faults.bannedFor(host)
    if (bannedFor !== undefined) {
      return turnAway(link, { code: "BANNED", detail: "too many invalid messages", retryAfterMs: bannedFor })
    }
    const source = sourceOf(host)
    const isLimited = !PeerAddress.isLoopback(host)
    if (isLimited && (inboundBySource.get(source) ?? 0) >= config.maxConnectionsPerIp) {
      return turnAway(link, {
        code: "TOO_MANY_CONNECTIONS",
        detail: "too many connections from this IP address",
        retryAfterMs: retryWhenFull
      })
    }
    const wait = isLimited && isCostly(link) ? rate?.take(source, deadlines.now()) : undefined
    if (wait !== undefined) {
      return turnAway(link, {
        code: "TOO_MANY_CONNECTIONS",
        detail: "too many handshakes from this IP address in a short time",
        retryAfterMs: wait
      })
    }
    if (halfOpen.size >= config.maxPendingHandshakes) evictHalfOpen()
    inboundBySource.set(source, (inboundBySource.get(source) ?? 0) + 1)
    begin(link, undefined)
  }

  /** The oldest inbound connection that has not said HELLO gives way. */
  const evictHalfOpen = (): void => {
    for (const connection of halfOpen) {
      if (connection.direction === "inbound") {
        return connection.destroy(
          localError(connection, { code: "TOO_MANY_CONNECTIONS", detail: "too many handshakes at once" })
        )
      }
    }
  }

  const ping = (seq: number) => node.control("HEARTBEAT", { kind: "ping", seq })

  const begin: Admission["begin"] = (link, dialed, prepare) => {
    const connection = new Connection({
      link,
      owner,
      settings: state.connectionSettings,
      deadlines,
      ping,
      ...(dialed === undefined ? {} : { dialed })
    })
    prepare?.(connection)
    all.add(connection)
    halfOpen.add(connection)
    connection.attach(handshakeTimeout, () => {
      const refusal: Handshake.Refusal = { code: "HANDSHAKE_TIMEOUT", detail: `no HELLO within ${handshakeTimeout} ms` }
      if (isCostly(link)) connection.destroy(localError(connection, refusal))
      else faults.close(connection, refusal)
    })
    return connection
  }

  const closed = (connection: Connection): void => {
    all.delete(connection)
    state.overtaken.delete(connection)
    if (connection.direction === "outbound") return
    const source = sourceOf(connection.remote.host)
    const left = (inboundBySource.get(source) ?? 1) - 1
    if (left === 0) inboundBySource.delete(source)
    else inboundBySource.set(source, left)
  }

  return {
    accept,
    begin,
    closed,
    clear: () => {
      for (const link of turnedAway) link.destroy()
    }
  }
}
