/** Starts two servers, one of them frozen, prints their process ids and folders, and waits for the end of its input. */
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startOwnRedis } from "../src/index.ts";

const servers = [await startOwnRedis(), await startOwnRedis()];
servers[1]?.pause();
console.log(
  JSON.stringify({
    pids: servers.map(({ pid }) => pid),
    directories: servers.flatMap(({ directory, port }) => [directory, join(tmpdir(), `hotset-port-${port}`)]),
  }),
);
process.stdin.resume();
