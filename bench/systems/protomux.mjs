import { startSecret } from "../lib/hyperswarm.mjs"

/** @type {import("../lib/types.js").System} */
export default {
  name: "protomux",
  about: "hyperswarm's protomux on its secret-stream over TCP, one channel, messages of text, keep-alive on",
  packages: ["protomux", "@hyperswarm/secret-stream", "compact-encoding"],
  encrypted: true,
  start: async (options) => {
    const { default: Protomux } = await import("protomux")
    const { default: encodings } = await import("compact-encoding")
    return startSecret(options, (stream, receive) => {
      let opened
      const ready = new Promise((resolve, reject) => {
        opened = { resolve, reject }
      })
      const channel = Protomux.from(stream).createChannel({
        protocol: "bench",
        onopen: () => opened.resolve(undefined),
        onclose: () => opened.reject(new Error("the channel was closed"))
      })
      const message = channel.addMessage({ encoding: encodings.string, onmessage: receive })
      channel.open()
      return { send: (json) => message.send(json), ready }
    })
  }
}
