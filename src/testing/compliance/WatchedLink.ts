/**
 * A link with a witness: every call of its methods and of its receiver is held to the rules that `Transport` gives for
 * both, whatever else a case tries.
 */
import type { PeerAddress } from "../../PeerAddress.js"
import type { Link, LinkReceiver } from "../../Transport.js"
import { show } from "./Sample.js"

/** Told when a rule is broken: what was promised, and what was seen. */
export type Accuse = (promised: string, seen: string) => void

/** What a link told its receiver. */
export class Heard {
  readonly chunks: Array<Uint8Array> = []
  readonly events: Array<"data" | "end" | "close"> = []
  bytes = 0
  cause: unknown = undefined

  get isEnded(): boolean {
    return this.events.includes("end")
  }

  get isClosed(): boolean {
    return this.events.includes("close")
  }

  /** What happened, bytes that came in several pieces counted as one. */
  get course(): string {
    return this.events.filter((event, index) => event !== "data" || this.events[index - 1] !== "data").join(", ")
  }

  toString(): string {
    const bytes = this.bytes === 0 ? "" : ` (${show(this.bytes)} bytes)`
    const cause = this.cause === undefined ? "" : ` for the cause "${show(this.cause)}"`
    return this.events.length === 0 ? "nothing" : `${this.course}${bytes}${cause}`
  }
}

/** Counts what it is told by a link that it wraps. */
export class WatchedLink implements Link {
  readonly remote: PeerAddress
  readonly local: PeerAddress
  /** Undefined until a receiver is attached. */
  heard: Heard | undefined = undefined
  /** Writes whose `done` is still to come. */
  waiting = 0
  private readonly link: Link
  private readonly name: string
  private readonly accuse: Accuse
  /** The method of the link that is being called. */
  private inMethod: string | undefined = undefined
  /** The method of the receiver that is being called. */
  private inReceiver: string | undefined = undefined
  private isDestroyed = false

  constructor(link: Link, name: string, accuse: Accuse) {
    this.link = link
    this.name = name
    this.accuse = accuse
    this.remote = link.remote
    this.local = link.local
  }

  /** Attaches a receiver that takes down what it is told, and then calls the one given. */
  record(receiver: Partial<LinkReceiver> = {}): Heard {
    const heard = new Heard()
    this.heard = heard
    this.call("attach", () =>
      this.link.attach({
        onData: (chunk) => {
          if (heard.isEnded) this.accuse("no bytes come after onEnd", `${this.name} got ${chunk.length} bytes more`)
          if (this.isDestroyed) {
            this.accuse(
              "no bytes come once the receiver has destroyed the link",
              `${this.name} got ${chunk.length} bytes`
            )
          }
          heard.chunks.push(chunk)
          heard.bytes += chunk.length
          this.tell("data", () => receiver.onData?.(chunk))
        },
        onEnd: () => {
          if (heard.isEnded) this.accuse("onEnd is called once", `${this.name} was told of a second end`)
          this.tell("end", () => receiver.onEnd?.())
        },
        onClose: (cause) => {
          heard.cause = cause
          this.tell("close", () => receiver.onClose?.(cause))
        }
      })
    )
    return heard
  }

  attach(receiver: LinkReceiver): void {
    this.record(receiver)
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    let calls = 0
    this.waiting++
    this.call("write", () =>
      this.link.write(chunks, (cause) => {
        if (calls++ > 0) {
          this.accuse("done is called once for each write", `${this.name} called it ${calls} times`)
          return
        }
        this.waiting--
        this.checkCaller("done")
        done(cause)
      })
    )
  }

  pause(): void {
    this.call("pause", () => this.link.pause())
  }

  resume(): void {
    this.call("resume", () => this.link.resume())
  }

  end(): void {
    this.call("end", () => this.link.end())
  }

  destroy(cause?: unknown): void {
    this.isDestroyed = true
    this.call("destroy", () => (cause === undefined ? this.link.destroy() : this.link.destroy(cause)))
  }

  private call(method: string, run: () => void): void {
    const outer = this.inMethod
    this.inMethod = method
    try {
      run()
    } catch (thrown) {
      this.accuse("the methods of a link never throw", `${method} of ${this.name} threw ${show(thrown)}`)
    } finally {
      this.inMethod = outer
    }
  }

  private tell(event: "data" | "end" | "close", run: () => void): void {
    const { heard } = this
    const method = { data: "onData", end: "onEnd", close: "onClose" }[event]
    this.checkCaller(method)
    if (this.inReceiver !== undefined) {
      this.accuse(
        "the methods of a receiver are called one at a time",
        `${this.name} called ${method} while ${this.inReceiver} was still running`
      )
    }
    if (heard?.isClosed === true) {
      this.accuse("nothing is told after onClose, which is called once", `${this.name} called ${method} after it`)
    }
    heard?.events.push(event)
    const outer = this.inReceiver
    this.inReceiver = method
    try {
      run()
    } finally {
      this.inReceiver = outer
    }
  }

  private checkCaller(callback: string): void {
    if (this.inMethod === undefined) return
    this.accuse(
      "nothing is called from within a call of the link's own methods",
      `${this.name} called ${callback} from within ${this.inMethod}`
    )
  }
}
