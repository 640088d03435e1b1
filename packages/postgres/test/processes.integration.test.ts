import { forkScript, randomPrefix, startPostgres, until } from "@hotset/test-servers";
import { afterAll, expect, it } from "vitest";
import type { handlers } from "./worker.ts";

const KEYS = Array.from({ length: 20 }, (_, i) => `k${i}`);

const server = await startPostgres();
const schema = randomPrefix();
afterAll(() => server.stop());

async function startProcess() {
  const started = forkScript<typeof handlers>(new URL("worker.ts", import.meta.url));
  await started.call("open", server.url, schema);
  return started;
}

it("C542 three processes load each key once, and none has an old value once a delete in the middle of a load is acknowledged", async () => {
  const all = await Promise.all([startProcess(), startProcess(), startProcess()]);
  const [a, b, c] = all;
  const values = await Promise.all(all.map((each) => each.call("load", KEYS, "first", 50)));
  expect(values).toEqual([1, 2, 3].map(() => KEYS.map(() => "first")));
  const loads = await Promise.all(all.map((each) => each.call("loads")));
  expect(loads.reduce((sum, each) => sum + each, 0)).toBe(KEYS.length);

  await a.call("remove", KEYS);
  await until("the other process to drop its copies", async () => !(await b.call("has", KEYS)));
  const loading = b.call("load", KEYS, "old", 400);
  // One that begins after the delete may load the old value.
  await until("all loads to begin", async () => (await b.call("loads")) === loads[1]! + KEYS.length);
  await a.call("remove", KEYS);
  await loading;
  const seen = await Promise.all([a, b, c].map((each) => each.call("load", KEYS, "new", 10)));
  expect(new Set(seen.flat())).toEqual(new Set(["new"]));

  // A holder that is killed holds the others up for its lease alone.
  await a.call("remove", ["held"]);
  const before = await b.call("loads");
  void b.call("load", ["held"], "never", 60_000).catch(() => undefined);
  await until("the load to begin", async () => (await b.call("loads")) > before);
  await b.kill();
  expect(await c.call("load", ["held"], "of another", 10)).toEqual(["of another"]);
  await Promise.all([a, c].map((each) => each.call("close")));
  await Promise.all([a, c].map((each) => each.kill()));
});

it("C612 a process that was frozen, and whose connections the server ended, serves nothing that was deleted meanwhile", async () => {
  const [frozen, other] = await Promise.all([startProcess(), startProcess()]);
  const [gone, loaded] = [KEYS.slice(0, 10), KEYS.slice(10)];
  for (const each of [other, frozen]) await each.call("load", KEYS, "old", 0);
  frozen.pause();
  await server.query("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'hotset'");
  await other.call("remove", KEYS);
  await until("the deletes", async () => !(await other.call("has", KEYS)));
  // Much longer than `maxStaleness`.
  await new Promise((resolve) => setTimeout(resolve, 3_500));
  frozen.resume();
  expect(await Promise.all([frozen.call("has", gone), frozen.call("load", loaded, "new", 0)])).toEqual([
    false,
    loaded.map(() => "new"),
  ]);
  await Promise.all([frozen, other].map((each) => each.call("close").then(() => each.kill())));
});
