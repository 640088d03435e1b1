// Redis over HTTP. The entry has its own copies of the modules that it shares with the main one, so that it has no
// import that a runtime without Node lacks.

import { InvalidArgumentError } from "@hotset/core";
import { builderOver, type RedisBackendSettings } from "./backend-builder.ts";
import { isOverHttp, type HttpConnection } from "./held-connection.ts";

export type { RedisBackend, RedisBackendSettings } from "./backend-builder.ts";
export type { HttpConnection } from "./held-connection.ts";
export { http, type HttpOptions } from "./rest/http-connection.ts";

/**
 * Starts a Redis backend over HTTP, a tier once it is built: `redis(http({ url, token })).valueFormat(json()).build()`.
 * Its default is `coherence("none")`.
 *
 * @throws {InvalidArgumentError} for a connection that `http` did not return.
 */
export const redis = (connection: HttpConnection): RedisBackendSettings => {
  if (!isOverHttp(connection))
    throw new InvalidArgumentError(
      "redis: connection must be that of http({ url, token }); other ones are for redis() of @hotset/redis",
    );
  return builderOver((given) => given).connection(connection as never);
};
