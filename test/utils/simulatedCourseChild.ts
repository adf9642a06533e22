/** Prints the hash of the course with the seed given, after so many fibers and random hashes. */
import * as Effect from "effect/Effect"
import * as Hash from "effect/Hash"
import { simulate } from "./simulated.js"
import { course } from "./simulatedCourse.js"

const [seed = "1", before = "0"] = process.argv.slice(2)

const program = Effect.gen(function* () {
  for (let count = 0; count < Number(before); count++) {
    Hash.random({})
    yield* Effect.fork(Effect.void)
  }
  return yield* simulate(course, { seed: Number(seed), cut: true, jitter: "30 millis" })
})

process.stdout.write(`${await Effect.runPromise(program)}\n`)
