import { SOURCES } from "../../rows/files.ts";
import type { BrokenRule } from "../mutant.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R4-01 a URL is not used",
    file: SOURCES.address,
    rule: "if (url !== undefined) return single(parts.completeUrl(url), withTls);",
    broken: "",
  },
  {
    name: "R4-05 the service starts before the cache is healthy",
    file: "docs/examples/service/compose.yaml",
    rule: "redis-cache: { condition: service_healthy }",
    broken: "redis-cache: { condition: service_started }",
  },
  {
    name: "R4-06 the configuration of a cache keeps every key",
    file: "docs/operations/redis-cache.conf",
    rule: "maxmemory-policy allkeys-lfu",
    broken: "maxmemory-policy noeviction",
  },
  {
    name: "R4-13 a command that fails rejects its pipeline",
    file: "packages/redis-toolkit/src/commands/pipeline.ts",
    rule: "      (error: Error): Result<unknown> => ({ ok: false, error }),\n",
    broken: "",
  },
  {
    name: "R4-20 users who were active in any window are counted in each",
    file: "packages/redis-toolkit/src/boards/counters.ts",
    rule: 'local before = redis.call("SETBIT", KEYS[1], ARGV[3], 1)',
    broken: 'local before = redis.call("SETBIT", KEYS[1], ARGV[3] + 1, 1)',
  },
  {
    name: "R4-21 slow commands are not asked for",
    file: "packages/redis-toolkit/src/health/timings.ts",
    rule: '["SLOWLOG", "GET", asked]',
    broken: '["SLOWLOG", "GET", "0"]',
  },
];
