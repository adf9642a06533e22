/** A transport between a node and the one under test, through which a case sees the node's links and breaks them. */
import * as Effect from "effect/Effect"
import type { Link, Transport } from "../../Transport.js"

/** The links of one node. */
export interface Tap {
  readonly transport: Transport["Type"]
  /** Links so far. */
  readonly opened: () => number
  /** Links that are not over. */
  readonly open: () => number
  /** Destroys all links there are, without a word. */
  readonly cut: () => void
  /** From now on nothing that comes in reaches the node: to it, the others are silent. */
  readonly deafen: () => void
}

export const make = (transport: Transport["Type"]): Tap => {
  const links = new Set<Link>()
  let opened = 0
  let isDeaf = false

  const tapped = (link: Link): Link => {
    let isAttached = false
    opened++
    links.add(link)
    return {
      remote: link.remote,
      local: link.local,
      attach: (receiver) => {
        isAttached = true
        link.attach({
          onData: (chunk) => {
            if (!isDeaf) receiver.onData(chunk)
          },
          onEnd: () => receiver.onEnd(),
          onClose: (cause) => {
            links.delete(link)
            receiver.onClose(cause)
          }
        })
      },
      write: (chunks, done) => link.write(chunks, done),
      pause: () => link.pause(),
      resume: () => link.resume(),
      end: () => link.end(),
      destroy: (cause) => {
        // Nobody is told of the close of a link without a receiver.
        if (!isAttached) links.delete(link)
        link.destroy(cause)
      }
    }
  }

  return {
    transport: {
      listen: (address, onLink) => transport.listen(address, (link) => onLink(tapped(link))),
      dial: (address) => Effect.map(transport.dial(address), tapped),
      resolve: transport.resolve
    },
    opened: () => opened,
    open: () => links.size,
    cut: () => {
      for (const link of links) link.destroy(new Error("cut"))
    },
    deafen: () => {
      isDeaf = true
    }
  }
}
