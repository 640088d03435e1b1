/** Values that the backend refuses for their size, in a process that receives invalidations. */
import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { gatedLoads, inStep } from "../support/processes.ts";
import { never } from "../support/stacks.ts";

describe("C102 a value that the backend refuses for its size, where changes are received,", () => {
  const LARGE = "x".repeat(200);
  const two = () => inStep({ backend: { maxEntryBytes: 100 } });

  it.each(["load", "set"] as const)(
    "is not trusted after a %s, since no entry can confirm it; it is the fallback while the backend is unreachable",
    async (how) => {
      const { p1 } = await two();
      if (how === "load") await p1.cache.getOrSet("k", () => LARGE);
      else expect(await p1.cache.set("k", LARGE)).toMatchObject({ status: "refused" });
      await flush();
      expect(p1.cache.peek("k")).toBe(undefined);
      p1.backend.down();
      expect(await p1.cache.getOrSet("k", never)).toBe(LARGE);
    },
  );

  it("neither outlives nor removes an entry that another process stored while it was loaded", async () => {
    const { p1, p2 } = await two();
    const loads = gatedLoads<string>();
    const loading = p1.cache.getOrSet("k", loads.load);
    await loads.arrived(1);
    await p2.cache.set("k", "newer");
    loads.runs[0]!.open(LARGE);
    expect(await loading).toBe(LARGE);
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p2.cache.get("k")).toBe("newer");
    expect(await p1.cache.get("k")).toBe("newer");
  });

  it("is not served after another process removed the key before its own set was answered", async () => {
    const { p1, p2 } = await two();
    const late = gate();
    p1.backend.script("remove", { after: late });
    const setting = p1.cache.set("k", LARGE);
    await late.arrived();
    await p2.cache.set("k", "newer");
    await p2.cache.delete("k");
    late.open();
    expect(await setting).toMatchObject({ status: "refused" });
    await flush();
    expect(p1.cache.peek("k")).toBe(undefined);
    expect(await p1.cache.get("k")).toBe(undefined);
  });
});
