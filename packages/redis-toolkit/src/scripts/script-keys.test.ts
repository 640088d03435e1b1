import { globSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { InvalidArgumentError } from "@hotset/core";
import { TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { activeUsers, uniques } from "../boards/counters.ts";
import { leaderboard } from "../boards/leaderboard.ts";
import { CommandBuilder } from "../commands/command-builder.ts";
import type { RedisView } from "../index.ts";
import { KeySpace } from "../keys/key-space.ts";
import { exclusive, permit, reading, writing } from "../locks/claim.ts";
import { hostModules, type Module } from "../module/module.ts";
import { KEY_NAMES } from "../queue/keys.ts";

const sources = resolve(import.meta.dirname, "..");
const MOST = 64;

/** How many keys the scripts of each file that sends some have at most. The longest are sent below. */
const KEYS_OF_SCRIPTS: Readonly<Record<string, number | "those of the caller">> = {
  "boards/counters.ts": MOST,
  "boards/leaderboard.ts": MOST,
  "boards/presence.ts": 1,
  "boards/user-presence.ts": 2,
  "boards/windows.ts": MOST,
  "commands/command-builder.ts": MOST,
  "commands/view.ts": "those of the caller",
  "inspect/used-limits.ts": 1,
  "limits/express-store.ts": 1,
  // The block, and eight rules.
  "limits/limiter.ts": 9,
  "locks/servers.ts": MOST,
  "queue/store.ts": KEY_NAMES.length,
  "scripts/define-script.ts": "those of the caller",
  "sessions/json-records.ts": 1,
  "sessions/session-records.ts": 3,
  "streams/stream-place.ts": 3,
};

it("each file that sends a script is known by how many keys it has", () => {
  const senders = globSync("**/*.ts", { cwd: sources })
    .filter((file) => !file.endsWith(".test.ts"))
    .filter((file) =>
      /\b(?:runScript|runScriptIn|runInCurrentWindow|describeScript|#script)\(|"EVALSHA", (?!error|"FCALL")/.test(
        readFileSync(join(sources, file), "utf8"),
      ),
    );
  expect(senders.toSorted()).toEqual(Object.keys(KEYS_OF_SCRIPTS).toSorted());
});

/** A view whose scripts are not run: it notes how many keys each has. */
function recording(): { readonly view: RedisView; readonly counts: number[] } {
  const counts: number[] = [];
  const module = {
    ...{ clock: new TestClock(), connection: {}, space: KeySpace.root },
    runScript: async (_script: string, keys: readonly string[]) => {
      counts.push(keys.length);
      // A union that is not there yet.
      return keys.length === 2 ? ["absent"] : ["done", 0, 0, 0, []];
    },
  } as unknown as Module;
  return { view: hostModules({}, () => module) as RedisView, counts };
}

const names = (count: number): readonly string[] => Array.from({ length: count }, (_, i) => `name ${i}`);

it("windows beyond what one script takes go in steps of 64 keys at most", async () => {
  const { view, counts } = recording();
  const users = activeUsers(view, "u", { keep: 999 });
  const board = leaderboard(view, "b", { window: "hourly", keep: 999 });
  const [page, ...others] = names(1_000).map((name) => uniques(view, name, { group: "g" }));
  const daily = uniques(view, "d", { window: "daily", keep: 999 });
  for (const call of [
    () => users.count({ windows: 1_000 }),
    () => users.count({ windows: 1_000, in: "every" }),
    () => users.counts({ windows: 1_000 }),
    () => board.union({ windows: 1_000 }).top(),
    () => board.union({ windows: 1_000, maxAge: "1m" }).size(),
    () => page!.count({ with: others }),
    () => daily.count({ windows: 1_000 }),
  ]) {
    counts.length = 0;
    await call();
    expect(counts.reduce((sum, count) => sum + count)).toBeGreaterThanOrEqual(1_000);
    expect(Math.max(...counts)).toBe(MOST);
  }
  for (const windows of [62, 63, 64, 65, 125, 126, 127]) {
    counts.length = 0;
    await board.union({ windows }).size();
    await users.count({ windows });
    await users.counts({ windows });
    await daily.count({ windows });
    expect(Math.max(...counts)).toBeLessThanOrEqual(MOST);
  }
});

const LOCKS = { prefix: "lock:", space: KeySpace.root };

it("what is all or none takes 64 keys at most, and refuses more before anything is sent", () => {
  const make = new CommandBuilder({ space: KeySpace.root, defaultTtlMs: undefined, defaultHashTtlMs: undefined });
  const keys = names(64).map((name) => `{k}${name}`);
  expect(make.incrMany(keys).keys?.length).toBe(MOST);
  expect(make.setManyIfAbsent(keys.map((key) => [key, 1])).keys?.length).toBe(MOST);
  expect(exclusive(LOCKS, names(32)).keys.length).toBe(MOST);
  for (const { keys: few } of [permit(LOCKS, "a", 5), reading(LOCKS, "a"), writing(LOCKS, "a")])
    expect(few.length).toBeLessThan(4);
  for (const [call, message] of [
    [
      () => make.incrMany([...keys, "{k}one more"]),
      "incrMany: keys must be at most 64, as they change in one step, got 65",
    ],
    [
      () => make.setManyIfAbsent([...keys, "{k}one more"].map((key) => [key, 1])),
      "setManyIfAbsent: entries must be at most 64, as they change in one step, got 65",
    ],
    [() => exclusive(LOCKS, names(33)), "lock: give a name, or a list of 1 to 32 names, got 33 names"],
  ] as const)
    expect(call).toThrow(new InvalidArgumentError(message));
});
