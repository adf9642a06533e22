import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Scope from "effect/Scope"
import { readdirSync, readFileSync } from "node:fs"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as MemoryTransport from "../../src/testing/MemoryTransport.js"
import * as TransportCompliance from "../../src/testing/TransportCompliance.js"
import { type Link, type LinkReceiver, Transport } from "../../src/Transport.js"

// --- Transports that break a promise ---

type Service = Transport["Type"]

/** The transport in memory with another face. */
const changed = (change: (transport: Service) => Partial<Service>): Layer.Layer<Transport> =>
  Layer.effect(
    Transport,
    Effect.map(Transport, (transport) => ({ ...transport, ...change(transport) }))
  ).pipe(Layer.provide(MemoryTransport.layer))

/** The same for its links, at both ends. */
const withLinks = (change: (link: Link) => Partial<Link>): Layer.Layer<Transport> => {
  const wrap = (link: Link): Link => ({
    remote: link.remote,
    local: link.local,
    attach: (receiver) => link.attach(receiver),
    write: (chunks, done) => link.write(chunks, done),
    pause: () => link.pause(),
    resume: () => link.resume(),
    end: () => link.end(),
    destroy: (cause) => link.destroy(cause),
    ...change(link)
  })
  return changed((transport) => ({
    listen: (address, onLink) => transport.listen(address, (link) => onLink(wrap(link))),
    dial: (address) => Effect.map(transport.dial(address), wrap)
  }))
}

/** The same for what their receivers are told. */
const withReceivers = (change: (receiver: LinkReceiver, link: Link) => Partial<LinkReceiver>): Layer.Layer<Transport> =>
  withLinks((link) => ({
    attach: (receiver) =>
      link.attach({
        onData: (chunk) => receiver.onData(chunk),
        onEnd: () => receiver.onEnd(),
        onClose: (cause) => receiver.onClose(cause),
        ...change(receiver, link)
      })
  }))

interface Fault {
  readonly what: string
  readonly layer: Layer.Layer<Transport>
  /** The group that finds it, and what is said. */
  readonly group: string
  readonly says: RegExp
}

