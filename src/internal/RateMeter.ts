/**
 * How fast a running total grows: messages or bytes a second. Mutable, synchronous, bounded; time and totals come from
 * the caller, at whatever moments suit it.
 *
 * @since 0.1.0
 */

interface Point {
  readonly at: number
  readonly total: number
}

/** Samples that come closer than this share of the window are thinned out. */
const pointsPerWindow = 10

/**
 * The rate of a total over a sliding window, by default the last 10 seconds before the latest sample. Between two
 * samples the total is taken to have grown evenly, so the gaps may be of any length. At most about twice ten samples are
 * kept.
 *
 * @since 0.1.0
 * @category models
 */
export class RateMeter {
  private readonly windowMillis: number
  private points: Array<Point> = []

  constructor(windowMillis = 10_000) {
    this.windowMillis = windowMillis
  }

  /**
   * Tells that the total is `total` at `nowMillis` (monotonic). Of two samples at one time the later counts, one from
   * before the latest is ignored, and a total that has shrunk begins anew.
   */
  sample(nowMillis: number, total: number): void {
    const newest = this.points.at(-1)
    if (newest !== undefined && nowMillis < newest.at) return
    if (newest !== undefined && total < newest.total) this.points = []
    const before = this.points.at(-2)
    const spacing = this.windowMillis / pointsPerWindow
    // While nothing is counted, as most of the time at most nodes, two points say all.
    const isFlat = before?.total === total
    const replaces =
      isFlat || this.points.at(-1)?.at === nowMillis || (before !== undefined && nowMillis - before.at < spacing)
    if (replaces) this.points.pop()
    this.points.push({ at: nowMillis, total })
    this.dropBefore(nowMillis - this.windowMillis)
  }

  /** Units of the total per second, as of the latest sample; 0 while there are fewer than two. */
  get perSecond(): number {
    const newest = this.points.at(-1)
    const [oldest, second] = this.points
    if (newest === undefined || oldest === undefined || second === undefined) return 0
    const start = Math.max(oldest.at, newest.at - this.windowMillis)
    const share = (start - oldest.at) / (second.at - oldest.at)
    const totalAtStart = oldest.total + share * (second.total - oldest.total)
    return ((newest.total - totalAtStart) / (newest.at - start)) * 1000
  }

  /** Keeps one point from before the start of the window, or at it: the total at the start is found from it. */
  private dropBefore(start: number): void {
    const second = this.points.findIndex((point) => point.at > start)
    if (second > 1) this.points.splice(0, second - 1)
  }
}
