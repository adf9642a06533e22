/** Whether something grows faster than what it grows with. */
import { median } from "./stats.mjs"

/** Room for what was measured by chance: cost ~ n^1.15 at most. */
const slack = 1.15

/** The slope of a line through the points, both axes logarithmic. */
const slope = (points) => {
  const logs = points.map(([x, y]) => [Math.log(x), Math.log(y)])
  const mean = (axis) => logs.reduce((sum, point) => sum + point[axis], 0) / logs.length
  const [x, y] = [mean(0), mean(1)]
  return (
    logs.reduce((sum, point) => sum + (point[0] - x) * (point[1] - y), 0) /
    logs.reduce((sum, point) => sum + (point[0] - x) ** 2, 0)
  )
}

/**
 * Whether it grows worse than linear, for each system and cost: the power of n by which the whole cost grows, from `from`
 * on. `whole(value, n)` is the cost at a point.
 *
 * @returns {ReadonlyArray<import("./types.js").Verdict>}
 */
export const growth = (rows, costs, from) => {
  const systems = [...new Set(rows.map(({ system }) => system.name))]
  return systems.flatMap((name) =>
    costs.flatMap(({ key, title, whole }) => {
      const points = rows
        .filter(({ failure, point, system }) => system.name === name && point >= from && failure === undefined)
        .map(({ point, rounds }) => [point, whole(median(rounds.map((values) => values[key])), point)])
      if (points.length < 3) return []
      const power = slope(points)
      return [
        {
          row: name,
          title: `${title}, from ${from} on`,
          value: `n^${power.toFixed(2)}`,
          bar: `not worse than linear (≤ n^${slack})`,
          met: power <= slack
        }
      ]
    })
  )
}
