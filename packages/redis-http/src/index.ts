// The entry of @hotset/redis for HTTP as a package, built into this one: whoever installs it gets no node-redis.

export {
  http,
  redis,
  type HttpConnection,
  type HttpOptions,
  type RedisBackend,
  type RedisBackendSettings,
} from "@hotset/redis/http";
