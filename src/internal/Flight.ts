/**
 * How much is under way to the other end: bounded, so that a heartbeat or a request goes behind what the way needs to be
 * busy, and not behind the megabytes that the buffers of two operating systems hold besides.
 *
 * A ping that is answered tells that all written before it has been read. So of what is written after a ping no more goes
 * than the way itself holds (the bandwidth-delay product, by the least round trip seen), and {@link windowBytes} beyond,
 * before its answer is there: a window as of TCP, by delay as in TCP Vegas (Brakmo and Peterson, 1995), here up to the program
 * that reads.
 *
 * @internal
 */

/** What may be waiting to be read at the other end, or on the way there. */
export const windowBytes = 524_288

/** So much is written until a ping is due that nobody else has sent. */
const dueBytes = windowBytes / 2

export class Flight {
  /** How much had been written when the last ping was sent. */
  private mark = 0
  private isAnswered = true
  private leastMillis = Infinity
  /** Who has answered no ping yet may never do so. */
  private limit = Infinity

  /** Whether the other end is to be asked how far it is. `written`: bytes so far, of what is counted. */
  isDue(written: number): boolean {
    return this.isAnswered && written - this.mark >= dueBytes
  }

  /** Whether nothing more may be written until the last ping is answered. */
  isFull(written: number): boolean {
    return !this.isAnswered && written - this.mark >= this.limit
  }

  /** A ping goes out. */
  asked(written: number): void {
    this.mark = written
    this.isAnswered = false
  }

  /** The last ping is answered, so long after it was sent. */
  answered(written: number, millis: number): void {
    this.isAnswered = true
    this.leastMillis = Math.min(this.leastMillis, millis)
    const unhindered = millis > 0 ? this.leastMillis / millis : 1
    this.limit = windowBytes + (written - this.mark) * unhindered
  }

  /** No bound, until the next answer. */
  lift(): void {
    this.limit = Infinity
  }
}
