// One file in place of a server: values survive a restart, and the processes of the machine share one load.

import assert from "node:assert/strict";
import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createCache, memory, sqlite } from "hotset";

const [role, file = join(mkdtempSync(join(tmpdir(), "shop-")), "cache.db")] = process.argv.slice(2);

async function service(name: string): Promise<void> {
  await using cache = createCache({ name: "shop" }).tier(memory()).tier(sqlite(file)).defaults({ ttl: "10m" }).build();
  let loads = 0;
  const price = await cache.getOrSet("price", async () => {
    loads += 1;
    await new Promise((resolve) => setTimeout(resolve, 300)); // a slow query
    return { cents: 4_000 };
  });
  process.send!({ name, cents: price.cents, loads });
}

async function start(name: string): Promise<{ readonly cents: number; readonly loads: number }> {
  const child = fork(import.meta.filename, [name, file]);
  const [[answer]] = await Promise.all([once(child, "message"), once(child, "exit")]);
  return answer as { readonly cents: number; readonly loads: number };
}

if (role !== undefined) await service(role);
else {
  const both = await Promise.all([start("first"), start("second")]);
  assert.deepEqual(
    both.map(({ cents }) => cents),
    [4_000, 4_000],
  );
  console.log(`two processes: ${both[0].loads + both[1].loads} load`);

  const { cents, loads } = await start("after a restart");
  console.log(`after a restart: ${cents} cents, ${loads} loads`);
  rmSync(join(file, ".."), { recursive: true });
}
