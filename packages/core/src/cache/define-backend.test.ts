import { scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it, vi } from "vitest";

it("a process in which no backend came by defineBackend refuses one, and says what to write", async () => {
  vi.resetModules();
  const { createCache } = await import("./create-cache.ts");
  const { defineBackend } = await import("./define-backend.ts");
  const backend = scriptedBackend({ clock: new TestClock() });
  const build = (): unknown => createCache({ name: "test" }).tier(backend).build();
  expect(build).toThrow("the backend scripted is a plain object; write tier(defineBackend(backend))");
  class Other {}
  const tier = Object.assign(new Other(), backend);
  const other = (): unknown => createCache({ name: "test" }).tier(tier).build();
  expect(other).toThrow("the backend scripted is of another copy of hotset: import or require all of it;");
  expect(defineBackend(backend)).toBe(backend);
  expect(build).not.toThrow();
});
