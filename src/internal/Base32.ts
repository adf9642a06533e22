/**
 * Base32 of RFC 4648, in lower case and without padding: how a NodeId is made of a digest.
 *
 * @internal
 */

const alphabet = "abcdefghijklmnopqrstuvwxyz234567"

export const encode = (bytes: Uint8Array): string => {
  let text = ""
  let bits = 0
  let held = 0
  for (const byte of bytes) {
    held = (held << 8) | byte
    bits += 8
    while (bits >= 5) {
      bits -= 5
      text += alphabet[(held >> bits) & 31]
    }
    held &= (1 << bits) - 1
  }
  return bits === 0 ? text : text + alphabet[(held << (5 - bits)) & 31]
}
