import * as Layer from "effect/Layer"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as Identity from "../../src/node/Identity.js"
import * as TlsTransport from "../../src/node/TlsTransport.js"
import { transportContract } from "../contract/Transport.js"

const config = Layer.succeed(NetworkConfig.NetworkConfig, NetworkConfig.defaults)

const layer = TlsTransport.layer.pipe(Layer.provide(Identity.layerEphemeral), Layer.provide(config))

transportContract("TlsTransport", layer)
