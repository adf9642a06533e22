/**
 * A set of which members are drawn at random at no more cost than that of the draw, however many there are: each has a
 * number, and the numbers have no gaps. Persistent, as the book is that holds it.
 *
 * @internal
 */
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"

export interface Member {
  readonly id: string
}

export interface Roster<A extends Member> {
  readonly members: HashMap.HashMap<number, A>
  readonly numbers: HashMap.HashMap<string, number>
}

export const empty: Roster<never> = { members: HashMap.empty(), numbers: HashMap.empty() }

export const size = <A extends Member>(roster: Roster<A>): number => HashMap.size(roster.members)

/** Adds the member, or puts it in the place of the one that has its id. */
export const set = <A extends Member>({ members, numbers }: Roster<A>, member: A): Roster<A> => {
  const number = Option.getOrUndefined(HashMap.get(numbers, member.id))
  if (number !== undefined) return { members: HashMap.set(members, number, member), numbers }
  const next = HashMap.size(members)
  return { members: HashMap.set(members, next, member), numbers: HashMap.set(numbers, member.id, next) }
}

/** The last one takes the number of the one that goes. */
export const remove = <A extends Member>(roster: Roster<A>, id: string): Roster<A> => {
  const { members, numbers } = roster
  const number = Option.getOrUndefined(HashMap.get(numbers, id))
  if (number === undefined) return roster
  const last = HashMap.size(members) - 1
  const moved = HashMap.unsafeGet(members, last)
  const others = HashMap.remove(numbers, id)
  return number === last
    ? { members: HashMap.remove(members, last), numbers: others }
    : {
        members: HashMap.set(HashMap.remove(members, last), number, moved),
        numbers: HashMap.set(others, moved.id, number)
      }
}

/**
 * The members of all, one after the other, each order as likely as any other: a Fisher-Yates shuffle of which only those
 * steps are made that are asked for.
 */
export function* shuffled<A extends Member>(rosters: ReadonlyArray<Roster<A>>, random: () => number): Generator<A> {
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
