import { randomUUID } from "node:crypto"
import { writer } from "../lib/frames.mjs"
import { startRaw } from "../lib/raw.mjs"

/** @returns {import("../lib/envelope.mjs").Stamps} */
const stamps = () => ({ id: () => randomUUID(), time: () => new Date().toISOString() })

const frameOf = (json) => {
  const body = Buffer.from(json)
  const length = Buffer.alloc(4)
  length.writeUInt32BE(body.length)
  return Buffer.concat([length, body])
}

/** @type {import("../lib/types.js").System} */
export default {
  name: "raw-plain",
  about:
    "raw as one writes it first: a UUID and a new date for each message, each frame joined of its parts, writes batched all the same; to compare with figures measured elsewhere, nothing is in proportion to it",
  packages: [],
  only: ["one-way-100", "one-way-1k", "one-way-64k", "latency", "in-flight", "broadcast"],
  start: startRaw({
    stamps,
    frameOf,
    writer: (socket) => {
      const write = writer(socket)
      return (message) => write(typeof message === "string" ? frameOf(message) : message)
    }
  })
}