const faults: ReadonlyArray<Fault> = [
  {
    what: "loses a byte",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => onData(chunk.length > 1_000 ? chunk.subarray(1) : chunk)
    })),
    group: "bytes",
    says: /promised: the bytes are those written|promised: the bytes written before are not lost\nseen: byte 0 is/
  },
  {
    what: "hands bytes over in another order",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => onData(chunk.toReversed())
    })),
    group: "bytes",
    says: /promised: the bytes are those written, in order\nseen: byte 0 is \d+ where 0 was written/
  },
  {
    what: "hands bytes over twice",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => {
        onData(chunk)
        onData(chunk)
      }
    })),
    group: "bytes",
    says: /seen: byte 3 is 0 where 21 was written/
  },
  {
    what: "uses the array again that it handed over",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => {
        onData(chunk)
        queueMicrotask(() => chunk.fill(0))
      }
    })),
    group: "bytes",
    says: /promised: the arrays handed over keep what they held/
  },
  {
    what: "reads the writer's array after the write is done",
    layer: withLinks((link) => ({
      write: (chunks, done) => {
        queueMicrotask(done)
        setImmediate(() => link.write(chunks, () => {}))
      }
    })),
    group: "bytes",
    says: /promised: the arrays handed over keep what they held[^]*byte 1 is 0/
  },
  {
    what: "loses what comes before a receiver is attached",
    layer: withLinks((link) => {
      let receiver: LinkReceiver | undefined
      link.attach({
        onData: (chunk) => receiver?.onData(chunk),
        onEnd: () => receiver?.onEnd(),
        onClose: (cause) => receiver?.onClose(cause)
      })
      return {
        attach: (given) => {
          receiver = given
        }
      }
    }),
    group: "bytes",
    says: /promised: the end arrives once a receiver is attached\nseen: nothing, after 2s/
  },
  {
    what: "never says that a write is done",
    layer: withLinks((link) => ({ write: (chunks) => link.write(chunks, () => {}) })),
    group: "bytes",
    says: /promised: done is called for every write\nseen: 0 of 10 and 0 of 10, after 2s/
  },
  {
    what: "says twice that a write is done",
    layer: withLinks((link) => ({
      write: (chunks, done) =>
        link.write(chunks, (cause) => {
          done(cause)
          done(cause)
        })
    })),
    group: "bytes",
    says: /promised: done is called once for each write\nseen: dialed link \d called it 2 times/
  },
  {
    what: "says that a write is done before it returns",
    layer: withLinks((link) => ({
      write: (chunks, done) => {
        link.write(chunks, () => {})
        done()
      }
    })),
    group: "bytes",
    says: /promised: nothing is called from within a call of the link's own methods\nseen: .* called done from within write/
  },
  {
    what: "says that writes are done in another order",
    layer: withLinks((link) => {
      const told: Array<() => void> = []
      return {
        write: (chunks, done) =>
          link.write(chunks, (cause) => {
            told.unshift(() => done(cause))
            setImmediate(() => told.shift()?.())
          })
      }
    }),
    group: "bytes",
    says: /promised: writes are done in turn\nseen: 9 8 7/
  },
  {
    what: "does not pause",
    layer: withLinks(() => ({ pause: () => {} })),
    group: "back-pressure",
    says: /promised: nothing is handed over while paused\nseen: data \(1,000 bytes\)/
  },
  {
    what: "hands on what came in small pieces though it is paused",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => {
        for (let from = 0; from < chunk.length; from += 1_000) onData(chunk.subarray(from, from + 1_000))
      }
    })),
    group: "back-pressure",
    says: /promised: a paused receiver gets one more chunk at most\nseen: \d\d came after pause/
  },
  {
    what: "takes all that is written, whether it is read or not",
    layer: withLinks((link) => ({
      write: (chunks, done) => {
        link.write(chunks, () => {})
        queueMicrotask(done)
      }
    })),
    group: "back-pressure",
    says: /promised: a writer is held up before 64 MiB are taken[^]*bytes were taken/
  },
  {
    what: "ends both directions at once",
    layer: withReceivers(({ onEnd }, link) => ({
      onEnd: () => {
        onEnd()
        link.end()
      }
    })),
    group: "ending",
    says: /promised: a write on an open link is done without a cause/
  },
  {
    what: "does not tell of the end",
    layer: withReceivers(() => ({ onEnd: () => {} })),
    group: "ending",
    says: /promised: the other end is told that no more is sent\nseen: data \(1,000 bytes\), after 2s/
  },
  {
    what: "takes what is written after the end",
    layer: withLinks((link) => ({
      write: (chunks, done) => link.write(chunks, () => done())
    })),
    group: "ending",
    says: /promised: a write after the end is done with a cause\nseen: no cause/
  },
  {
    what: "tells of the close before it has handed over all",
    layer: withReceivers(({ onClose, onEnd }, link) => ({
      onEnd: () => {
        onEnd()
        onClose()
        link.end()
      },
      onClose: () => {}
    })),
    group: "ending",
    says: /promised: an end that has ended|promised: a write on an open link|promised: a link that one end has ended stays open/
  },
  {
    what: "never tells of the close",
    layer: withReceivers(() => ({ onClose: () => {} })),
    group: "destroying",
    says: /promised: onClose is called on a link destroyed\nseen: nothing, after 2s/
  },
  {
    what: "tells of the close twice",
    layer: withReceivers(({ onClose }) => ({
      onClose: (cause) => {
        onClose(cause)
        onClose(cause)
      }
    })),
    group: "destroying",
    says: /promised: nothing is told after onClose, which is called once\nseen: .* called onClose after it/
  },
  {
    what: "hands over bytes after the close",
    layer: withReceivers(({ onClose, onData }) => ({
      onClose: (cause) => {
        onClose(cause)
        setImmediate(() => onData(new Uint8Array(1)))
      }
    })),
    group: "destroying",
    says: /promised: (nothing is told after onClose|no bytes come once the receiver has destroyed the link)/
  },
  {
    what: "tells of the close from within destroy",
    layer: withLinks((link) => {
      let receiver: LinkReceiver | undefined
      return {
        attach: (given) => {
          receiver = given
          link.attach({ ...given, onData: (chunk) => given.onData(chunk), onClose: () => {} })
        },
        destroy: (cause) => {
          link.destroy(cause)
          receiver?.onClose(cause)
          receiver = undefined
        }
      }
    }),
    group: "destroying",
    says: /promised: nothing is called from within a call[^]*called onClose from within destroy/
  },
  {
    what: "forgets the cause",
    layer: withLinks((link) => ({ destroy: () => link.destroy() })),
    group: "destroying",
    says: /promised: onClose is told the first cause given\nseen: undefined where the cause was to be/
  },
  {
    what: "throws where the link is gone",
    layer: withLinks((link) => {
      let isGone = false
      return {
        destroy: (cause) => {
          isGone = true
          link.destroy(cause)
        },
        write: (chunks, done) => {
          if (isGone) throw new Error("not open")
          link.write(chunks, done)
        }
      }
    }),
    group: "destroying",
    says: /promised: the methods of a link never throw\nseen: write of dialed link \d threw Error: not open/
  },
  {
    what: "keeps the other end in the dark",
    layer: withLinks((link) => {
      let receiver: LinkReceiver | undefined
      return {
        attach: (given) => {
          receiver = given
          link.attach(given)
        },
        destroy: (cause) => {
          link.pause()
          setImmediate(() => receiver?.onClose(cause))
        }
      }
    }),
    group: "destroying",
    says: /promised: the other end sees its link end or break\nseen: nothing, after 2s/
  },
  {
    what: "swallows what a receiver throws",
    layer: withReceivers(({ onData }) => ({
      onData: (chunk) => {
        try {
          onData(chunk)
        } catch {
          // Nobody is told.
        }
      }
    })),
    group: "receivers that throw",
    says: /promised: the link is destroyed, and onClose is told what was thrown/
  },
  {
    what: "lets a throw when a link is accepted take the others along",
    layer: changed((transport) => ({
      listen: (address, onLink) => {
        let isBroken = false
        return transport.listen(address, (link) => {
          if (isBroken) return link.destroy()
          try {
            onLink(link)
          } catch (cause) {
            isBroken = true
            throw cause
          }
        })
      }
    })),
    group: "receivers that throw",
    says: /promised: the next link is accepted\nseen: 1 links were, after 2s/
  },
  {
    what: "goes on accepting",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.map(transport.listen(address, onLink), (listener) => ({ ...listener, stopAccepting: Effect.void }))
    })),
    group: "listening",
    says: /promised: who dials after that is refused\nseen: the dial gave a link/
  },
  {
    what: "waits for the links when it stops accepting",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.map(transport.listen(address, onLink), (listener) => ({ ...listener, stopAccepting: Effect.never }))
    })),
    group: "listening",
    says: /promised: stopAccepting does not wait for the links there are\nseen: it did not happen, after 2s/
  },
  {
    what: "waits for the links when its scope closes, and cannot be interrupted",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.zipLeft(
          transport.listen(address, onLink),
          Effect.addFinalizer(() => Effect.never)
        )
    })),
    group: "listening",
    says: /promised: closing the scope of a listener returns\nseen: it did not happen, after 2s/
  },
  {
    what: "keeps links when the scope of their listener closes",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.flatMap(Scope.make(), (scope) => Scope.extend(transport.listen(address, onLink), scope)).pipe(
          Effect.tap((listener) => Effect.addFinalizer(() => listener.stopAccepting))
        )
    })),
    group: "listening",
    says: /promised: the links accepted are destroyed\nseen: nothing; nothing; nothing, after 2s/
  },
  {
    what: "gives the port that was asked for, 0",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.map(transport.listen(address, onLink), (listener) => ({ ...listener, address }))
    })),
    group: "addresses",
    says: /promised: the port is the real one\nseen: 0|seen: DialRefused/
  },
  {
    what: "gives an address twice",
    layer: changed((transport) => ({
      listen: (address, onLink) =>
        Effect.catchAll(transport.listen(address, onLink), () =>
          Effect.succeed({ address, stopAccepting: Effect.void })
        )
    })),
    group: "addresses",
    says: /promised: listening at an address in use fails with ListenFailed, AddressInUse\nseen: it was given twice/
  },
  {
    what: "lets a dial that nobody answers wait for ever",
    layer: changed((transport) => ({
      dial: (address) => Effect.uninterruptible(Effect.orElse(transport.dial(address), () => Effect.never))
    })),
    group: "addresses",
    says: /promised: a dial succeeds or fails\nseen: the dial to .* did neither, after 2s/
  },
  {
    what: "leaves a link behind where the dial was interrupted",
    layer: changed((transport) => ({
      dial: (address) => Effect.flatMap(Effect.forkDaemon(transport.dial(address)), Fiber.join)
    })),
    group: "dialing",
    says: /promised: only links that a dial gave stay open at the listener\nseen: \d+ are open where \d+ dials succeeded/
  },
  {
    what: "loses the tail of long writes",
    layer: withReceivers(({ onData }) => ({ onData: (chunk) => onData(chunk.subarray(0, 60_000)) })),
    group: "messages",
    // The connection breaks, before the last message is taken or after it.
    says: /seen: (BatchFailed: \d+ messages were taken, then: node-b is not connected|\d+ of 300 came, after 2s)/
  },
  {
    what: "keeps nodes in the dark about links that broke",
    layer: withReceivers(({ onClose }) => ({
      onClose: (cause) => {
        if (!(cause instanceof Error)) onClose(cause)
      }
    })),
    group: "nodes part",
    says: /promised: node-. is dead to node-.\nseen: connected, after 2s/
  }
]

