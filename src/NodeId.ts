/**
 * The name of a node: 1 to 128 characters of `[A-Za-z0-9._:-]` (docs/PROTOCOL.md, section 2). Without TLS it is any
 * configured or random string and proves nothing.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Schema from "effect/Schema"

/**
 * What a NodeId looks like, as a pattern over the whole string.
 *
 * @since 0.1.0
 * @category schemas
 */
export const pattern = /^[A-Za-z0-9._:-]{1,128}$/

/**
 * A string of 1 to 128 characters of `[A-Za-z0-9._:-]`, branded.
 *
 * @since 0.1.0
 * @category schemas
 */
export const NodeId = Schema.String.pipe(
  Schema.pattern(pattern, { message: () => "a node id is 1 to 128 characters of A-Z a-z 0-9 . _ : -" }),
  Schema.brand("NodeId")
)

/**
 * @since 0.1.0
 * @category models
 */
export type NodeId = typeof NodeId.Type

/**
 * Checks and brands a string. Throws a `ParseError` on a string that is not a NodeId; use {@link is} first where the
 * string comes from outside.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (id: string): NodeId => NodeId.make(id)

/**
 * Whether a value is a NodeId.
 *
 * @since 0.1.0
 * @category guards
 */
export const is = (u: unknown): u is NodeId => typeof u === "string" && pattern.test(u)

/**
 * 32 hexadecimal digits from Effect's `Random`: a seeded Random gives the same ones again.
 *
 * @since 0.1.0
 * @category constructors
 */
export const randomHex: Effect.Effect<string> = Effect.map(
  Effect.replicateEffect(Random.nextIntBetween(0, 0x10000), 8),
  (parts) => parts.map((part) => part.toString(16).padStart(4, "0")).join("")
)

/**
 * A new random NodeId.
 *
 * @since 0.1.0
 * @category constructors
 */
export const random: Effect.Effect<NodeId> = Effect.map(randomHex, (hex) => make(hex))

/**
 * Whether `a` comes before `b` bytewise. NodeIds are ASCII, so comparing UTF-16 units compares bytes. Of two
 * simultaneous connections the one dialed by the smaller id stays (docs/PROTOCOL.md, section 3).
 *
 * @since 0.1.0
 * @category combinators
 */
export const isSmaller = (a: NodeId, b: NodeId): boolean => a < b
