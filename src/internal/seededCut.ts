import * as Utils from "effect/Utils"

/**
 * Gives how many of so many bytes are handed over at once: every order of magnitude, always the same for the same seed.
 *
 * @since 0.1.0
 * @category constructors
 */
export const seededCut = (seed: number): ((bytes: number) => number) => {
  const random = new Utils.PCGRandom(seed)
  // Every order of magnitude is as likely as the next; the last is beyond what there is, for all of it at once.
  return (bytes) => Math.min(bytes, 1 + random.integer(2 ** random.integer(Math.ceil(Math.log2(bytes + 1)) + 2)))
}