/** What is said of each case that fails. */
const failuresOf = (
  layer: Layer.Layer<Transport>,
  options: TransportCompliance.Options,
  picked: (one: TransportCompliance.Case) => boolean
) =>
  Effect.forEach(
    TransportCompliance.cases(options).filter(picked),
    ({ run }) => Effect.either(Effect.provide(run, layer)),
    { concurrency: "unbounded" }
  ).pipe(Effect.map((results) => results.filter(Either.isLeft).map(({ left }) => left)))

describe("TransportCompliance", { concurrent: true }, () => {
  for (const { group, layer, says, what } of faults) {
    it.live(`catches a transport that ${what}`, () =>
      Effect.gen(function* () {
        const failures = yield* failuresOf(layer, { limit: "2 seconds" }, (one) => one.group === group)
        const messages = failures.map(({ message }) => message)
        assert.isTrue(
          messages.some((message) => says.test(message)),
          `${says} in:\n${messages.join("\n")}`
        )
        for (const failure of failures) {
          assert.strictEqual(failure._tag, "ComplianceFailure")
          assert.isTrue(failure.promised !== "" && failure.seen !== "" && failure.group === group, failure.message)
        }
      })
    )
  }

  it.live("says who promised what, and what was seen instead", () =>
    Effect.gen(function* () {
      const [failure] = yield* failuresOf(
        changed((transport) => ({
          resolve: (address) => Effect.map(transport.resolve(address), (found) => [...found, ...found])
        })),
        {},
        ({ group }) => group === "addresses"
      )
      assert.deepInclude(failure, {
        _tag: "ComplianceFailure",
        group: "addresses",
        case: "the host that is listened at resolves to itself"
      })
      assert.strictEqual(
        failure?.message,
        "promised: the address stands for itself\n" +
          "seen: 127.0.0.1:0, 127.0.0.1:0 where 127.0.0.1:0 was to be\n" +
          "(addresses: the host that is listened at resolves to itself)"
      )
    })
  )

  it.live("tells of what else goes wrong on the way, defects included", () =>
    Effect.gen(function* () {
      const fault = new Error("out of order")
      const broken = changed(() => ({ resolve: () => Effect.die(fault) }))
      const [failure] = yield* failuresOf(broken, {}, ({ group }) => group === "addresses")
      assert.deepInclude(failure, { seen: "Error: out of order", cause: fault })
    })
  )

  it.live("can be interrupted, as whoever runs it likes", () =>
    Effect.gen(function* () {
      const first = TransportCompliance.cases().find(({ group }) => group === "back-pressure")
      const fiber = yield* Effect.fork(Effect.provide(first?.run ?? Effect.void, MemoryTransport.layer))
      yield* Effect.sleep("5 millis")
      assert.isTrue(Exit.isInterrupted(yield* Fiber.interrupt(fiber)))
    })
  )

  it.live("tries links and nodes side by side over one transport, and leaves nothing on it", () =>
    Effect.gen(function* () {
      const listeners = new Set<object>()
      const counting = changed((transport) => ({
        listen: (address, onLink) =>
          Effect.tap(transport.listen(address, onLink), (listener) => {
            listeners.add(listener)
            return Effect.addFinalizer(() => Effect.sync(() => listeners.delete(listener)))
          })
      }))
      const transport = yield* Effect.provide(Transport, counting)
      const all = TransportCompliance.cases()
      const failures = yield* failuresOf(Layer.succeed(Transport, transport), {}, () => true)
      assert.deepStrictEqual(failures, [])
      assert.strictEqual(listeners.size, 0)
      assert.deepStrictEqual([...new Set(all.map(({ level }) => level))], ["link", "nodes"])
      assert.strictEqual(new Set(all.map(({ group, name }) => `${group}: ${name}`)).size, all.length)
    })
  )

  it("leaves out the address that answers nothing where there is none", () => {
    const silentAddress = PeerAddress.make("memory-9", 9_470)
    assert.strictEqual(TransportCompliance.cases({ silentAddress }).length, TransportCompliance.cases().length + 1)
  })

  it.live("does not take a dial that fails at once for one that waits", () =>
    Effect.gen(function* () {
      const silentAddress = PeerAddress.make("memory-9", 9_470)
      const failures = yield* failuresOf(MemoryTransport.layer, { silentAddress }, ({ group }) => group === "dialing")
      assert.strictEqual(failures.length, 1)
      assert.strictEqual(failures[0]?.promised, "the dial waits for an answer")
      assert.include(failures[0]?.seen, "DialRefused")
    })
  )

  it("needs no test runner and nothing of Node", () => {
    const folder = "src/testing/compliance"
    const files = ["src/testing/TransportCompliance.ts", ...readdirSync(folder).map((name) => `${folder}/${name}`)]
    for (const file of files) {
      for (const [, module = ""] of readFileSync(file, "utf8").matchAll(/^(?:import|export) .*from "(.*)"$/gm)) {
        assert.match(module, /^(effect\/|\.{1,2}\/)/, file)
      }
    }
  })
})
