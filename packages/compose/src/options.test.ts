import { scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { compose } from "./compose.ts";

it("sides are backends: a builder is told what it lacks", () => {
  const backend = scriptedBackend({ clock: new TestClock() });
  const builder = { build: () => backend };
  expect(() => compose(backend, builder as never, { nearTtl: 1 })).toThrow(
    "compose: far must be a backend such as redis(url).build(), got an object; did you forget .build()?",
  );
});
