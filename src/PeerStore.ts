/**
 * Where a node keeps whom it knows beyond one run, and what it does with it: those kept are given to the book for
 * discovery to dial, and whom the book knows is kept. `synapse-p2p/node` keeps them in a folder; a test keeps them where
 * it likes.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Schedule from "effect/Schedule"
import * as RememberedPeers from "./internal/RememberedPeers.js"
import { sample } from "./internal/sample.js"
import { LocalNode } from "./LocalNode.js"
import { NetworkConfig } from "./NetworkConfig.js"
import type { PeerEntry } from "./Payloads.js"
import type { State } from "./PeerBook.js"
import { PeerBook } from "./PeerBook.js"

/**
 * The place where nodes are kept.
 *
 * @since 0.1.0
 * @category tags
 */
export class PeerStore extends Context.Tag("synapse-p2p/PeerStore")<
  PeerStore,
  {
    /** The nodes of this network that were kept, those seen last first. */
    readonly remembered: ReadonlyArray<Required<PeerEntry>>
    /** Keeps these nodes instead: whether that went well. */
    readonly keep: (peers: ReadonlyArray<Required<PeerEntry>>) => Effect.Effect<boolean>
  }
>() {}

/** How often the book is looked at for something to keep. */
const keepEvery = "1 second"

/**
 * Gives the nodes that were kept to the book, for discovery to dial; every `healingInterval` others of them, for as long
 * as the layer lives. Keeps whom the book knows: within a second of a change, and at the end.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerKeeping: Layer.Layer<never, never, PeerStore | PeerBook | LocalNode | NetworkConfig> =
  Layer.scopedDiscard(
    Effect.gen(function* () {
      const { healingInterval, maxHints } = yield* NetworkConfig
      const { deadlines, id, random } = yield* LocalNode
      const store = yield* PeerStore
      const book = yield* PeerBook
      let known = store.remembered
      let keptOf: State["peers"] | undefined = book.get().peers
      let keptAs = RememberedPeers.fingerprint(known)

      const remind = (peers: typeof known): void =>
        book.update((state) => RememberedPeers.remind(state, peers, id, deadlines.now(), maxHints))

      /** Keeps the nodes known now, where they are not those that are kept; `always`: also for when they were seen. */
      const keep = (always: boolean): Effect.Effect<void> =>
        Effect.suspend(() => {
          const { peers } = book.get()
          known = RememberedPeers.collect(book.get(), known, id, deadlines.wallNow())
          const current = RememberedPeers.fingerprint(known)
          const isKept = current === keptAs && !(always && known.length > 0)
          return Effect.map(isKept ? Effect.succeed(true) : store.keep(known), (isDone) => {
            // Else it is tried again.
            keptOf = isDone ? peers : undefined
            if (isDone) keptAs = current
          })
        })

      remind(known)
      yield* Effect.addFinalizer(() => keep(true))
      yield* Effect.suspend(() => (book.get().peers === keptOf ? Effect.void : keep(false))).pipe(
        Effect.schedule(Schedule.spaced(keepEvery)),
        Effect.interruptible,
        Effect.forkScoped
      )
      yield* Effect.sync(() => remind(sample(known, known.length, random))).pipe(
        Effect.schedule(Schedule.spaced(healingInterval)),
        Effect.interruptible,
        Effect.forkScoped
      )
    })
  )
