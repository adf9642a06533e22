/**
 * The settings of a node without a key, whatever they say of encryption: over a network in memory there is none, and nodes
 * are called as tests like it, in lists too.
 *
 * @internal
 */
import * as Either from "effect/Either"
import * as NetworkConfig from "../../NetworkConfig.js"
import type { ConfigInvalid } from "../../NetworkError.js"

export const namedSettings = ({
  allow,
  deny,
  ...rest
}: NetworkConfig.Input): Either.Either<NetworkConfig.Settings, ConfigInvalid> =>
  Either.zipWith(
    NetworkConfig.make(rest),
    NetworkConfig.make({ encryption: "none", allow, deny }),
    ({ settings }, { settings: lists }) => ({ ...settings, allow: lists.allow, deny: lists.deny })
  )
