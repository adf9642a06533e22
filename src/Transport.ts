/**
 * What carries bytes between two nodes. A transport listens and dials, and both give {@link Link}s: raw duplex byte
 * streams, before any handshake. TCP stands in `synapse-p2p/node`, memory in `synapse-p2p/testing`; any transport that
 * keeps the promises written here can take their place.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import type * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { AddressUnresolved, DialError, ListenFailed } from "./NetworkError.js"
import type { NodeId } from "./NodeId.js"
import type { PeerAddress } from "./PeerAddress.js"

/**
 * Who is told what happens on a link. The methods are called one at a time, never from within a call of the link's own
 * methods, and none after `onClose`.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkReceiver {
  /**
   * Bytes, in order, cut anywhere. The receiver may keep the array. A throw, here or in `onEnd` or the `done` of a write,
   * destroys the link and becomes its `onClose` cause.
   */
  readonly onData: (chunk: Uint8Array) => void
  /**
   * The other end sends no more (FIN). It may still read: the link stays open for writing until `end` or `destroy`. May
   * come while paused, where nothing is left to be read.
   */
  readonly onEnd: () => void
  /** The link is gone, for whatever reason; called exactly once, last. `cause` is set where it did not end in peace. */
  readonly onClose: (cause?: unknown) => void
}

/**
 * What a transport has proven of the other end of a link.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkProof {
  /** The node whose private key the other end has: made of its public key, as docs/PROTOCOL.md, section 9, says. */
  readonly id: NodeId
  /**
   * 32 bytes that both ends of this link know, nobody else, and that no other link has: the TLS exporter with the label
   * `EXPORTER-synapse-p2p` and an empty context.
   */
  readonly exporter: Uint8Array
}

/**
 * One live byte stream. Whoever got it owns it, and must `attach` a receiver or `destroy` it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Link {
  /** The address the other end is seen at. */
  readonly remote: PeerAddress
  /** The address of our end. */
  readonly local: PeerAddress
  /**
   * What is proven of the other end; absent where the transport proves nothing. A link that was dialed has it from the
   * start, an accepted one before the first `onData`: its handshake may still be under way.
   */
  readonly proven?: LinkProof | undefined
  /** Starts reading. Once; until then nothing is read and nothing is lost, an early end or close included. */
  readonly attach: (receiver: LinkReceiver) => void
  /**
   * Writes the arrays one after the other and calls `done` exactly once: without an argument when the operating system
   * (or the other end's buffer) has taken all of it, with the cause when it cannot any more. Never throws, and `done` is
   * called on an ended link too. The arrays must not be changed until then.
   */
  readonly write: (chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void) => void
  /**
   * Whether all that was written has been taken, though `done` may be yet to come: then it is about to. Where it is absent,
   * `done` alone tells.
   */
  readonly isTaken?: boolean | undefined
  /**
   * Calls `run`, which must not throw, once the process has dealt with what it has at hand. Where it is absent, that is
   * taken to be when what runs now has let go of the thread.
   */
  readonly whenIdle?: ((run: () => void) => void) | undefined
  /** Stops reading: at most what was already read is still handed over (one chunk). */
  readonly pause: () => void
  readonly resume: () => void
  /** Sends FIN after what was written. Reading goes on. */
  readonly end: () => void
  /**
   * Ends both directions at once; what the operating system has not sent may be lost. `onClose` follows, with the cause
   * given and without one if there is none; the other end sees its link end or break. Idempotent.
   */
  readonly destroy: (cause?: unknown) => void
}

/**
 * A listening address. `address` is the real one where port 0 was asked for.
 *
 * @since 0.1.0
 * @category models
 */
export interface Listener {
  readonly address: PeerAddress
  /** Takes no more connections; links already accepted go on. Idempotent, does not wait for them. */
  readonly stopAccepting: Effect.Effect<void>
}

/**
 * The transport service.
 *
 * @since 0.1.0
 * @category tags
 */
export class Transport extends Context.Tag("synapse-p2p/Transport")<
  Transport,
  {
    /**
     * Listens at an address (port 0: any free one) and hands every accepted link to `onLink`, synchronously. A throw in
     * `onLink` destroys that link only. Scope: stops accepting and destroys what links are left of it, without waiting
     * for the other ends.
     */
    readonly listen: (
      address: PeerAddress,
      onLink: (link: Link) => void
    ) => Effect.Effect<Listener, ListenFailed, Scope.Scope>
    /**
     * Opens a link. Interruption abandons the attempt and leaves nothing behind; the time limit is the caller's. Fails
     * with: `DialRefused` | `DialReset` | `DialUnreachable` | `AddressUnresolved`, and with encryption `TlsFailed` |
     * `HandshakeTimeout`.
     */
    readonly dial: (address: PeerAddress) => Effect.Effect<Link, DialError>
    /** All addresses a host name stands for, with the given port; an address literal stands for itself. */
    readonly resolve: (address: PeerAddress) => Effect.Effect<ReadonlyArray<PeerAddress>, AddressUnresolved>
  }
>() {}
