/**
 * Folders on the disk for tests of what a node keeps, and what is logged meanwhile.
 */
import * as FileSystem from "@effect/platform/FileSystem"
import * as NodeContext from "@effect/platform-node/NodeContext"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Logger from "effect/Logger"
import * as Scope from "effect/Scope"
import { readdirSync } from "node:fs"
import * as NetworkConfig from "../../src/NetworkConfig.js"
import * as StateFolder from "../../src/node/StateFolder.js"
import { plain } from "./plain.js"

/** A new folder, gone with the scope. */
export const temporary = Effect.flatMap(FileSystem.FileSystem, (files) => files.makeTempDirectoryScoped()).pipe(
  Effect.provide(NodeContext.layer)
)

/** Opens a state folder. Scope: gives it free. */
export const open = (path: string, settings: NetworkConfig.Input = {}) =>
  StateFolder.make(path).pipe(
    Effect.provideService(
      NetworkConfig.NetworkConfig,
      Either.getOrThrow(NetworkConfig.make({ ...plain, ...settings })).settings
    ),
    Effect.provide(NodeContext.layer)
  )

/** Opens it and gives it free again: what was in it. */
export const visit = (path: string, settings: NetworkConfig.Input = {}) => Effect.scoped(open(path, settings))

/** Opens it in a scope that the test closes. */
export const openClosable = (path: string, settings: NetworkConfig.Input = {}) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const folder = yield* Scope.extend(open(path, settings), scope)
    return { folder, close: Scope.close(scope, Exit.void) }
  })

/** The lines that were logged while it ran, with their levels. */
export const logged = <A, E, R>(effect: Effect.Effect<A, E, R>) =>
  Effect.suspend(() => {
    const lines: Array<string> = []
    const logger = Logger.make(({ logLevel, message }) => {
      lines.push(`${logLevel.label} ${String(message)}`)
    })
    return Effect.map(Effect.provide(effect, Logger.replace(Logger.defaultLogger, logger)), (value) => ({
      value,
      lines
    }))
  })

export const namesIn = (path: string): ReadonlyArray<string> => readdirSync(path).sort()

/** Lets what is under way on the disk go on: real time, but only as much as it takes. */
export const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})
