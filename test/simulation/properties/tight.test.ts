import { describe, it } from "@effect/vitest"
import { tight } from "../support/Profile.js"
import { holds, timeLimit } from "../support/properties.js"

describe("Under random plans of faults", () => {
  it.live("narrow links with small queues keep their promises", () => holds(tight), timeLimit)
})
