import { AsyncResource, createHook } from "node:async_hooks";
import { afterEach, expect, it, vi } from "vitest";

afterEach(() => {
  vi.restoreAllMocks();
  vi.resetModules();
});

it("an import leaves no async resource open, which test runners report as an open handle", async () => {
  const open = new Map<number, string>();
  const ended: string[] = [];
  const hook = createHook({
    init: (id, type) => void (type.startsWith("hotset") && open.set(id, type)),
    destroy: (id) => {
      const type = open.get(id);
      if (type !== undefined) ended.push(type);
      open.delete(id);
    },
  }).enable();
  vi.resetModules();
  const { inNoCall } = await import("./async-context.ts");
  await new Promise((resolve) => setImmediate(resolve));
  hook.disable();

  expect([...open.values()]).toEqual([]);
  expect(ended).toEqual(["hotset"]);
  expect(inNoCall(() => "still runs")).toBe("still runs");
});

it("runs where `emitDestroy` of an async resource returns nothing, as in Bun and workerd", async () => {
  const destroyed = vi.spyOn(AsyncResource.prototype, "emitDestroy").mockReturnValue(undefined as never);
  vi.resetModules();
  const { inNoCall } = await import("./async-context.ts");

  expect(destroyed).toHaveBeenCalledOnce();
  expect(inNoCall(() => "runs")).toBe("runs");
});
