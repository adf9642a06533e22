import { startSecret } from "../lib/hyperswarm.mjs"
import { once } from "../lib/loops.mjs"

/** @type {import("../lib/types.js").System} */
export default {
  name: "secret-stream",
  about: "hyperswarm's encrypted, authenticated stream over TCP, one message a write, keep-alive on",
  packages: ["@hyperswarm/secret-stream"],
  encrypted: true,
  only: ["one-way-100", "one-way-1k", "one-way-64k", "latency", "in-flight", "connect"],
  start: (options) =>
    startSecret(options, (stream, receive) => {
      stream.on("data", (bytes) => receive(bytes.toString()))
      return { send: (json) => stream.write(Buffer.from(json)), ready: once(stream, "connect") }
    })
}
