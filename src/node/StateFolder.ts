/**
 * What a node keeps on disk (the setting `stateDir`): its key in `identity.pem` (without TLS its id, in `identity.json`),
 * the nodes it knows in `peers.json`, and a `lock` that keeps other processes out. A damaged file is set aside with a
 * warning, but for the key, which nothing replaces; after the start nothing that happens to the folder stops the node.
 *
 * @since 0.1.0
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Cause from "effect/Cause"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import * as RememberedPeers from "../internal/RememberedPeers.js"
import type { Credentials } from "../Credentials.js"
import type { LocalNode } from "../LocalNode.js"
import { NetworkConfig } from "../NetworkConfig.js"
import type { IdentityFailed } from "../NetworkError.js"
import { StateFolderFailed } from "../NetworkError.js"
import * as NodeId from "../NodeId.js"
import { NodeIdentity } from "../NodeIdentity.js"
import type { PeerEntry } from "../Payloads.js"
import type { PeerBook } from "../PeerBook.js"
import * as PeerStore from "../PeerStore.js"
import * as FolderLock from "./FolderLock.js"
import * as Identity from "./Identity.js"
import * as KeyFile from "./KeyFile.js"
import * as KeptFile from "./KeptFile.js"
import { isReason } from "./systemError.js"

/**
 * @since 0.1.0
 * @category tags
 */
export class StateFolder extends Context.Tag("synapse-p2p/StateFolder")<
  StateFolder,
  {
    readonly path: string
    /** The id of the key, or, without TLS, the one that was configured, or kept, or else a new one; it is kept now. */
    readonly nodeId: NodeId.NodeId
    /** With TLS, the key: the one that was configured, or kept, or else a new one. One that was made is kept now. */
    readonly credentials?: Credentials | undefined
    /** The nodes of this network that were kept, those seen last first. */
    readonly remembered: ReadonlyArray<Required<PeerEntry>>
    /** Keeps these nodes instead: whether that went well. What goes wrong is a warning, the first time. */
    readonly keep: (peers: ReadonlyArray<Required<PeerEntry>>) => Effect.Effect<boolean>
  }
>() {}

const IdentityFile = Schema.Struct({ version: Schema.Literal(1), nodeId: NodeId.NodeId })

const PeersFile = Schema.Struct({
  version: Schema.Literal(1),
  network: Schema.String,
  peers: Schema.Array(RememberedPeers.RememberedPeer).pipe(Schema.maxItems(RememberedPeers.maxPeers))
})

/** Node's own recursive way never ends where the system says that there is no such file, as it does in /proc. */
const makeFolder = (
  path: string,
  mode = 0o700
): Effect.Effect<void, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const parent = (yield* Path.Path).dirname(path)
    const make = files
      .makeDirectory(path, { mode })
      .pipe(
        Effect.catchIf(isReason("AlreadyExists"), (error) =>
          Effect.flatMap(Effect.option(files.stat(path)), (found) =>
            Option.exists(found, ({ type }) => type === "Directory") ? Effect.void : Effect.fail(error)
          )
        )
      )
    return yield* Effect.catchIf(make, isReason("NotFound"), (error) =>
      parent === path ? Effect.fail(error) : Effect.zipRight(makeFolder(parent, 0o777), make)
    )
  })

const notWritable = new Set(["EACCES", "EPERM", "EROFS", "ENOENT", "ENOTDIR"])

const failed =
  (path: string) =>
  (error: PlatformError | FolderLock.Held): StateFolderFailed => {
    if (error._tag === "Held") {
      return new StateFolderFailed({
        path,
        reason: "InUse",
        ...(error.pid === undefined ? {} : { pid: error.pid })
      })
    }
    const cause = error._tag === "SystemError" ? (error.cause ?? error) : error
    const code = cause instanceof Error && "code" in cause ? String(cause.code) : ""
    if (code === "EEXIST") return new StateFolderFailed({ path, reason: "NotAFolder" })
    return new StateFolderFailed({ path, reason: notWritable.has(code) ? "NotWritable" : "Other", cause })
  }

