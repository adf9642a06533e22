/**
 * A share of the time for work that must not hold up other work: a bucket that fills with time as it passes, at that
 * share, and from which each piece of work takes the time that it took. Whatever a piece costs on this machine, no more
 * than the share of any longer time is spent.
 *
 * @internal
 */
export class TimeShare {
  private readonly share: number
  private readonly most: number
  private left: number
  private filledAt: number

  /** `share`: above 0, at most 1. `most`: milliseconds of work that are saved up while there is none. */
  constructor(share: number, most: number, now: number) {
    this.share = share
    this.most = most
    this.left = most
    this.filledAt = now
  }

  /** A piece of work is done, which took so many milliseconds. `now`: monotonic milliseconds. */
  spend(took: number, now: number): void {
    this.fill(now)
    // What held up the whole process is not to hold up this work for long after.
    this.left = Math.max(this.left - took, -this.most)
  }

  /** In how many milliseconds the next piece may begin; 0: now. */
  wait(now: number): number {
    this.fill(now)
    return Math.max(0, -this.left / this.share)
  }

  private fill(now: number): void {
    this.left = Math.min(this.most, this.left + (now - this.filledAt) * this.share)
    this.filledAt = now
  }
}
