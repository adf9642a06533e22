import { describe, it } from "@effect/vitest"
import { sparse } from "../support/Profile.js"
import { holds, timeLimit } from "../support/properties.js"

describe("Under random plans of faults", () => {
  it.live("a sparse network, over relays, keeps its promises", () => holds(sparse), timeLimit)
})
