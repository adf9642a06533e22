/**
 * Nodes that speak plain TCP: for tests that play a peer on a socket by hand, give nodes names of their choice, or try what
 * has nothing to do with encryption.
 */

/** Among the settings of a node. */
export const plain = { encryption: "none" } as const

/** In the environment of a program. */
export const plainEnv = { SYNAPSE_ENCRYPTION: "none" } as const
