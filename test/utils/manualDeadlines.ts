import type { Deadlines } from "../../src/internal/Deadlines.js"

/** A timer whose time is in the test's hands. */
export const manualDeadlines = () => {
  let now = 0
  const entries = new Set<{ readonly at: number; readonly fire: () => void }>()
  const deadlines: Deadlines = {
    now: () => now,
    wallNow: () => now,
    after: (millis, fire) => {
      const entry = { at: now + millis, fire }
      entries.add(entry)
      return () => {
        entries.delete(entry)
      }
    },
    get size() {
      return entries.size
    }
  }
  const advance = (millis: number): void => {
    const end = now + millis
    for (;;) {
      const [next] = [...entries].filter(({ at }) => at <= end).sort((a, b) => a.at - b.at)
      if (next === undefined) break
      now = next.at
      entries.delete(next)
      next.fire()
    }
    now = end
  }
  return { deadlines, advance }
}
