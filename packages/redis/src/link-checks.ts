import { ConfigurationError } from "@hotset/core";
import { IN_WORKER } from "@hotset/core/internal";
import type { Hold } from "./held-connection.ts";

/** @throws {ConfigurationError} where entries would be read from primaries all the same. */
export function checkReaders({ link, release }: Hold, layout: "full" | "plain" | "string"): void {
  if (layout !== "string" || link.readsFromReplicas !== true) return;
  release().catch(() => undefined);
  throw new ConfigurationError(
    'redis: readFromReplicas has no effect with layout("string"); remove it, or set layout("full")',
  );
}

/** @throws {ConfigurationError} where changes cannot be received over this link, or would have no effect. */
export function checkCoherence({ link, release }: Hold, coherence: "tracking" | "pubsub" | "none"): void {
  const problem = link.isHttp === true && overHttp(coherence);
  if (typeof problem === "string") {
    release().catch(() => undefined);
    throw new ConfigurationError(`redis: ${problem}`);
  }
  if (link.cannotSubscribe === true && coherence === "pubsub") {
    release().catch(() => undefined);
    throw new ConfigurationError(
      'redis: coherence("pubsub") calls subscribe and unsubscribe on a duplicate of the client given to fromClient, ' +
        'which lacks them; give a client of ioredis, or set coherence("none") and a localTtl',
    );
  }
  const cannotTrack = link.isIoRedis === true && coherence === "tracking";
  if (coherence === "none" || (!cannotTrack && link.readsFromReplicas !== true)) return;
  release().catch(() => undefined);
  throw new ConfigurationError(
    cannotTrack
      ? "redis: tracking does not work over a client of ioredis, which drops what the server pushes; set " +
          'coherence("pubsub") in all processes, or coherence("none") and a localTtl, or use redis(url)'
      : `redis: readFromReplicas has no effect with coherence("${coherence}"): a replica lags behind the changes ` +
          'that are received; set coherence("none") and a localTtl, or remove readFromReplicas',
  );
}

/** Why changes cannot be received so over HTTP. `undefined` where they can be. */
function overHttp(coherence: "tracking" | "pubsub" | "none"): string | undefined {
  if (coherence === "tracking")
    return (
      'coherence("tracking") needs a connection on which Redis pushes changes, and HTTP has none; set ' +
      'coherence("pubsub") in all processes, or leave it out, with a localTtl of seconds'
    );
  if (coherence === "pubsub" && IN_WORKER)
    return (
      'coherence("pubsub") over HTTP keeps a stream open, which ends with the request that opened it in a worker; ' +
      "leave it out, and set a localTtl of seconds"
    );
  return undefined;
}
