import { ConfigurationError } from "@hotset/core";
import type { RedisConnection } from "../client/contract.ts";
import { moduleIn, type ModuleHost } from "./contract.ts";

/** By connection: read once. */
const policies = new WeakMap<RedisConnection, Promise<readonly string[]>>();

/**
 * For modules whose keys must not be evicted: reports a server that has a limit of memory and another policy than
 * `noeviction`. Nothing is reported where Redis is down or does not say; it is asked again by the next module. Over HTTP
 * it is not asked without `required`.
 *
 * @throws {ConfigurationError} for such a server, where `required`. Then also what keeps it from being asked.
 */
export async function expectNoEviction(
  redis: ModuleHost,
  user: string,
  { required = false }: { readonly required?: boolean | undefined } = {},
): Promise<void> {
  const module = moduleIn(redis)!;
  // Two requests, of which each process would make one pair; and services refuse INFO.
  if (module.isHttp && !required) return;
  let found: readonly string[];
  try {
    const { connection } = module;
    let asked = policies.get(connection);
    if (asked === undefined) {
      policies.set(connection, (asked = readPolicies(connection)));
      asked.catch(() => policies.delete(connection));
    }
    found = await asked;
  } catch (error) {
    if (required) throw error;
    return;
  }
  const evicting = found.find((policy) => policy !== "noeviction");
  if (evicting === undefined) return;
  const error = new ConfigurationError(
    `${user}: maxmemory-policy is ${evicting}, so Redis may remove its keys when memory is short; set it to ` +
      "noeviction, or use another server",
  );
  if (required) throw error;
  module.report("eviction", error);
}

/** One for each primary: a server without a limit of memory evicts nothing. */
async function readPolicies(connection: RedisConnection): Promise<readonly string[]> {
  const replies = await connection.each((primary) => primary.call(["INFO", "memory"], { isReadOnly: true }));
  return replies.map((reply) => {
    const text = String(reply);
    if (/^maxmemory:0\r?$/m.test(text)) return "noeviction";
    return /^maxmemory_policy:(\S+)/m.exec(text)?.[1] ?? "noeviction";
  });
}
