/**
 * A program without Effect, by a ManagedRuntime: `npm run example promises`.
 */
import { Effect, ManagedRuntime, Schema, Stream } from "effect"
import { MessageType, P2PNetwork } from "synapse-p2p"
import { P2PNetworkNode } from "synapse-p2p/node"

const Note = MessageType.make("NOTE", Schema.Struct({ text: Schema.String }))

const listener = ManagedRuntime.make(P2PNetworkNode.layer({ port: 9473 }))
const writer = ManagedRuntime.make(P2PNetworkNode.layer({ port: 0, bootstrap: ["127.0.0.1:9473"] }))

try {
  const listening = await listener.runPromise(P2PNetwork)
  const heard = listener.runPromise(Effect.flatten(Stream.runHead(listening.messages(Note))))

  const network = await writer.runPromise(P2PNetwork)
  await writer.runPromise(network.waitForPeers(1))
  await writer.runPromise(network.broadcast(Note, { text: "hello from plain promises" }))

  const { payload, sender } = await heard
  console.log(`${sender} wrote: ${payload.text}`)
} finally {
  await writer.dispose()
  await listener.dispose()
}
