/**
 * What follows from each error: whether it is dialed again and when, whether it ends the connection, whether it counts
 * against the other end, how it is shown, and what a person can do. One table, in which the compiler demands a row for
 * every error tag; the wire's side of it is docs/PROTOCOL.md, section 7.
 *
 * All here is pure. Back-off is exponential with a cap and jitter, so that nodes that lost the same peer do not come back
 * in step.
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schedule from "effect/Schedule"
import * as ScheduleDecision from "effect/ScheduleDecision"
import * as ScheduleInterval from "effect/ScheduleInterval"
import type { Settings } from "./NetworkConfig.js"
import type { ConnectionCode, connectionErrors, ErrorCode, NetworkError } from "./NetworkError.js"

/**
 * What follows from an error.
 *
 * @since 0.1.0
 * @category models
 */
export interface Policy {
  /**
   * Whether and when the address is dialed again. `backoff`: after {@link backoffDelay}. `retryAfter`: when the other end
   * says, else after `wait`, else as `backoff`. `healing`: only where it is a bootstrap node, at every `healingInterval`.
   * `never`: not because of this error.
   */
  readonly retry: "backoff" | "retryAfter" | "healing" | "never"
  /** With `retryAfter`, the wait where the other end names none. */
  readonly wait?: Duration.Duration
  /**
   * Whether the connection always ends with it. Where it may or may not (`INVALID_MESSAGE`, `RATE_LIMITED`), this is
   * false, and {@link codes} says when.
   */
  readonly closes: boolean
  /** Whether it counts towards a ban of the other end's IP address. */
  readonly countsAsInvalid: boolean
  /** At which level it is logged. */
  readonly level: "Debug" | "Info" | "Warning" | "Error"
  /** What a person, or the application, can do about it. */
  readonly advice: string
}

/** Trouble on the way to the other node, which may pass. */
const transient = { retry: "backoff", closes: false, countsAsInvalid: false, level: "Info" } as const

/** The end of a connection after which the peer is looked for again. */
const lost = { retry: "backoff", closes: true, countsAsInvalid: false, level: "Warning" } as const

/** The same, by the other end's fault. */
const offence = { ...lost, countsAsInvalid: true } as const

/** Two nodes that do not belong together until someone changes one of them. */
const incompatible = { retry: "healing", closes: true, countsAsInvalid: false, level: "Warning" } as const

/** The end of a connection that somebody wanted. */
const meant = { retry: "never", closes: true, countsAsInvalid: false, level: "Info" } as const

/** The failure of one call, told to its caller, who decides. */
const call = { retry: "never", closes: false, countsAsInvalid: false, level: "Warning" } as const

/** The node does not do what it was set up to do, and only a person can help. */
const mistake = { ...call, level: "Error" } as const

/**
 * The policy of every error, by its tag.
 *
 * @since 0.1.0
 * @category policies
 */
