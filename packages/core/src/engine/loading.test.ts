import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { flush, gate } from "@hotset/testing";
import { expect, it } from "vitest";
import { isLoading, Loading } from "./loading.ts";

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

const owner = {};
const load = (keys: string | ReadonlySet<string>, body: () => Promise<unknown>): Promise<unknown> => {
  const loading = new Loading(owner, keys);
  return loading.run(body).finally(() => loading.end());
};

it("counts every load around the caller that is not over", async () => {
  const inner = gate();
  let outer: Promise<unknown> | undefined;
  let innermost: Promise<unknown> | undefined;
  await load("a", async () => {
    outer = load("b", async () => {
      innermost = load("c", async () => {
        const during = ["a", "b", "c", "d"].map((key) => isLoading(owner, key));
        await inner.pass();
        return [during, ["a", "b", "c", "d"].map((key) => isLoading(owner, key))];
      });
    });
    await inner.arrived();
  });
  await outer;
  await flush();
  inner.open();
  expect(await innermost).toEqual([
    [true, true, true, false],
    [false, false, true, false],
  ]);
});

it("C51 keeps nothing of the loads that are over when each begins the next", async () => {
  const kept: WeakRef<object>[] = [];
  const last = gate();
  const begin = (left: number): Promise<unknown> => {
    const keys = new Set([String(left)]);
    kept.push(new WeakRef(keys));
    return load(keys, async () => {
      await flush();
      // Not awaited: this load is over before the next one.
      if (left > 0) void begin(left - 1);
      else await last.pass();
    });
  };
  void begin(20);
  await last.arrived();
  await flush();
  collectGarbage();
  expect(kept.filter((each) => each.deref() !== undefined).length).toBeLessThanOrEqual(2);
  last.open();
});
