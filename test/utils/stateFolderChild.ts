/**
 * A process that takes a state folder and says so, to be killed. `hold`: until its standard input ends. `write`: keeps one
 * list of peers after the other.
 */
import * as Effect from "effect/Effect"
import type { RememberedPeer } from "../../src/internal/RememberedPeers.js"
import * as NodeId from "../../src/NodeId.js"
import { open } from "./stateFolder.js"

const [, , mode, path] = process.argv

const peersOf = (count: number): ReadonlyArray<RememberedPeer> =>
  Array.from({ length: count }, (_, index) => ({
    id: NodeId.make(`node-${index}`),
    addresses: [{ host: "127.0.0.1", port: 1 + index }],
    lastSeen: "2026-01-01T00:00:00.000Z"
  }))

const say = (line: string): Effect.Effect<void> =>
  Effect.async((resume) => {
    process.stdout.write(`${line}\n`, () => resume(Effect.void))
  })

const stdinEnd = Effect.async<void>((resume) => {
  process.stdin.on("end", () => resume(Effect.void)).resume()
})

const program = Effect.gen(function* () {
  const folder = yield* open(path ?? "")
  if (mode === "write") yield* folder.keep(peersOf(1))
  yield* say(`held ${folder.nodeId}`)
  if (mode === "hold") return yield* stdinEnd
  for (let round = 0; ; round++) yield* folder.keep(peersOf((round * 37) % 400))
}).pipe(
  Effect.scoped,
  Effect.catchAll((error) => say(`${error._tag} ${error.reason} ${"pid" in error ? error.pid : ""}`))
)

void Effect.runPromise(program).then(() => process.stdin.destroy())
