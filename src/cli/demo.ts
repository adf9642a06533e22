/**
 * `npm run demo`: five nodes on this machine, each a process of its own, of which four know one. They find each other,
 * talk, lose one and take it back; at the end stands a table of what was measured. Exit code 0 if all went as it should.
 *
 * @since 0.1.0
 */
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import { fileURLToPath } from "node:url"
import * as TcpTransport from "../node/TcpTransport.js"
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

const launch = (id: string, bootstrap: Option.Option<string>) =>
  NodeProcess.start({
    id,
    program,
    args: ["start", "--json", "--port", "0", "--node-id", id].concat(
      Option.match(bootstrap, { onNone: () => [], onSome: (address) => ["--bootstrap", address] })
    ),
    env
  })

const ids = ["node-1", "node-2", "node-3", "node-4", "node-5"]

const intro = [
  `Synapse P2P: ${ids.length} nodes on this machine, each a process of its own (synapse start --json).`,
  "Times are taken here, from the line written to one node to the line read from another.",
  ""
].join("\n")

Console.log(intro).pipe(
  Effect.zipRight(Demo.run({ ids, launch, colours: process.stdout.isTTY && process.env["NO_COLOR"] === undefined })),
  Effect.scoped,
  Effect.provide(TcpTransport.layer),
  // Broken off is not gone well.
  NodeRuntime.runMain({ disableErrorReporting: true, teardown: (exit, end) => end(Exit.isSuccess(exit) ? 0 : 1) })
)
