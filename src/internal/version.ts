/**
 * The version of this package, as package.json names it. A constant, since a library that also runs in a browser or a
 * bundle cannot read that file.
 *
 * @internal
 */
export const version = "0.1.0"
