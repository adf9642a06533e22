/** What goes over the links of simulated nodes, seen from outside: ids written whole, and when a host was last heard. */
import * as Effect from "effect/Effect"
import * as Frame from "../../../src/Frame.js"
import type { Link, Transport } from "../../../src/Transport.js"

const text = new TextDecoder()

export class Wire {
  /** Ids of application messages that were handed whole to the system, by the host that they went to. */
  readonly written = new Set<string>()
  /** Milliseconds; by the host that heard, and the one it heard. */
  private readonly heard = new Map<string, number>()
  now: () => number = () => 0

  lastHeard(by: string, from: string): number {
    return this.heard.get(`${by}<${from}`) ?? 0
  }

  readonly transport = (host: string, transport: Transport["Type"]): Transport["Type"] => ({
    ...transport,
    listen: (address, onLink) => transport.listen(address, (link) => onLink(this.tap(host, link))),
    dial: (address) => Effect.map(transport.dial(address), (link) => this.tap(host, link))
  })

  private tap(host: string, link: Link): Link {
    const decoder = new Frame.Decoder(2 ** 24)
    const other = link.remote.host
    const hear = (): void => {
      this.heard.set(`${host}<${other}`, this.now())
    }
    hear()
    return {
      remote: link.remote,
      local: link.local,
      attach: (receiver) =>
        link.attach({
          onData: (chunk) => {
            hear()
            receiver.onData(chunk)
          },
          onEnd: () => receiver.onEnd(),
          onClose: (cause) => receiver.onClose(cause)
        }),
      write: (chunks, done) => {
        for (const chunk of chunks) {
          decoder.push(chunk)
          for (let body = decoder.next(); body !== undefined && !Frame.isFault(body); body = decoder.next()) {
            this.note(other, body)
          }
        }
        link.write(chunks, done)
      },
      pause: () => link.pause(),
      resume: () => link.resume(),
      end: () => link.end(),
      destroy: (cause) => link.destroy(cause)
    }
  }

  private note(to: string, body: Uint8Array): void {
    // The head is enough to tell the protocol's own types from an application's.
    const { id, type } = JSON.parse(text.decode(body)) as { readonly type: string; readonly id: string }
    if (type === "DIRECT" || type === "NEWS") this.written.add(`${id}>${to}`)
  }
}
