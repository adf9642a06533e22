/** What a system and a workload are. */

export type Payload = { readonly text: string }

/** The next message to send; undefined: that was all. */
export type Next = () => Payload | undefined

/** One connection, seen from the end that dialed. */
export interface Peer {
  /** Sends one message after the other, each as the system's users do it, as fast as the system takes them. */
  readonly stream: (next: Next) => Promise<void>
  readonly request: (payload: Payload) => Promise<Payload>
  /** Keeps `concurrency` requests in flight until `next` gives no more; `onAnswer` is told how long each took, in ms. */
  readonly requests: (next: Next, concurrency: number, onAnswer: (ms: number) => void) => Promise<void>
  /** The same for requests that the node at the other end passes on to the one of that id. */
  readonly requestsTo?: (
    id: string
  ) => (next: Next, concurrency: number, onAnswer: (ms: number) => void) => Promise<void>
  /** Resolves when the other end, too, counts it as closed, as far as the system tells. */
  readonly close: () => Promise<void>
}

/** One node. */
export interface Endpoint {
  /** Where others connect to; of a node that listens. */
  readonly address?: string | undefined
  /** Connected, shaken hands, ready to send. */
  readonly connect: (address: string) => Promise<Peer>
  /** Sends each message to all that are connected, as fast as the system takes them. */
  readonly broadcast?: (next: Next) => Promise<void>
  /** How many nodes this one knows to be connected. */
  readonly connected?: () => number | Promise<number>
  /** What others address it by, where messages may be passed on. */
  readonly id?: string
  /** The round-trip times that the system itself has measured by its heartbeats with its peer so far, in ms. */
  readonly roundTrip?: () => Promise<{ readonly lastMs: number; readonly p99Ms: number } | undefined>
  /** Bytes sent so far. */
  readonly bytesSent?: () => number | Promise<number>
  readonly close: () => Promise<void>
}

export interface StartOptions {
  /** Whether others connect to this node. */
  readonly listen?: boolean
  /** Connections to be ready for. */
  readonly peers?: number
  readonly onMessage?: (payload: Payload) => void
  readonly onRequest?: (payload: Payload) => Payload
  /** Only the other end is measured: whatever speaks the protocol will do, and may share what is costly. */
  readonly light?: boolean
  /** Time between two heartbeats in ms, where the system has such. */
  readonly heartbeat?: number
  /** Addresses to begin with, and finding others from there, up to `target`. */
  readonly bootstrap?: ReadonlyArray<string>
  readonly target?: number
}

/** One file in systems/. */
export interface System {
  readonly name: string
  readonly about: string
  /** Packages of bench/package.json whose versions the results name. */
  readonly packages: ReadonlyArray<string>
  /** What is sent is encrypted, and the ends know whom they talk to. */
  readonly encrypted?: boolean
  /** The least major version of Node that it runs on. */
  readonly node?: number
  /** Measured only where it is asked for by name. */
  readonly onDemand?: boolean
  /** Connections made where others make 1,000: the time is counted in proportion, and the table says so. */
  readonly connects?: number
  /** The workloads in which it differs from another system. */
  readonly only?: ReadonlyArray<string>
  /** Workloads it cannot do, and why not. */
  readonly lacks?: Readonly<Record<string, string>>
  readonly start: (options: StartOptions) => Promise<Endpoint>
}

/**
 * What crosses between processes: each workload knows what its own sides say.
 */
// oxlint-disable-next-line typescript/no-explicit-any
type Answer = any

/** A process of its own, in which one side of a workload runs. */
export interface Side {
  readonly call: (op: string, args?: unknown, timeoutMs?: number) => Promise<Answer>
  /** Processor time so far, user and system, in microseconds. */
  readonly cpu: () => Promise<number>
  /** After a full collection, in bytes; resident without what V8 has taken for objects to come. */
  readonly memory: () => Promise<{ readonly rss: number; readonly heap: number }>
  readonly stop: () => Promise<void>
}

export interface Run {
  /** Starts a process for that side of the workload. */
  readonly start: (side: string, args?: unknown) => Promise<Side>
  readonly system: System
  /** Where on the curve, in a workload that has points. */
  readonly point: number
  /** How long a round measures, in seconds. */
  readonly seconds: number
  readonly quick: boolean
  /** A line for the foot of the table. */
  readonly note: (text: string) => void
}

/**
 * `ratio` is to what that system (`raw` where none is named) has in the same round, on the same Node; `value` as it is. The
 * bar is met from there on, in the metric's better direction.
 */
export type Bar = { readonly ratio: number; readonly to?: string } | { readonly value: number }

export interface Metric {
  readonly key: string
  readonly title: string
  readonly better: "higher" | "lower"
  /** By the system's name. */
  readonly bars?: Readonly<Record<string, Bar>>
  /** Shown without a ratio to raw. */
  readonly absolute?: boolean
}

export type Values = Readonly<Record<string, number>>

/** One in workloads/. Its sides run in processes of their own, the rest in the one that runs it all. */
export interface Workload<State = Answer> {
  readonly name: string
  readonly title: string
  readonly about: string
  /** The first is the one that `spread` is about. */
  readonly metrics: ReadonlyArray<Metric>
  /** The systems measured, where not all. */
  readonly systems?: ReadonlyArray<string>
  readonly rounds?: number
  readonly seconds?: number
  /** Seconds of the round before those that count, in which what runs often is compiled; 0: there is none. Default: 1.5. */
  readonly warmup?: number
  /**
   * Seconds of a round before each that counts, for all systems alike: while the others have their turn a process cools
   * down, its memory is given back and the caches are used by others. Default: 0, there is none.
   */
  readonly leadIn?: number
  /** What it takes on a quiet machine, in seconds, by and large: to say so beforehand. */
  readonly takes?: {
    /** Setting up a row. Default: 0.4. */
    readonly setup?: number
    /** A round, beside `seconds`. Default: 0.1. */
    readonly beside?: number
  }
  /** Open files that one process needs. */
  readonly files?: number
  readonly setup: (run: Run) => Promise<State>
  readonly round: (run: Run, state: State) => Promise<Values>
  /** Points of a curve: measured and shown as rows of their own. */
  readonly points?: ReadonlyArray<number>
  readonly pointTitle?: string
  /** Bars that are about the whole curve. */
  readonly verdicts?: (rows: ReadonlyArray<Row>) => ReadonlyArray<Verdict>
  readonly sides: Readonly<
    Record<string, (system: System, args: Answer) => Promise<Readonly<Record<string, (args: Answer) => unknown>>>>
  >
}

/** Whether a bar is met. */
export interface Verdict {
  /** Of which row. */
  readonly row: string
  readonly title: string
  readonly value: string
  readonly bar: string
  readonly met: boolean
}

/** What was measured of one system. */
export interface Row {
  readonly system: System
  readonly node: number
  readonly point: number | undefined
  /** Whether the bars are asked of it: on the Node that runs the bench, not where others need a newer one. */
  readonly bars: boolean
  readonly rounds: Array<Values>
  failure?: string
}
