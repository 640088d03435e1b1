import { createTestCache, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import { BackendUnavailableError } from "../contracts/errors.ts";

function opened() {
  const lines: string[] = [];
  const write = (level: string) => (text: string) => void lines.push(`${level} ${text}`);
  const logger = { error: write("error"), warn: write("warn"), info: write("info") };
  const backend = scriptedBackend({ clock: new TestClock() });
  return { cache: createTestCache({ backend, local: false, logger }), backend, lines };
}

/** Without a logger the first trouble of each kind is a warning of Node's. */
function unobserved() {
  const backend = scriptedBackend({ clock: new TestClock() });
  return { cache: createTestCache({ backend, local: false, logger: undefined }), backend };
}

it.for([
  ["pg: connect failed; check that it can be reached", 'database "nodb" does not exist\nmore', "; cause: "],
  ["file: read failed: see cause", "disk I/O error", ""],
  ["pg: connect failed", "", ""],
  ["Redis cannot be used: WRONGPASS no such user; check it", "WRONGPASS no such user.", ""],
] as const)("says the innermost reason, once: %s", async ([text, reason, joined]) => {
  const { cache, backend, lines } = opened();
  const innermost = new AggregateError([new Error(reason)], "");
  backend.script("read", {
    fail: new BackendUnavailableError(text, { cause: new Error("outer", { cause: innermost }) }),
  });
  await cache.get("k");
  const [line = ""] = lines;
  const said = line.slice('warn hotset: cache "test": '.length);
  if (joined !== "") expect(said).toBe(`${text}${joined}${reason.split("\n")[0]}`);
  else if (text.endsWith("see cause")) expect(said).toBe(`file: read failed: ${reason}`);
  else expect(said).toBe(reason === "" ? `${text}; cause: outer` : text);
});

it("says no reason that may quote a value", async () => {
  const { cache, lines } = opened();
  const value = {
    toJSON: () => {
      throw new Error("hunter2");
    },
  };
  await cache.getOrSet("k", () => value);
  expect(lines.join("\n")).toMatch(/json: the value cannot be written/);
  expect(lines.join("\n")).not.toContain("hunter2");
});

it.for([
  ["no text", { value: undefined }],
  ["a getter that throws", { get: () => expect.unreachable() as string }],
] as const)("an error whose message is %s fails its call alone, with and without a logger", async ([, message]) => {
  for (const { cache, backend } of [opened(), unobserved()]) {
    backend.script("read", { fail: Object.defineProperty(new Error("of the driver"), "message", message) });
    expect(await cache.getOrSet("k", () => "loaded")).toBe("loaded");
  }
});
