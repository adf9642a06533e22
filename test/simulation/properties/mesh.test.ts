import { describe, it } from "@effect/vitest"
import { mesh } from "../support/Profile.js"
import { holds, timeLimit } from "../support/properties.js"

describe("Under random plans of faults", () => {
  it.live("a full mesh keeps its promises", () => holds(mesh), timeLimit)
})
