import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { SwapStore } from "@hotset/core/stores";
import { afterAll, afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { forkSwapStore } from "./forked-swap-store.ts";

const folder = mkdtempSync(join(tmpdir(), "hotset-forked-"));
afterAll(() => rmSync(folder, { recursive: true }));

const script = (name: string, text?: string): URL => {
  const path = join(folder, name);
  if (text !== undefined) writeFileSync(path, text);
  return pathToFileURL(path);
};
const failureOf = (call: Promise<unknown>): Promise<Error> =>
  call.then(
    () => new Error("it was answered"),
    (error: Error) => error,
  );

describe("a store in another process", () => {
  let store: SwapStore<string>;
  const calls = (): readonly Promise<unknown>[] => [
    store.get("name"),
    store.swap("name", Uint8Array.of(1), undefined, 1_000),
    store.delete("name", "v"),
  ];
  const failures = async (): Promise<readonly Error[]> => [
    ...(await Promise.all(calls().map(failureOf))),
    await failureOf(store.get("after its end")),
  ];
  const eachIs = (message: string): readonly unknown[] => {
    const failure: unknown = expect.objectContaining({
      ...{ code: "BACKEND_UNAVAILABLE", message: expect.stringContaining(message) },
    });
    return [failure, failure, failure, failure];
  };

  it.each<[what: string, url: URL, message: string]>([
    ["does not exist", script("missing.js"), "/missing.js does not exist"],
    [
      "throws",
      script("broken.mjs", "throw new Error('no database')"),
      "/broken.mjs ended with 1; its own error is on stderr",
    ],
    [
      "ends without a call of answerForSwapStore",
      script("idle.mjs", ""),
      "/idle.mjs ended with 0; does it call answerForSwapStore(store)?",
    ],
    ["is killed", script("killed.mjs", "process.kill(process.pid, 'SIGKILL')"), "/killed.mjs ended with SIGKILL"],
  ])("rejects each call with a sentence if its script %s", async (_, url, message) => {
    store = forkSwapStore(url, { execArgv: ["--stack-trace-limit=0"] });
    expect(await failures()).toEqual(eachIs(message));
    // What fails in it leaves nothing to close.
    await store.close();
  });

  describe("whose script stays silent", () => {
    beforeEach(() => void vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] }));
    afterEach(() => void vi.useRealTimers());

    it("rejects each call after 20 seconds", async () => {
      store = forkSwapStore(script("silent.mjs", "setInterval(() => undefined, 1_000)"));
      const failed = failureOf(store.get("name"));
      vi.advanceTimersByTime(20_000);
      expect((await failed).message).toContain("has not called answerForSwapStore(store) within 20 s");
      expect(await failures()).toEqual(eachIs("has not called answerForSwapStore(store) within 20 s"));
    });

    it("has no such bound once it is there, and can be closed twice", async () => {
      const answering = `process.on("message", ({ id, method }) => process.send({ id, value: method }));
process.send({ id: 0 });`;
      store = forkSwapStore(script("answers.mjs", answering));
      expect(await store.get("name")).toBe("get");
      vi.advanceTimersByTime(60_000);
      expect(await store.delete("name", "v")).toBe("delete");
      await Promise.all([store.close(), store.close()]);
      await store.close();
      expect((await failureOf(store.get("name"))).message).toContain("was closed");
    });
  });
});
