import { flush, gate } from "@hotset/testing";
import { describe, expect, it } from "vitest";
import { open, STACKS, STACKS_WITH_BACKEND } from "../support/stacks.ts";

describe.each(STACKS)("over %s", (stack) => {
  it("the signal of a load whose stream is being read aborts neither by loadTimeout, nor by its caller, nor by close", async () => {
    const { cache, clock } = open(stack, { loadTimeout: 100 });
    const signals: AbortSignal[] = [];
    const caller = new AbortController();
    const load = (key: string): Promise<unknown> =>
      cache.getOrSet(key, ({ signal, notShared }) => (signals.push(signal), notShared(new ReadableStream())), {
        signal: caller.signal,
      });
    expect(await load("k")).toBeInstanceOf(ReadableStream);
    clock.advance(1_000);
    caller.abort();
    await flush();
    await cache.close();
    expect(signals.map(({ aborted }) => aborted)).toEqual([false]);
  });
});

describe.each(STACKS_WITH_BACKEND)("over %s", (stack) => {
  it("nor while the backend takes what the loader gave", async () => {
    const { cache, clock, backend } = open(stack, { loadTimeout: 100 });
    const storing = gate();
    backend.script("write", { key: "test::k", before: storing });
    const loads: { readonly signal: AbortSignal }[] = [];
    const answer = cache.getOrSet("k", (ctx) => (loads.push(ctx), "Ada"));
    await storing.arrived();
    clock.advance(100);
    const closing = cache.close({ timeout: 0 });
    clock.advance(0);
    await expect(answer).rejects.toMatchObject({ code: "CACHE_CLOSED" });
    // Also one that is read for the first time now.
    expect(loads.map(({ signal }) => signal.aborted)).toEqual([false]);
    storing.open();
    await closing;
  });
});
