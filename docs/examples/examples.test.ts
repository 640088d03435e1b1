import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import { promisify } from "node:util";
import { randomPrefix } from "@hotset/test-servers";
import { describe, expect, inject, it } from "vitest";

const run = promisify(execFile);

/** The output of each example. */
const EXAMPLES: Readonly<Record<string, readonly string[]>> = {
  "backtest-results.ts": ["4 runs, 45 trades, profit 1234.50"],
  "batch.ts": ["1,2 | 3,9 | 1,2"],
  "conditional-requests.ts": ["200 304 200"],
  "custom-format.ts": ["temperatures: json, 12 bytes", "pressures: float64.1, 16 bytes"],
  "graceful-shutdown.ts": ["0 failed requests"],
  "http-headers.ts": ["shop; fwd=miss", "shop; hit; ttl=59", "shop; hit; ttl=-1"],
  "market-data.ts": [
    "BTCUSD 97251.00, ETHUSD 3310.05, XRPUSD absent",
    "BTCUSD 97250.10, ETHUSD 3310.05, BTCUSD 97251.00",
  ],
  "memory-only.ts": ["2 hits, 11 misses, 9 of them on another caller's load, 1 load"],
  "memory-over-redis.ts": ["miss", "hit redis", "hit memory", "deleted", "miss"],
  "order-state.ts": ["new > accepted > partly-filled > partly-filled", "5 changes, and one end"],
  "own-backend.ts": ["hit files"],
  "payments-stream.ts": [
    "p-1: 1200, p-3: 80",
    "p-2: the amount is not a number, tried 2 times",
    "2 failures, 0 pending",
  ],
  "portfolio.ts": ["10 bought", "0 USD, 0.001 BTC"],
  "serverless.ts": ["page 2 then page 3"],
  "wrap.ts": ["price:1000:USD: 3 calls"],
};

describe("examples", () => {
  it("all are in the list above", async () => {
    const files = await readdir(import.meta.dirname);
    expect(files.filter((file) => file.endsWith(".ts") && !file.endsWith(".test.ts")).sort()).toEqual(
      Object.keys(EXAMPLES),
    );
  });

  it.concurrent.each(Object.entries(EXAMPLES))(
    "%s runs to its end, prints the lines above, and lets the process exit",
    { timeout: 20_000 },
    async (file, lines) => {
      const { stdout, stderr } = await run(
        process.execPath,
        ["--conditions=@hotset/source", join(import.meta.dirname, file)],
        {
          env: { ...process.env, REDIS_URL: inject("redisUrl"), KEY_PREFIX: randomPrefix() },
        },
      );
      expect({ stderr, lines: stdout.trimEnd().split("\n") }).toEqual({ stderr: "", lines });
    },
  );
});
