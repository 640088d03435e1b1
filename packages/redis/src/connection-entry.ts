export {
  hashSlot,
  openConnection,
  type Caller,
  type CallOptions,
  type RedisConnection,
  type RedisConnectionOptions,
} from "./index.ts";
