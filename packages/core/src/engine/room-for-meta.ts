import { ConfigurationError } from "../contracts/errors.ts";
import type { NamespaceContext } from "./call.ts";

/** @throws {ConfigurationError} where entries cannot carry what the call needs. */
export function checkRoomForMeta({ remote }: NamespaceContext): void {
  if (remote?.keepsMeta === false)
    throw new ConfigurationError(
      `${remote.label}: its layout has no room for tags, validators and clear; use the full layout, or delete keys one by one`,
      { tier: remote.label },
    );
}
