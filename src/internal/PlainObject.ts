/**
 * Constructors of plain objects, for what is made for every message.
 *
 * V8 notes of each object literal whether what it makes lives on. Where most does for a while, as messages do that wait for
 * a handler, it gives the literal old memory from then on; and all that such an object refers to, payloads among it, is
 * kept and copied until the next full collection, long after the object is of no use to anybody. That took a tenth of the
 * time of a busy receiver. Of constructors it takes no such notes.
 *
 * @internal
 */

type Fill<Args extends ReadonlyArray<unknown>, A> = (this: { -readonly [K in keyof A]: A[K] }, ...args: Args) => void

/** The constructor of objects that `fill` fills, with the prototype of an object literal. `fill` is no arrow function. */
export const constructorOf = <A extends object, Args extends ReadonlyArray<unknown>>(
  fill: Fill<Args, A>
): new (...args: Args) => A => {
  const made = fill as unknown as new (...args: Args) => A
  Object.defineProperty(made, "prototype", { value: Object.prototype })
  return made
}
