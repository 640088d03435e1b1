/** A deploy that changes the shape of values while old processes run, over a real Redis: C746. */
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { forkScript, randomPrefix, startOwnRedis, until, type ScriptProcess } from "@hotset/test-servers";
import { afterAll, beforeAll, expect, it } from "vitest";
import type { ShapeService, ShapeSettings } from "../support/shape-service.ts";

const SCRIPT = new URL("../support/shape-service.ts", import.meta.url);
const KEYS = 10;

const server = await startOwnRedis();
let folder: string;
const running: ScriptProcess<ShapeService>[] = [];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "hotset-shapes-"));
});
afterAll(async () => {
  await Promise.all(running.map((each) => each.kill()));
  await server.stop();
  await rm(folder, { recursive: true });
});

it("C746 while processes of both shapes run, none gets the other's values, hits stay, and a delete reaches all", async () => {
  const source = join(folder, "cents");
  await writeFile(source, "100");
  const keyPrefix = randomPrefix();
  const start = (release: ShapeSettings["release"]): ScriptProcess<ShapeService>["call"] => {
    const settings: ShapeSettings = { url: server.url, keyPrefix, release, source };
    const started = forkScript<ShapeService>(SCRIPT, { args: [JSON.stringify(settings)] });
    running.push(started);
    return started.call.bind(started);
  };
  const old = [start(1), start(1)];
  for (const each of old) expect(await each("traffic", KEYS, 50)).toBe(0);
  expect(await old[0]!("user", "ada", "Ada")).toBe("Ada");

  // The new release comes, and traffic goes on in all three.
  const next = start(2);
  const wrong = await Promise.all([...old, next].map((each) => each("traffic", KEYS, 100)));
  expect(wrong).toEqual([0, 0, 0]);
  // Each shape was loaded once, whatever the other one did; no other namespace was lost.
  const counts = await Promise.all([...old, next].map((each) => each("loads")));
  expect(counts[0]!.loads + counts[1]!.loads).toBe(KEYS);
  expect(counts[2]!.loads).toBe(KEYS);
  expect(counts.every(({ undecodable }) => undecodable === 0)).toBe(true);
  expect(await next("user", "ada", "loaded again")).toBe("Ada");

  // A change by any of them is seen by all.
  for (const [cents, by] of [
    [200, old[0]!],
    [300, next],
    [400, old[1]!],
  ] as const) {
    await writeFile(source, String(cents));
    expect(await by("delete", "p1")).toBe("deleted");
    for (const each of [...old, next]) await until(`${cents} cents`, async () => (await each("price", "p1")) === cents);
  }

  // The old release ends; a fourth process of the new one finds everything warm.
  await Promise.all(old.map((each) => each("close")));
  const fourth = start(2);
  expect(await fourth("traffic", KEYS, 20)).toBe(0);
  expect(await fourth("loads")).toEqual({ loads: 0, undecodable: 0 });
  await Promise.all([next("close"), fourth("close")]);
});
