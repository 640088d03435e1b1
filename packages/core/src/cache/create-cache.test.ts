import { scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { ConfigurationError } from "../contracts/errors.ts";
import { checkCache, createCache } from "./create-cache.ts";

it.each([
  [{ name: "users" }, 'got name "users", version undefined'],
  [{ name: "", version: 2 }, 'got name "", version 2'],
] as const)("C146: a backend that stores keys as they are is refused for a cache with %j", (options, given) => {
  const clock = new TestClock();
  const bare = Object.assign(scriptedBackend({ clock }), { keepsKeys: true });
  const message = `name must be "", and version absent, over ${bare.label}, which stores keys as they are; ${given}`;
  const build = (): unknown => createCache(options).tier(bare).build();
  expect(build).toThrow(ConfigurationError);
  expect(build).toThrow(message);
  expect(createCache({ name: "", clock }).tier(bare).build().namespace).toBeDefined();
});

it.each([
  [undefined, "undefined"],
  [{}, "an object"],
  ["shop", "text of 4 characters"],
  [createCache({ name: "shop" }), "an object; did you forget .build()?"],
])("what is not a cache is refused, and said what it is: %o", (given, shown) => {
  const message = `keyvStore: cache must be what createCache(...).build() gives, got ${shown}`;
  expect(() => checkCache(given, "keyvStore")).toThrow(new ConfigurationError(message));
});
