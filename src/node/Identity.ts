/**
 * Identities with keys, as layers: of a key that lives as long as the layer, of one in the settings, of one in a folder.
 *
 * @since 0.1.0
 */
import * as FileSystem from "@effect/platform/FileSystem"
import type * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Layer from "effect/Layer"
import type * as Redacted from "effect/Redacted"
import type { Credentials } from "../Credentials.js"
import { IdentityFailed } from "../NetworkError.js"
import { fromCredentials, NodeIdentity } from "../NodeIdentity.js"
import type { NodeId } from "../NodeId.js"
import * as KeyFile from "./KeyFile.js"
import * as Keys from "./Keys.js"

/**
 * A new key each time the layer is built: the node is another one after each start.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerEphemeral: Layer.Layer<NodeIdentity> = Layer.sync(NodeIdentity, () =>
  fromCredentials(Keys.generate())
)

/**
 * Reads a private key, PKCS#8 as PEM, Ed25519 or P-256. Fails with: `IdentityFailed` (`KeyInvalid`).
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromPem = (pem: Redacted.Redacted<string>): Effect.Effect<Credentials, IdentityFailed> =>
  Effect.suspend(() =>
    Either.mapLeft(Keys.fromPem(pem), (detail) => new IdentityFailed({ reason: "KeyInvalid", detail }))
  )

/**
 * The key in a PEM text. Fails with: `IdentityFailed`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerPem = (pem: Redacted.Redacted<string>): Layer.Layer<NodeIdentity, IdentityFailed> =>
  Layer.effect(NodeIdentity, Effect.map(fromPem(pem), fromCredentials))

/**
 * The key in `identity.pem` of a folder that is there, which is made where there is none. It is never overwritten, and one
 * that others may read is not used. Fails with: `IdentityFailed`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFile = (
  folder: string
): Layer.Layer<NodeIdentity, IdentityFailed, FileSystem.FileSystem | Path.Path> =>
  Layer.effect(NodeIdentity, Effect.map(KeyFile.readOrCreate(folder), fromCredentials))

/**
 * The id of the key in a folder. Fails with: `IdentityFailed`, where there is none too.
 *
 * @since 0.1.0
 * @category accessors
 */
export const show = (folder: string): Effect.Effect<NodeId, IdentityFailed, FileSystem.FileSystem | Path.Path> =>
  Effect.map(KeyFile.read(folder), ({ id }) => id)

/**
 * Makes a key in a folder, which is made where it does not exist: its id. Fails with: `IdentityFailed`, where there is one
 * already too.
 *
 * @since 0.1.0
 * @category constructors
 */
export const create = (folder: string): Effect.Effect<NodeId, IdentityFailed, FileSystem.FileSystem | Path.Path> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    // Where this does not work, the key cannot be written either, which is told.
    yield* Effect.ignore(files.makeDirectory(folder, { recursive: true, mode: 0o700 }))
    const { id } = yield* KeyFile.create(folder)
    return id
  })

/**
 * A new key, PKCS#8 as PEM: for the setting `identityKey`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const generate: Effect.Effect<Redacted.Redacted<string>> = Effect.sync(() => Keys.generate().privateKey)
