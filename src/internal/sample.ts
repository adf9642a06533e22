/**
 * Up to `count` of the items, each subset and order as likely as any other: the first steps of a Fisher-Yates shuffle.
 *
 * @internal
 */
export const sample = <A>(items: ReadonlyArray<A>, count: number, random: () => number): ReadonlyArray<A> => {
  const shuffled = [...items]
  const wanted = Math.min(count, shuffled.length)
  for (let i = 0; i < wanted; i++) {
    const other = i + Math.floor(random() * (shuffled.length - i))
    const chosen = shuffled[other] as A
    shuffled[other] = shuffled[i] as A
    shuffled[i] = chosen
  }
  return shuffled.slice(0, wanted)
}
