/**
 * The table of peers at the bottom of a terminal, drawn anew every second, with the log scrolling by above it.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import { Console as NodeConsole } from "node:console"
import { Writable } from "node:stream"
import { P2PNetwork } from "../P2PNetwork.js"
import * as PeerTable from "./PeerTable.js"
import type { Screen } from "./Screen.js"
import type { Terminal } from "./Stdio.js"

/**
 * Draws the table until the scope closes, and then takes it away.
 *
 * @since 0.1.0
 * @category constructors
 */
export const show = (screen: Screen, terminal: Terminal): Effect.Effect<void, never, P2PNetwork | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* P2PNetwork
    const draw = Effect.gen(function* () {
      const view = { status: yield* network.status, peers: yield* network.peers(), now: yield* Clock.currentTimeMillis }
      // A terminal scrolls when its last line is full or ended: one column and two lines stay free.
      screen.show(PeerTable.render(view, terminal.width() - 1, terminal.height() - 2))
    })
    yield* Effect.addFinalizer(() => Effect.sync(() => screen.show([])))
    yield* Effect.forkScoped(
      Effect.catchAllCause(Effect.repeat(draw, Schedule.spaced("1 second")), (cause) =>
        Effect.logError("the table of peers is not shown any more", cause)
      )
    )
  })

/**
 * Sends what the effect logs to `write`, above the lines that stay on the screen.
 *
 * @since 0.1.0
 * @category combinators
 */
export const withLogAbove =
  (screen: Screen, write: (text: string) => void) =>
  <A, E, R>(effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
    const out = new Writable({
      decodeStrings: false,
      write: (text: string, _, done) => {
        screen.above(() => write(text))
        done()
      }
    })
    const unsafe = new NodeConsole(out, out)
    return Console.consoleWith((console) => Effect.withConsole(effect, { ...console, unsafe }))
  }