export const policies = {
  ConfigInvalid: { ...mistake, advice: "Correct the settings it names; nothing was started." },
  ListenFailed: { ...mistake, advice: "Choose another port (0: any free one) or host, or stop what holds this one." },
  StateFolderFailed: {
    ...mistake,
    advice: "Choose another folder, or stop the process that has this one; nothing was started."
  },
  IdentityFailed: {
    ...mistake,
    advice: "See to the key it names; nothing was started, and no key was changed."
  },
  NetworkNotRunning: { ...call, advice: "Start the network first." },
  AddressInvalid: { ...call, advice: "Write the address as host:port, IPv6 as [host]:port." },

  DialRefused: { ...transient, advice: "Start the node there, or correct the address; it is dialed again." },
  DialTimeout: { ...transient, advice: "Check the address and what filters traffic on the way; it is dialed again." },
  DialReset: { ...transient, advice: "None needed: it is dialed again." },
  DialUnreachable: { ...transient, advice: "Check the network between the two; it is dialed again." },
  AddressUnresolved: { ...transient, advice: "Check the name and the name service; it is dialed again." },
  DialQueueFull: { ...transient, advice: "Connect to fewer addresses at once, or raise dialConcurrency." },
  IdentityMismatch: { ...call, advice: "Use the id of the node that is there, or leave the id out." },

  MalformedFrame: { ...offence, advice: "See that the other end speaks this protocol; docs/PROTOCOL.md, section 1." },
  FrameTooLarge: { ...offence, advice: "Send less at once, or raise maxMessageBytes of the receiver." },
  InvalidMessage: {
    ...offence,
    closes: false,
    advice:
      "Correct the sender; docs/PROTOCOL.md, section 2. It closes only a connection in its handshake, unless it is one too many."
  },
  HandshakeRequired: { ...lost, advice: "See that the other end speaks this protocol; docs/PROTOCOL.md, section 3." },
  HandshakeTimeout: { ...lost, advice: "See that a node answers there and is not overloaded; it is dialed again." },
  VersionMismatch: { ...incompatible, advice: "Update the older of the two nodes." },
  NetworkMismatch: { ...incompatible, advice: "Give both nodes the same network, or remove the address." },
  Unauthorized: { ...incompatible, advice: "Check the keys and the lists of allowed and denied nodes at both ends." },
  TlsFailed: { ...incompatible, advice: "Set encryption to the same at both ends, and see that a node is there." },
  SelfConnection: {
    ...meant,
    advice: "None needed where the address is this node's own; else two nodes have one id: change one."
  },
  DuplicateConnection: { ...meant, level: "Debug", advice: "None needed: the other connection serves." },
  TooManyConnections: {
    ...lost,
    retry: "retryAfter",
    level: "Info",
    advice: "Raise maxPeers of the full node, or wait; it is dialed again."
  },
  Banned: {
    ...lost,
    retry: "retryAfter",
    wait: Duration.minutes(5),
    advice: "Find out what invalid messages were sent; the ban ends by itself."
  },
  RateLimited: { ...lost, closes: false, advice: "Send less, or raise rateLimit of the receiver." },
  Disconnected: { ...meant, advice: "None needed; connect again where the connection is wanted." },
  ShuttingDown: { ...meant, advice: "None needed: the node is taken up again when it comes back." },
  PeerFault: { ...lost, advice: "Look at the log of the other node; it is dialed again." },
  ConnectionLost: { ...lost, advice: "None needed: it is dialed again." },
  PeerSilent: { ...lost, advice: "See whether the other node hangs, or raise heartbeatTimeout; it is dialed again." },
  SlowConsumer: { ...lost, advice: "See why the other node does not read; it is dialed again." },

  PeerNotConnected: { ...call, level: "Debug", advice: "Connect to the peer first, or send with relay." },
  SendTimeout: { ...call, advice: "Send less to that peer, or raise sendTimeout or outboundQueue." },
  MessageTooLarge: { ...call, advice: "Send less at once, or raise maxMessageBytes at both ends." },
  PayloadInvalid: { ...call, advice: "Correct the payload: it must fit its schema and be a JSON object." },
  BatchFailed: { ...call, advice: "See the error inside; send the rest again from the first that was not taken." },
  RequestTimeout: { ...call, advice: "Ask again if the request may be done twice, or raise requestTimeout." },
  RequestLost: { ...call, advice: "Ask again; if it had been sent, only if it may be done twice." },
  RequestFailed: { ...call, level: "Info", advice: "Act on the failure that the peer's handler gave." },
  RequestBroke: { ...call, advice: "Look at the log of the peer: its handler broke." },
  ReplyInvalid: { ...call, advice: "Bring the schemas of both nodes together." },
  UnsupportedType: { ...call, advice: "Add a handler of that type at the peer." },
  NoRoute: { ...call, advice: "Connect to the recipient, or to a node that knows it." },
  HandlerExists: { ...mistake, advice: "Close the scope of the first handler, or listen beside it with messages." },
  IdConflict: {
    ...mistake,
    retry: "retryAfter",
    wait: Duration.seconds(30),
    advice: "Give each of the two nodes a node id of its own."
  }
} as const satisfies { readonly [Tag in NetworkError["_tag"]]: Policy }

/**
 * The policy of an error.
 *
 * @since 0.1.0
 * @category policies
 */
export const of = (error: { readonly _tag: NetworkError["_tag"] }): Policy => policies[error._tag]

/**
 * Whether the same dial may succeed later without anyone changing anything: it backs off, or waits as it was told.
 *
 * @since 0.1.0
 * @category guards
 */
