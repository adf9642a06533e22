/**
 * What the system says when it does not do something.
 *
 * @internal
 */
import type { PlatformError, SystemErrorReason } from "@effect/platform/Error"

export const isReason =
  (reason: SystemErrorReason) =>
  (error: PlatformError): boolean =>
    error._tag === "SystemError" && error.reason === reason
