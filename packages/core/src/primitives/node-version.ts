import { ConfigurationError } from "../contracts/errors.ts";
import { isWorker, type Runtime } from "./platform.ts";

const LOWEST: readonly [major: number, minor: number] = [22, 15];

/**
 * Reports at import what would otherwise be a missing method of Node, somewhere in the first call. A worker is not
 * asked: wrangler gives it a `process` of an older Node, or one without a version.
 *
 * @throws {ConfigurationError} below Node 22.15. Bun and Deno give the version of Node that they are compatible with.
 */
export function requireNode(runtime: Runtime): void {
  const version = isWorker(runtime) ? undefined : runtime.process?.version;
  if (version === undefined) return;
  const [major = 0, minor = 0] = version.slice(1).split(".").map(Number);
  if (major > LOWEST[0] || (major === LOWEST[0] && minor >= LOWEST[1])) return;
  throw new ConfigurationError(`hotset needs Node ${LOWEST.join(".")} or later; this is Node ${version.slice(1)}`);
}
