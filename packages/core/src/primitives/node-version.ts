import { ConfigurationError } from "../contracts/errors.ts";

const LOWEST: readonly [major: number, minor: number] = [22, 15];

/**
 * Says at import what would otherwise be a missing method of Node, somewhere in the first call.
 *
 * @throws {ConfigurationError} below Node 22.15. Bun and Deno give the version of Node that they are compatible with.
 */
export function requireNode(version: string): void {
  const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
  if (major > LOWEST[0] || (major === LOWEST[0] && minor >= LOWEST[1])) return;
  throw new ConfigurationError(`hotset needs Node ${LOWEST.join(".")} or later; this is Node ${version.slice(1)}`);
}
