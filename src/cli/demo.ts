/**
 * `npm run demo`: five nodes on this machine, each a process of its own, of which four know one. They find each other,
 * talk, lose one and take it back; at the end stands a table of what was measured. Exit code 0 if all went as it should.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import * as Option from "effect/Option"
import { fileURLToPath } from "node:url"
import * as Identity from "../node/Identity.js"
import * as Keys from "../node/Keys.js"
import * as TlsTransport from "../node/TlsTransport.js"
import * as NetworkConfig from "../NetworkConfig.js"
import { NodeIdentity } from "../NodeIdentity.js"
import { Transport } from "../Transport.js"
import * as Demo from "./demo/Demo.js"
import * as NodeProcess from "./demo/NodeProcess.js"

const program = fileURLToPath(new URL("../bin.js", import.meta.url))

// A silent peer is noticed soon; the rest is as it is by default, whatever this shell has set.
const unset = Object.keys(process.env).filter((name) => name.startsWith("SYNAPSE_"))
const env = {
  ...Object.fromEntries(unset.map((name) => [name, ""])),
  SYNAPSE_HEARTBEAT_INTERVAL: "500 millis",
  SYNAPSE_HEARTBEAT_TIMEOUT: "2 seconds",
  SYNAPSE_LOG_FORMAT: "logfmt"
}

const ids = ["node-1", "node-2", "node-3", "node-4", "node-5"]

// Made here, so that each node is known by its id before it runs, and is the same one when it starts again.
const keys = new Map(ids.map((id) => [id, Keys.generate()]))

const nodeIdOf = (id: string): string => keys.get(id)?.id ?? id

const launch = (id: string, bootstrap: Option.Option<string>) =>
  NodeProcess.start({
    id,
    program,
    args: ["start", "--json", "--port", "0"].concat(
      Option.match(bootstrap, { onNone: () => [], onSome: (address) => ["--bootstrap", address] })
    ),
    env: { ...env, SYNAPSE_IDENTITY_KEY: Option.getOrElse(keyOf(id), () => "") }
  })

const keyOf = (id: string): Option.Option<string> =>
  Option.map(Option.fromNullable(keys.get(id)), ({ privateKey }) => Redacted.value(privateKey))

/** A guest has a key of its own, as every node. */
const guest = () =>
  Effect.gen(function* () {
    const context = yield* Layer.build(
      TlsTransport.layer.pipe(
        Layer.provideMerge(Identity.layerEphemeral),
        Layer.provide(Layer.succeed(NetworkConfig.NetworkConfig, NetworkConfig.defaults))
      )
    )
    return { id: Context.get(context, NodeIdentity).id, transport: Context.get(context, Transport) }
  }).pipe(Effect.scoped)

const intro = [
  `Synapse P2P: ${ids.length} nodes on this machine, each a process of its own (synapse start --json).`,
  "All they say to each other is encrypted, and each proves by its key who it is. Nothing was set up for that.",
  "Times are taken here, from the line written to one node to the line read from another.",
  ""
].join("\n")

Console.log(intro).pipe(
  Effect.zipRight(
    Demo.run({ ids, launch, nodeIdOf, guest, colours: process.stdout.isTTY && process.env["NO_COLOR"] === undefined })
  ),
  Effect.scoped,
  // Broken off is not gone well.
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, end) => end(Exit.isSuccess(exit) ? 0 : 1) })
)
