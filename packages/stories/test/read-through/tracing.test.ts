import { AsyncLocalStorage } from "node:async_hooks";
import diagnostics from "node:diagnostics_channel";
import { expect, it, onTestFinished } from "vitest";
import { open } from "../support/stacks.ts";

/** Records every event of a tracing channel in `events`, such as `start load k`. */
function listen(what: "load" | "backend", events: string[]): void {
  const channel = diagnostics.tracingChannel<string, Record<string, unknown>>(`hotset:${what}`);
  const record = (when: string) => (context: object) => {
    const { key, operation, error } = context as {
      readonly key?: string;
      readonly operation?: string;
      readonly error?: Error;
    };
    events.push([when, what, key ?? operation, error?.message].filter((part) => part !== undefined).join(" "));
  };
  const subscribers = {
    start: record("start"),
    end: record("end"),
    asyncStart: record("asyncStart"),
    asyncEnd: record("asyncEnd"),
    error: record("error"),
  };
  channel.subscribe(subscribers);
  onTestFinished(() => channel.unsubscribe(subscribers));
}

it("C119 a load and its backend calls are traced from start to end", async () => {
  const events: string[] = [];
  listen("load", events);
  listen("backend", events);
  const { cache } = open("memory over backend");
  await cache.getOrSet("k", () => 1);
  expect(events.filter((each) => /^(start|asyncEnd)/.test(each))).toEqual([
    "start backend read",
    "asyncEnd backend read",
    "start backend tags",
    "asyncEnd backend tags",
    "start load k",
    "asyncEnd load k",
    "start backend write",
    "asyncEnd backend write",
  ]);
});

it("C119 a failed load is traced with its error, and the caller gets the same error", async () => {
  const events: string[] = [];
  listen("load", events);
  const { cache } = open("memory");
  const down = new Error("db down");
  await expect(cache.getOrSet("k", () => Promise.reject(down))).rejects.toBe(down);
  expect(events).toContain("error load k db down");
});

it("C119 the loader runs in the async context that a subscriber bound to its start", async () => {
  const span = new AsyncLocalStorage<string>();
  const { start } = diagnostics.tracingChannel<string, { readonly key: string }>("hotset:load");
  start.bindStore(span, (context) => `span of ${context.key}`);
  onTestFinished(() => void start.unbindStore(span));
  const { cache } = open("memory");
  expect(
    await cache.getOrSet("k", async () => {
      await Promise.resolve();
      return span.getStore() ?? "no span";
    }),
  ).toBe("span of k");
});

it("C145 spans hold neither the loaded value nor its bytes", async () => {
  const contexts: object[] = [];
  for (const what of ["load", "backend"] as const)
    for (const stage of ["start", "end", "asyncStart", "asyncEnd"] as const) {
      const record = (context: unknown): void => void contexts.push({ ...(context as object) });
      diagnostics.subscribe(`tracing:hotset:${what}:${stage}`, record);
      onTestFinished(() => void diagnostics.unsubscribe(`tracing:hotset:${what}:${stage}`, record));
    }
  const { cache } = open("backend");
  expect(await cache.getOrSet("k", () => "secret of Ada")).toBe("secret of Ada");
  expect(await cache.get("k")).toBe("secret of Ada");
  expect(contexts.length).toBeGreaterThan(10);
  expect(
    contexts
      .flatMap((context) => Object.entries(context))
      .filter(([name, value]) => name === "result" && value !== undefined),
  ).toEqual([]);
});
