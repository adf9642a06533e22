/**
 * What happens at nodes, and what comes to them, kept for a test to look at and to wait for. Works on any `P2PNetwork`.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type * as Scope from "effect/Scope"
import { table } from "../internal/testing/Text.js"
import { eventually, follow, Listeners } from "../internal/testing/Waiting.js"
import type { MessageType, Received } from "../MessageType.js"
import type { NetworkEvent } from "../Peer.js"
import * as Expect from "./Expect.js"

/** Shorter than what test runners wait: the failure that says more comes first. */
const defaultWithin = Duration.seconds(4)

// --- Events ---

/**
 * Names of events.
 *
 * @since 0.1.0
 * @category models
 */
export type EventTag = NetworkEvent["_tag"]

/**
 * The event of that name.
 *
 * @since 0.1.0
 * @category models
 */
export type EventOf<Tag extends EventTag> = Extract<NetworkEvent, { readonly _tag: Tag }>

/**
 * Which event, and for how long to wait for it.
 *
 * @since 0.1.0
 * @category models
 */
export interface EventOptions<Tag extends EventTag> extends Expect.Patience {
  /** Only one that is about this peer. */
  readonly peer?: Expect.Node | string
  /** Only one for which this says true. */
  readonly where?: (event: EventOf<Tag>) => boolean
}

/**
 * The events of a node since it is observed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Events {
  readonly node: Expect.Node
  /** All of them so far, in order. */
  readonly all: Effect.Effect<ReadonlyArray<NetworkEvent>>
  /**
   * The first event of that name, and as `options` say, that came after the one given last; waits for it up to `within`
   * (default 4 seconds) by the Clock in use. The failure lists the events that there were instead.
   */
  readonly next: <Tag extends EventTag>(
    tag: Tag,
    options?: EventOptions<Tag>
  ) => Effect.Effect<EventOf<Tag>, Expect.ExpectationFailed>
}

/**
 * Observes the events of a node: none is missed once this is through. Scope: ends the observing.
 *
 * @since 0.1.0
 * @category testing
 */
export const events = (node: Expect.Node): Effect.Effect<Events, never, Scope.Scope> =>
  Effect.gen(function* () {
    const all: Array<NetworkEvent> = []
    const listeners = new Listeners()
    let given = 0
    yield* follow(node.events, (event) => {
      all.push(event)
      listeners.tell()
    })
    const next: Events["next"] = (tag, options = {}) => {
      const from = given
      const check = Effect.sync(() => {
        const index = all.findIndex((event, at) => at >= from && isWanted(event, tag, options))
        const found = all[index]
        if (found === undefined || !isWanted(found, tag, options)) {
          return Either.left(
            new Expect.ExpectationFailed({
              expected: `${nameOf(tag, options)} at ${node.nodeId}`,
              actual: showEvents(all.slice(from))
            })
          )
        }
        given = Math.max(given, index + 1)
        return Either.right(found)
      })
      return eventually(check, { watch: listeners.watch, within: options.within ?? defaultWithin })
    }
    return { node, all: Effect.sync(() => [...all]), next: (tag, options) => Effect.suspend(() => next(tag, options)) }
  })

/**
 * The next event of that name at the node, from when this begins to run. Where what the test does next brings the event
 * about, use {@link events}, or fork this with `Effect.forkScoped` and give it a turn first.
 *
 * @since 0.1.0
 * @category testing
 */
export const waitForEvent = <Tag extends EventTag>(
  node: Expect.Node,
  tag: Tag,
  options?: EventOptions<Tag>
): Effect.Effect<EventOf<Tag>, Expect.ExpectationFailed> =>
  Effect.scoped(Effect.flatMap(events(node), ({ next }) => next(tag, options)))

/** Who an event is about. */
const subjectOf = (event: NetworkEvent): string | undefined => {
  if ("peer" in event) return typeof event.peer === "string" ? event.peer : event.peer.id
  return "id" in event ? event.id : undefined
}

const isWanted = <Tag extends EventTag>(
  event: NetworkEvent,
  tag: Tag,
  { peer, where }: EventOptions<Tag>
): event is EventOf<Tag> => {
  if (event._tag !== tag) return false
  const id = typeof peer === "object" ? peer.nodeId : peer
  return (id === undefined || subjectOf(event) === id) && (where === undefined || where(event as EventOf<Tag>))
}

const nameOf = <Tag extends EventTag>(tag: Tag, { peer, where }: EventOptions<Tag>): string => {
  const of = peer === undefined ? "" : ` of ${typeof peer === "object" ? peer.nodeId : peer}`
  return `${tag}${of}${where === undefined ? "" : " for which its condition holds"}`
}

const showEvents = (all: ReadonlyArray<NetworkEvent>): string =>
  all.length === 0
    ? "nothing happened"
    : table([["event", "of", "because"], ...all.map((event) => [event._tag, subjectOf(event) ?? "", causeOf(event)])])

const causeOf = (event: NetworkEvent): string => ("error" in event ? event.error.message : "")

// --- Messages ---

/**
 * The messages of a type that came to nodes since they are observed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Messages<A> {
  readonly type: { readonly name: string }
  readonly nodes: ReadonlyArray<Expect.Node>
  /** Those that came to a node, in order. */
  readonly at: (node: Expect.Node | string) => ReadonlyArray<Received<A>>
  /** Calls the function whenever one has come. Scope: ends that. */
  readonly watch: (tell: () => void) => Effect.Effect<void, never, Scope.Scope>
}

/**
 * Observes the one-way messages of a type at nodes: none is missed once this is through. It listens beside handlers,
 * and counts as listening where there are none. Requests are not seen. Scope: ends the observing.
 *
 * @since 0.1.0
 * @category testing
 */
export const messages = <A, I>(
  nodes: ReadonlyArray<Expect.Node>,
  type: MessageType<A, I>
): Effect.Effect<Messages<A>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const came = new Map<string, Array<Received<A>>>()
    const listeners = new Listeners()
    for (const node of nodes) {
      const here: Array<Received<A>> = []
      came.set(node.nodeId, here)
      yield* follow(node.messages(type), (message) => {
        here.push(message)
        listeners.tell()
      })
    }
    return {
      type,
      nodes,
      at: (node) => [...(came.get(typeof node === "string" ? node : node.nodeId) ?? [])],
      watch: listeners.watch
    }
  })
