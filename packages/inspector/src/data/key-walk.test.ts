import { knownKey, limitKey, lockPlace } from "@hotset/redis-toolkit/inspect";
import type { Module } from "@hotset/redis-toolkit/module";
import { expect, it } from "vitest";
import { KeyWalk } from "./key-walk.ts";

/** A view of one tenant over primaries with these keys, in pages of a thousand. */
function walkOver(primaries: readonly (readonly string[])[], prefix: string): KeyWalk {
  const primary = (keys: readonly string[], i: number) => ({
    address: `10.0.0.${i}:6379`,
    call: (args: readonly string[]) => {
      const from = Number(args[1]);
      const next = from + 1_000 < keys.length ? from + 1_000 : 0;
      return Promise.resolve([
        Buffer.from(String(next)),
        keys.slice(from, from + 1_000).map((key) => Buffer.from(key)),
      ]);
    },
    burst: (commands: readonly unknown[]) => Promise.resolve(commands.map(() => 100)),
  });
  const module = {
    connection: { each: (ask: (of: unknown) => unknown) => Promise.all(primaries.map(primary).map(ask)) },
    space: {
      prefix,
      pattern: (glob: string) => prefix + glob,
      outside: (key: string) => (key.startsWith(prefix) ? key.slice(prefix.length) : key),
    },
  };
  return new KeyWalk(module as unknown as Module, { knownKey, limitKey, lockPlace });
}

it("finds queues, locks, limits and caches of a tenant by their keys", async () => {
  const walk = walkOver(
    [
      ["acme:queue:{acme:mails}:state", "acme:queue:{acme:mails}:jobs", "acme:queue:{acme:a%7Bb%25}:state"],
      [`acme:session:${"7".repeat(20)}`, "acme:{acme:session:7}:~moved", "acme:session:7"],
      [
        "acme:lock:{acme:report}",
        "acme:lock:fence:{acme:report}",
        "acme:lock:readers:{acme:stock}",
        "acme:lock:{order:7}:stock",
        "acme:rate_limit:login:{acme:ada}:fixed-window:60",
        "acme:rate_limit:login:{acme:bob}:fixed-window:60",
        "acme:rate_limit:login:{acme:bob}:block",
        "hotset:shop::user:1",
        "hotset:shop:eu::user:2",
        "hotset:{~shop}::tag",
        "hotset:shop:~processes::0",
        "hotset~lease:{hotset:shop::user:1}",
        "other:key",
      ],
    ],
    "acme:",
  );
  const seen = await walk.step();
  expect(seen.queues).toEqual(["a{b%", "mails"]);
  expect(seen.locks).toEqual([
    { kind: "lock", name: "report", key: "acme:lock:{acme:report}", fenceKey: "acme:lock:fence:{acme:report}" },
    {
      kind: "readers",
      name: "stock",
      key: "acme:lock:readers:{acme:stock}",
      fenceKey: "acme:lock:read-write-fence:{acme:stock}",
    },
    {
      kind: "lock",
      name: "{order:7}:stock",
      key: "acme:lock:{order:7}:stock",
      fenceKey: "acme:lock:fence:{order:7}:stock",
    },
  ]);
  expect(seen.limits).toEqual([{ name: "login", callers: 2, blocked: 1 }]);
  expect(seen.groups.map(({ kind, owner, keys }) => `${kind} ${owner} ${keys}`).toSorted()).toEqual([
    "entries of a cache hotset:shop 2",
    "leases of a cache hotset:shop 1",
    "lock  4",
    "other other 1",
    "other session 1",
    "queue a{b% 1",
    "queue mails 2",
    "rate-limit login 3",
    "records of processes hotset:shop 1",
    "sessions  2",
    "tag versions of a cache hotset:shop 1",
  ]);
  expect({ keys: seen.keys, isComplete: seen.isComplete }).toEqual({ keys: 19, isComplete: true });
});

it("looks at 20,000 keys a step, and estimates sizes by a sample", async () => {
  const keys = Array.from({ length: 45_000 }, (_, i) => `hotset:shop::${i}`);
  const walk = walkOver([keys], "");
  const steps = [await walk.step(), await walk.step(), await walk.step()];
  expect(steps.map(({ keys: looked, isComplete }) => [looked, isComplete])).toEqual([
    [20_000, false],
    [40_000, false],
    [45_000, true],
  ]);
  expect(steps[2]!.groups).toEqual([
    { kind: "entries of a cache", owner: "hotset:shop", keys: 45_000, bytes: 4_500_000 },
  ]);
  // Figures of the whole pass stay while the next one runs.
  expect((await walk.step()).keys).toBe(45_000);
});
