export { freePort, freePorts } from "./port.ts";
export { requestedTarget, SERVER_TARGETS, type ServerTarget } from "./executable.ts";
export { ReplyError, type Frame } from "./resp.ts";
export { RespClient, type Reply, type RespClientOptions } from "./resp-client.ts";
export {
  randomPrefix,
  startOwnRedis,
  startRedis,
  type OwnRedis,
  type OwnRedisOptions,
  type SharedRedis,
  type TestRedis,
} from "./redis.ts";