export const isTransient = (error: { readonly _tag: NetworkError["_tag"] }): boolean => {
  const { retry } = of(error)
  return retry === "backoff" || retry === "retryAfter"
}

// --- Codes of the wire ---

/**
 * What an ERROR code of the wire means for the connection. `fatal`: `always`; in the `handshake` only; `never`; `either`,
 * as the message's own `fatal` says. `tag` is the error that stands for it where it is fatal or answers a request.
 *
 * @since 0.1.0
 * @category models
 */
export interface CodePolicy<Tag extends NetworkError["_tag"] = NetworkError["_tag"]> {
  readonly fatal: "always" | "handshake" | "never" | "either"
  readonly countsAsInvalid: boolean
  readonly tag: Tag
}

const code = <const Tag extends NetworkError["_tag"]>(fatal: CodePolicy["fatal"], tag: Tag): CodePolicy<Tag> => ({
  fatal,
  countsAsInvalid: policies[tag].countsAsInvalid,
  tag
})

type TagOf<Code extends ErrorCode> = Code extends ConnectionCode
  ? InstanceType<(typeof connectionErrors)[Code]>["_tag"]
  : "UnsupportedType" | "NoRoute" | "RequestFailed"

/**
 * Every ERROR code of docs/PROTOCOL.md, section 7. An `INTERNAL` that is not fatal answers a request, as `RequestBroke`.
 *
 * @since 0.1.0
 * @category policies
 */
export const codes = {
  MALFORMED_FRAME: code("always", "MalformedFrame"),
  FRAME_TOO_LARGE: code("always", "FrameTooLarge"),
  INVALID_MESSAGE: code("handshake", "InvalidMessage"),
  UNSUPPORTED_TYPE: code("never", "UnsupportedType"),
  NO_ROUTE: code("never", "NoRoute"),
  REQUEST_FAILED: code("never", "RequestFailed"),
  HANDSHAKE_REQUIRED: code("always", "HandshakeRequired"),
  HANDSHAKE_TIMEOUT: code("always", "HandshakeTimeout"),
  VERSION_MISMATCH: code("always", "VersionMismatch"),
  NETWORK_MISMATCH: code("always", "NetworkMismatch"),
  UNAUTHORIZED: code("always", "Unauthorized"),
  SELF_CONNECTION: code("always", "SelfConnection"),
  DUPLICATE_CONNECTION: code("always", "DuplicateConnection"),
  TOO_MANY_CONNECTIONS: code("always", "TooManyConnections"),
  BANNED: code("always", "Banned"),
  RATE_LIMITED: code("either", "RateLimited"),
  DISCONNECTED: code("always", "Disconnected"),
  SHUTTING_DOWN: code("always", "ShuttingDown"),
  INTERNAL: code("either", "PeerFault")
} as const satisfies { readonly [Code in ErrorCode]: CodePolicy<TagOf<Code>> }

/**
 * Whether it is a code that {@link codes} knows. One that it does not know is taken by the message's own `fatal`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isCode = (u: string): u is ErrorCode => Object.hasOwn(codes, u)

// --- Back-off ---

/**
 * How long an address that is not a bootstrap node's is dialed again after its first failure: 10 minutes. Bootstrap nodes
 * are dialed for ever.
 *
 * @since 0.1.0
 * @category policies
 */
export const giveUpAfter: Duration.Duration = Duration.minutes(10)

/**
 * The longest that another node can ask to be left alone: 1 hour. What it says beyond is its wish, not ours.
 *
 * @since 0.1.0
 * @category policies
 */
export const longestRetryAfter: Duration.Duration = Duration.hours(1)

/**
 * The bounds of back-off, the durations in milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Backoff {
  readonly retryBase: number
  readonly retryFactor: number
  readonly retryMax: number
}

/**
 * The bounds of back-off as the settings have them.
 *
 * @since 0.1.0
 * @category constructors
 */
export const backoff = (config: Pick<Settings, "retryBase" | "retryFactor" | "retryMax">): Backoff => ({
  retryBase: Duration.toMillis(config.retryBase),
  retryFactor: config.retryFactor,
  retryMax: Duration.toMillis(config.retryMax)
})

