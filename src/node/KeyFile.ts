/**
 * The key of a node in its state folder: `identity.pem`, PKCS#8, for this user alone. It is made once and then only read:
 * a node that lost its key is another node, so nothing here ever writes over one.
 *
 * @internal
 */
import type { PlatformError } from "@effect/platform/Error"
import * as FileSystem from "@effect/platform/FileSystem"
import * as Path from "@effect/platform/Path"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Redacted from "effect/Redacted"
import type { Credentials } from "../Credentials.js"
import { IdentityFailed } from "../NetworkError.js"
import * as NodeId from "../NodeId.js"
import * as Keys from "./Keys.js"
import { isReason } from "./systemError.js"

type Files = FileSystem.FileSystem | Path.Path

const fileName = "identity.pem"

/** The longest file that is read, bytes: many times what a key takes. */
const maxBytes = 16_384

/** Who else may read it could be this node. */
const readableByOthers = 0o077

const failed = (path: string, error: PlatformError): IdentityFailed =>
  new IdentityFailed({ path, reason: isReason("NotFound")(error) ? "Missing" : "Other", cause: error })

export const pathIn = (folder: string): Effect.Effect<string, never, Path.Path> =>
  Effect.map(Path.Path, (paths) => paths.join(paths.resolve(folder), fileName))

/** All that is in the file, which may have grown since it was looked at; as much of it as tells that it is too long. */
const textOf = (file: FileSystem.File): Effect.Effect<string, PlatformError> =>
  Effect.gen(function* () {
    const bytes = new Uint8Array(maxBytes + 1)
    let length = 0
    while (length < bytes.length) {
      const read = Number(yield* file.read(bytes.subarray(length)))
      if (read === 0) break
      length += read
    }
    return new TextDecoder().decode(bytes.subarray(0, length))
  })

/**
 * The key in the folder. Fails with `IdentityFailed` where there is none, others may read it, or it is damaged.
 */
export const read = (folder: string): Effect.Effect<Credentials, IdentityFailed, Files> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const path = yield* pathIn(folder)
    const damaged = (detail: string) => new IdentityFailed({ path, reason: "Damaged", detail })
    const orFailed = Effect.mapError((error: PlatformError) => failed(path, error))
    // To open a pipe would be to wait for who writes to it.
    const { type: seen } = yield* orFailed(files.stat(path))
    if (seen !== "File") return yield* damaged(`it is a ${seen}`)
    // What is checked is what is read: another file may have its name by now.
    const file = yield* orFailed(files.open(path, { flag: "r" }))
    const { mode, size, type } = yield* orFailed(file.stat)
    if (type !== "File") return yield* damaged(`it is a ${type}`)
    // Elsewhere these bits say nothing of who may read it.
    if (process.platform !== "win32" && (mode & readableByOthers) !== 0) {
      return yield* new IdentityFailed({ path, reason: "ReadableByOthers" })
    }
    if (Number(size) > maxBytes) return yield* damaged(`it has ${size} bytes`)
    const credentials = Keys.fromPem(Redacted.make(yield* orFailed(textOf(file))))
    return Either.isLeft(credentials) ? yield* damaged(credentials.left) : credentials.right
  }).pipe(Effect.scoped)

/**
 * Makes a key in the folder, which must be there. Fails with `IdentityFailed` where there is one already, whatever it is,
 * or it cannot be written.
 */
export const create = (folder: string): Effect.Effect<Credentials, IdentityFailed, Files> =>
  Effect.gen(function* () {
    const files = yield* FileSystem.FileSystem
    const path = yield* pathIn(folder)
    const credentials = Keys.generate()
    const fresh = `${path}.${yield* NodeId.randomHex}.new`
    const write = Effect.scoped(
      Effect.flatMap(files.open(fresh, { flag: "wx", mode: 0o600 }), (file) =>
        Effect.zipRight(file.writeAll(new TextEncoder().encode(Redacted.value(credentials.privateKey))), file.sync)
      )
    )
    // A link takes a name only where it is free, and the file is whole by then.
    yield* write.pipe(
      Effect.zipRight(files.link(fresh, path)),
      Effect.ensuring(Effect.ignore(files.remove(fresh, { force: true }))),
      Effect.uninterruptible,
      Effect.mapError(
        (error) =>
          new IdentityFailed({
            path,
            reason: isReason("AlreadyExists")(error) ? "Exists" : "NotWritable",
            cause: error
          })
      )
    )
    return credentials
  })

const isBecause =
  (reason: IdentityFailed["reason"]) =>
  (error: IdentityFailed): boolean =>
    error.reason === reason

/** The key in the folder, which is made where there is none. */
export const readOrCreate = (folder: string): Effect.Effect<Credentials, IdentityFailed, Files> =>
  Effect.catchIf(read(folder), isBecause("Missing"), () =>
    Effect.catchIf(create(folder), isBecause("Exists"), () => read(folder))
  )