/**
 * Opens the folder, which is made where it does not exist, for this user only. Scope: gives it free. Fails with:
 * `StateFolderFailed`, or `IdentityFailed` where the key cannot be used.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (
  given: string
): Effect.Effect<
  StateFolder["Type"],
  StateFolderFailed | IdentityFailed,
  NetworkConfig | FileSystem.FileSystem | Path.Path | Scope.Scope
> =>
  Effect.gen(function* () {
    const config = yield* NetworkConfig
    const path = (yield* Path.Path).resolve(given)
    yield* makeFolder(path)
    const lock = yield* FolderLock.acquire(path)
    const peersFile = yield* KeptFile.make(path, "peers.json", PeersFile)
    const credentials =
      config.encryption === "tls"
        ? yield* Effect.transposeMapOption(config.identityKey, Identity.fromPem).pipe(
            Effect.flatMap(Option.match({ onNone: () => KeyFile.readOrCreate(path), onSome: Effect.succeed }))
          )
        : undefined
    const nodeId = credentials?.id ?? (yield* nameIn(path, config.nodeId))

    const { network } = config
    const keptPeers = yield* peersFile.read
    const remembered = Option.match(keptPeers, {
      onNone: () => [],
      onSome: (file) => (file.network === network ? file.peers : [])
    })
    if (Option.isSome(keptPeers) && keptPeers.value.network !== network) {
      yield* Effect.logWarning(`the nodes kept in ${path} are of the network ${keptPeers.value.network}: not used`)
    }

    let isFailing = false
    const outcome = (problem: string | undefined): Effect.Effect<boolean> => {
      const wasFailing = isFailing
      isFailing = problem !== undefined
      const line =
        problem === undefined
          ? Effect.logInfo(`the nodes that this one knows are kept in ${path} again`)
          : Effect.logWarning(`the nodes that this one knows cannot be kept in ${path}: ${problem}`)
      return Effect.as(wasFailing === isFailing ? Effect.void : line, !isFailing)
    }

    const keep = (peers: ReadonlyArray<Required<PeerEntry>>): Effect.Effect<boolean> =>
      Effect.gen(function* () {
        if (!(yield* lock.confirm)) return yield* outcome("another process has taken the folder")
        const written = yield* Effect.exit(peersFile.write({ version: 1, network, peers }))
        return yield* outcome(Exit.isSuccess(written) ? undefined : problemOf(written))
      })

    return StateFolder.of({ path, nodeId, credentials, remembered, keep })
  }).pipe(Effect.mapError((error) => (error._tag === "IdentityFailed" ? error : failed(given)(error))))

/** The id of a node that has no key: as configured, as kept, or a new one. */
const nameIn = (
  path: string,
  configured: Option.Option<NodeId.NodeId>
): Effect.Effect<NodeId.NodeId, PlatformError, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const file = yield* KeptFile.make(path, "identity.json", IdentityFile)
    const kept = Option.map(yield* file.read, ({ nodeId }) => nodeId)
    const nodeId = yield* Option.match(
      Option.orElse(configured, () => kept),
      {
        onNone: () => NodeId.random,
        onSome: Effect.succeed
      }
    )
    if (Option.isSome(kept) && kept.value !== nodeId) {
      yield* Effect.logWarning(`this node was ${kept.value} and is ${nodeId} from now on, as the settings say`)
    }
    if (!Option.contains(kept, nodeId)) yield* file.write({ version: 1, nodeId })
    return nodeId
  })

const problemOf = (exit: Exit.Failure<void, PlatformError>): string => {
  const error = Cause.squash(exit.cause)
  return error instanceof Error ? error.message : String(error)
}

/**
 * The folder at a path. Fails with: `StateFolderFailed`, `IdentityFailed`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (
  path: string
): Layer.Layer<StateFolder, StateFolderFailed | IdentityFailed, NetworkConfig | FileSystem.FileSystem | Path.Path> =>
  Layer.scoped(StateFolder, make(path))

/**
 * A node that is who the folder says.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerIdentity: Layer.Layer<NodeIdentity, never, StateFolder> = Layer.effect(
  NodeIdentity,
  Effect.map(StateFolder, ({ credentials, nodeId }) => NodeIdentity.of({ id: nodeId, credentials }))
)

/**
 * The nodes that are kept in the folder.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPeers: Layer.Layer<never, never, StateFolder | PeerBook | LocalNode | NetworkConfig> = Layer.provide(
  PeerStore.layerKeeping,
  Layer.effect(PeerStore.PeerStore, StateFolder)
)
