import type { OwnRedis } from "@hotset/test-servers";

/** The server refuses every write that needs memory, with `OOM`; memory that it frees meanwhile changes nothing. */
export const makeFull = (server: OwnRedis): Promise<unknown> =>
  server.command("CONFIG", "SET", "maxmemory-policy", "noeviction", "maxmemory", 1);

/** The server accepts writes again. */
export const makeRoom = (server: OwnRedis): Promise<unknown> => server.command("CONFIG", "SET", "maxmemory", 0);
