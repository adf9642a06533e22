import { startSecret } from "../lib/hyperswarm.mjs"

/** @type {import("../lib/types.js").System} */
export default {
  name: "protomux",
  about: "hyperswarm's protomux on its secret-stream over TCP, one channel, messages of text, keep-alive on",
  packages: ["protomux", "@hyperswarm/secret-stream", "compact-encoding"],
  start: (options) =>
    startSecret(options, async (stream, receive) => {
      const { default: Protomux } = await import("protomux")
      const { default: encodings } = await import("compact-encoding")
      const mux = Protomux.from(stream)
      const message = await new Promise((resolve, reject) => {
        const channel = mux.createChannel({
          protocol: "bench",
          onopen: () => resolve(text),
          onclose: () => reject(new Error("the channel was closed"))
        })
        const text = channel.addMessage({ encoding: encodings.string, onmessage: receive })
        channel.open()
      })
      return (json) => message.send(json)
    })
}
