#!/usr/bin/env node
/**
 * The command `synapse`. SIGINT and SIGTERM stop the node with grace, and the exit code is 0; a second signal ends the
 * process at once. What cannot be done is said on one line, and the exit code is 1.
 *
 * @since 0.1.0
 */
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as NodeRuntime from "@effect/platform-node/NodeRuntime"
import * as Effect from "effect/Effect"
import * as Main from "./cli/Main.js"
import * as Stdio from "./cli/Stdio.js"
import * as Identity from "./node/Identity.js"
import * as P2PNetworkNode from "./node/P2PNetworkNode.js"

Main.run({
  argv: process.argv,
  stdio: Stdio.make(process),
  network: P2PNetworkNode.layerConfig({ autoStart: false }),
  identity: { show: Identity.show, create: Identity.create, generate: Identity.generate }
}).pipe(Effect.provide(NodeContext.layer), NodeRuntime.runMain({ disableErrorReporting: true }))
