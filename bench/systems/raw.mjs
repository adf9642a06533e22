import { stampsCounted } from "../lib/envelope.mjs"
import { frameOf, writer } from "../lib/frames.mjs"
import { startRaw } from "../lib/raw.mjs"

/**
 * The limit of the wire format.
 *
 * @type {import("../lib/types.js").System}
 */
export default {
  name: "raw",
  about: "node:net with the same frames and JSON, batched writes; no handshake, limits, validation or liveness",
  packages: [],
  start: startRaw({ stamps: stampsCounted, frameOf, writer })
}
