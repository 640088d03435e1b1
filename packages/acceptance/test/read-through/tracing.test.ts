import { AsyncLocalStorage } from "node:async_hooks";
import diagnostics from "node:diagnostics_channel";
import { afterEach, expect, it } from "vitest";
import { open } from "../support/stacks.ts";

const undo: (() => void)[] = [];
afterEach(() => {
  for (const each of undo.splice(0)) each();
});

/** Everything told on a tracing channel, as `start load k` and the like. */
function listen(what: "load" | "backend", told: string[]): void {
  const channel = diagnostics.tracingChannel<string, Record<string, unknown>>(`hotset:${what}`);
  const tell = (when: string) => (context: object) => {
    const { key, operation, error } = context as {
      readonly key?: string;
      readonly operation?: string;
      readonly error?: Error;
    };
    told.push([when, what, key ?? operation, error?.message].filter((part) => part !== undefined).join(" "));
  };
  const subscribers = {
    start: tell("start"),
    end: tell("end"),
    asyncStart: tell("asyncStart"),
    asyncEnd: tell("asyncEnd"),
    error: tell("error"),
  };
  channel.subscribe(subscribers);
  undo.push(() => channel.unsubscribe(subscribers));
}

it("C119 a load and the calls of the backend around it are told from start to end", async () => {
  const told: string[] = [];
  listen("load", told);
  listen("backend", told);
  const { cache } = open("memory over backend");
  await cache.getOrSet("k", () => 1);
  expect(told.filter((each) => /^(start|asyncEnd)/.test(each))).toEqual([
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

it("C119 a failed load is told with its error, which reaches the caller as it is", async () => {
  const told: string[] = [];
  listen("load", told);
  const { cache } = open("memory");
  const down = new Error("db down");
  await expect(cache.getOrSet("k", () => Promise.reject(down))).rejects.toBe(down);
  expect(told).toContain("error load k db down");
});

it("C119 the loader runs inside what a subscriber bound to its start", async () => {
  const span = new AsyncLocalStorage<string>();
  const { start } = diagnostics.tracingChannel<string, { readonly key: string }>("hotset:load");
  start.bindStore(span, (context) => `span of ${context.key}`);
  undo.push(() => start.unbindStore(span));
  const { cache } = open("memory");
  expect(
    await cache.getOrSet("k", async () => {
      await Promise.resolve();
      return span.getStore() ?? "no span";
    }),
  ).toBe("span of k");
});
