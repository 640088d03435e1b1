import { BackendUnavailableError } from "@hotset/core";
import type { NodeAddress } from "../primitives/hash-slots.ts";

/** Says where an address that a server names is reached. `undefined`: it must not be used. */
export type ResolveAddress = (address: NodeAddress) => NodeAddress | undefined;

/**
 * Where a server is reached. Every address that is not one of the configured ones passes through here.
 *
 * @param origin for the error: the reply or the server that names the address.
 * @throws {BackendUnavailableError} when `resolve` refuses the address, or fails. Nothing was sent there.
 */
export function namedAddress(
  { host, port }: NodeAddress,
  origin: string,
  resolve: ResolveAddress | undefined,
): NodeAddress {
  if (resolve === undefined) return { host, port };
  const refuse = (problem: string, cause?: unknown): never => {
    throw new BackendUnavailableError(problem, { operation: "connect", cause, retryable: false, maybeExecuted: false });
  };
  let resolved: NodeAddress | undefined;
  try {
    resolved = resolve({ host, port });
  } catch (cause) {
    refuse(`resolveAddress failed for ${host}:${port}, which ${origin} names; see the cause`, cause);
  }
  if (resolved === undefined)
    return refuse(`resolveAddress refused ${host}:${port}, which ${origin} names; return its address to allow it`);
  if (typeof resolved.host !== "string" || resolved.host === "" || !Number.isInteger(resolved.port))
    return refuse(`resolveAddress must return { host, port } or undefined for ${host}:${port}`);
  return { host: resolved.host, port: resolved.port };
}
