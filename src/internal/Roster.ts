/**
 * A set of which members are drawn at random at no more cost than that of the draw, however many there are: each has a
 * number, and the numbers have no gaps. Persistent, as the book is that holds it.
 *
 * @internal
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export interface Roster<A> {
  readonly members: HashMap.HashMap<number, A>
  readonly numbers: HashMap.HashMap<A, number>
}

export const empty: Roster<never> = { members: HashMap.empty(), numbers: HashMap.empty() }

export const size = <A>(roster: Roster<A>): number => HashMap.size(roster.members)

/** One that is not a member yet. */
export const add = <A>({ members, numbers }: Roster<A>, member: A): Roster<A> => {
  const number = HashMap.size(members)
  return { members: HashMap.set(members, number, member), numbers: HashMap.set(numbers, member, number) }
}

/** The last one takes the number of the one that goes. */
export const remove = <A>(roster: Roster<A>, member: A): Roster<A> => {
  const { members, numbers } = roster
  const number = Option.getOrUndefined(HashMap.get(numbers, member))
  if (number === undefined) return roster
  const last = HashMap.size(members) - 1
  const moved = HashMap.unsafeGet(members, last)
  const others = HashMap.remove(numbers, member)
  return number === last
    ? { members: HashMap.remove(members, last), numbers: others }
    : {
        members: HashMap.set(HashMap.remove(members, last), number, moved),
        numbers: HashMap.set(others, moved, number)
      }
}

/**
 * The members of all, one after the other, each order as likely as any other: a Fisher-Yates shuffle of which only those
 * steps are made that are asked for.
 */
export function* shuffled<A>(rosters: ReadonlyArray<Roster<A>>, random: () => number): Generator<A> {
  const memberAt = (position: number): A => {
    let number = position
    for (const roster of rosters) {
      if (number < size(roster)) return HashMap.unsafeGet(roster.members, number)
      number -= size(roster)
    }
    throw new RangeError("no such member")
  }
  /** Who stands where another one stood. */
  const moved = new Map<number, number>()
  let left = rosters.reduce((sum, roster) => sum + size(roster), 0)
  while (left > 0) {
    const position = Math.floor(random() * left)
    left--
    const drawn = moved.get(position) ?? position
    moved.set(position, moved.get(left) ?? left)
    yield memberAt(drawn)
  }
}
