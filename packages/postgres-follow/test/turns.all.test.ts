import { queryObjects } from "node:v8";
import { until } from "@hotset/test-servers";
import pg from "pg";
import { afterAll, expect, it, onTestFinished } from "vitest";
import { database, following, PUBLISH, startShopServer, TABLE } from "./own-shop.ts";

const server = await startShopServer();
afterAll(() => server.stop());

it("C645: a process that follows keeps nothing of its turns", async () => {
  const { pool } = await database(server, `${TABLE}; ${PUBLISH}`);
  let turns = 0;
  // Not a spy, which keeps what it gives back.
  const asked = pg.Client.prototype.query;
  onTestFinished(() => void (pg.Client.prototype.query = asked));
  pg.Client.prototype.query = function (this: pg.Client, ...given: unknown[]): unknown {
    turns += 1;
    return Reflect.apply(asked, this, given);
  } as typeof asked;
  // Counting stops the process for longer than a short one.
  const { follower } = await following(pool, { silence: "60s" });
  const promisesAfter = async (count: number): Promise<number> => {
    const last = turns + count;
    await until("its turns", async () => turns >= last);
    return queryObjects(Promise, { format: "count" });
  };
  // The fewest of several instants: a question is often in progress.
  const fewest = async (): Promise<number> => {
    const counts: number[] = [];
    for (let i = 0; i < 8; i += 1) counts.push(await promisesAfter(1));
    return Math.min(...counts);
  };
  const before = await fewest();
  await promisesAfter(20);
  expect((await fewest()) - before).toBeLessThan(10);
  expect(follower.stats().role).toBe("following");
});