/**
 * Milliseconds until the next dial: `retryBase * retryFactor ^ attempt`, at most `retryMax`, times 0.8 to 1.2, never over
 * `retryMax`. `attempt` counts the failures before this one, from 0; `random` is from 0 up to 1.
 *
 * @since 0.1.0
 * @category policies
 */
export const backoffDelay = (settings: Backoff, attempt: number, random: number): number => {
  const full = Math.min(settings.retryMax, settings.retryBase * settings.retryFactor ** attempt)
  return Math.min(settings.retryMax, full * (0.8 + 0.4 * random))
}

/**
 * Milliseconds until the address may be dialed again after this error; undefined where it is not to be dialed because of
 * it. What the other end asks for is kept within `retryBase` and {@link longestRetryAfter}, so that it can neither call
 * for a storm of dials nor send a node away for good.
 *
 * @since 0.1.0
 * @category policies
 */
export const retryDelay = (
  settings: Backoff,
  error: { readonly _tag: NetworkError["_tag"]; readonly retryAfterMs?: number | undefined },
  attempt: number,
  random: number
): number | undefined => {
  if (!isTransient(error)) return undefined
  const { retry, wait } = of(error)
  const asked = retry === "retryAfter" ? (error.retryAfterMs ?? (wait && Duration.toMillis(wait))) : undefined
  return asked === undefined
    ? backoffDelay(settings, attempt, random)
    : Math.min(Duration.toMillis(longestRetryAfter), Math.max(settings.retryBase, asked))
}

/**
 * The same policy as a Schedule, for `Effect.retry` around a `connect`: retries transient errors by {@link retryDelay},
 * stops at any other, and before a wait that would end later than `total` after the first failure. Its output is the
 * wait in milliseconds. Time and randomness are Effect's Clock and Random.
 *
 * @example
 * ```ts
 * import { NetworkConfig, P2PNetwork, Policy } from "synapse-p2p"
 * import { Effect } from "effect"
 *
 * const program = Effect.gen(function* () {
 *   const network = yield* P2PNetwork.P2PNetwork
 *   const config = yield* NetworkConfig.NetworkConfig
 *   return yield* network.connect("10.0.0.6:9470").pipe(Effect.retry(Policy.retrySchedule(config)))
 * })
 * ```
 * @since 0.1.0
 * @category policies
 */
export const retrySchedule = (
  config: Pick<Settings, "retryBase" | "retryFactor" | "retryMax">,
  total: Duration.DurationInput = giveUpAfter
): Schedule.Schedule<number, NetworkError> => {
  const settings = backoff(config)
  const limit = Duration.toMillis(total)
  return Schedule.makeWithState({ attempt: 0, start: -1 }, (now, error: NetworkError, state) =>
    Effect.map(Random.next, (random) => {
      const start = state.attempt === 0 ? now : state.start
      const next = { attempt: state.attempt + 1, start }
      const delay = retryDelay(settings, error, state.attempt, random)
      return delay === undefined || now + delay > start + limit
        ? [next, delay ?? 0, ScheduleDecision.done]
        : [next, delay, ScheduleDecision.continueWith(ScheduleInterval.after(now + delay))]
    })
  )
}

// --- For the documentation ---

const again = ({ retry, wait }: Policy): string => {
  switch (retry) {
    case "backoff":
      return "after back-off"
    case "retryAfter":
      return `after \`retryAfterMs\`, else ${wait === undefined ? "back-off" : Duration.format(wait)}`
    case "healing":
      return "bootstrap nodes only, every `healingInterval`"
    case "never":
      return "no"
  }
}

const yesNo = (value: boolean): string => (value ? "yes" : "no")

/**
 * The table of policies in Markdown, a row for each error.
 *
 * @since 0.1.0
 * @category accessors
 */
export const toMarkdown = (): string =>
  [
    ["error", "dialed again", "closes", "counts as invalid", "shown as", "what to do"],
    ["---", "---", "---", "---", "---", "---"],
    ...Object.entries<Policy>(policies).map(([tag, policy]) => [
      `\`${tag}\``,
      again(policy),
      yesNo(policy.closes),
      yesNo(policy.countsAsInvalid),
      policy.level.toLowerCase(),
      policy.advice
    ])
  ]
    .map((cells) => `| ${cells.join(" | ")} |`)
    .join("\n")
