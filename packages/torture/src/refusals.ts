import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { until, type OwnRedis } from "@hotset/test-servers";

/** A server that answers every write, or every write that takes memory, with an error. */
export interface Refusal {
  begin(server: OwnRedis): Promise<unknown>;
  end(server: OwnRedis): Promise<unknown>;
}

const snapshotOf = (server: OwnRedis): string => join(server.directory, "dump.rdb");

export const REFUSALS: Readonly<Record<"memory full" | "disk full" | "too few replicas" | "read-only", Refusal>> = {
  "memory full": {
    begin: (server) => server.command("CONFIG", "SET", "maxmemory", "1", "maxmemory-policy", "noeviction"),
    end: (server) => server.command("CONFIG", "SET", "maxmemory", "0"),
  },
  "disk full": {
    async begin(server) {
      // A folder stands where the snapshot is to be.
      await rm(snapshotOf(server), { recursive: true, force: true });
      await mkdir(snapshotOf(server));
      await server.command("CONFIG", "SET", "save", "3600 1");
      await server.command("BGSAVE");
      await until("a snapshot that fails", async () => {
        return (await server.info("persistence"))["rdb_last_bgsave_status"] === "err";
      });
    },
    async end(server) {
      await server.command("CONFIG", "SET", "save", "");
      await rm(snapshotOf(server), { recursive: true, force: true });
    },
  },
  "too few replicas": {
    begin: (server) => server.command("CONFIG", "SET", "min-replicas-to-write", "9"),
    end: (server) => server.command("CONFIG", "SET", "min-replicas-to-write", "0"),
  },
  "read-only": {
    begin: (server) => server.command("REPLICAOF", "127.0.0.1", "1"),
    end: (server) => server.command("REPLICAOF", "NO", "ONE"),
  },
};
