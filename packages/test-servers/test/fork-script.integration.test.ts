import { afterEach, expect, it } from "vitest";
import { forkScript, type ForkScriptOptions, type ScriptProcess } from "../src/index.ts";
import type { Forked } from "./forked.ts";

const forked: ScriptProcess<Forked>[] = [];
const fork = (options?: ForkScriptOptions): ScriptProcess<Forked> => {
  const child = forkScript<Forked>(new URL("./forked.ts", import.meta.url), options);
  forked.push(child);
  return child;
};
afterEach(async () => {
  for (const child of forked.splice(0)) await child.kill();
});

it("runs a script of the workspace's sources, with its own environment and arguments", async () => {
  const child = fork({ env: { FORKED: "yes" }, args: ["a", "b"] });
  expect(await child.call("where")).toEqual({
    pid: child.pid,
    args: ["a", "b"],
    execArgv: ["--conditions=@hotset/source"],
    env: "yes",
  });
});

it("passes bytes, maps and undefined both ways", async () => {
  const child = fork();
  const value = { bytes: Uint8Array.of(0, 255), map: new Map([["k", undefined]]), at: new Date(0) };
  expect(await child.call("echo", value)).toEqual(value);
});

it("answers several calls, and keeps its state", async () => {
  const child = fork();
  const never = child.call("never");
  expect(await Promise.all([child.call("count"), child.call("count")])).toEqual([1, 2]);
  void child.kill();
  await expect(never).rejects.toThrow("The process ended with SIGKILL");
});

it("throws the error of the handler, with its name and code", async () => {
  const child = fork();
  await expect(child.call("fail")).rejects.toMatchObject({
    name: "TypeError",
    message: "not like this",
    code: "ERR_SUCH",
  });
  await expect(child.call("unclonable")).rejects.toThrow("could not be cloned");
  await expect(child.call("missing" as "count")).rejects.toThrow(
    "unknown handler missing; the handlers are echo, where",
  );
});

it("bounds a call, and quotes the error output of the script", async () => {
  const child = fork({ callTimeoutMs: 500 });
  await expect.poll(() => child.stdout).toBe("up\n");
  await expect(child.call("never")).rejects.toThrow("No answer to never within 500 ms");
  const patient = fork();
  await expect(patient.call("exit", 3)).rejects.toThrow(
    "The process ended with code 3. End of its error output:\ngoing down",
  );
  expect(await patient.exited).toEqual({ code: 3, signal: null });
  await expect(patient.call("count")).rejects.toThrow("The process ended with code 3");
});

it("freezes and goes on", async () => {
  const child = fork();
  await child.call("count");
  child.pause();
  const count = child.call("count");
  expect(await Promise.race([count, new Promise((resolve) => setTimeout(resolve, 100, "silent"))])).toBe("silent");
  child.resume();
  expect(await count).toBe(2);
});

it("reports whether the process ends by itself", async () => {
  const child = fork();
  await child.call("count");
  expect(await child.end()).toEqual({ code: 0, signal: null });

  const busy = fork();
  await busy.call("stay");
  await expect(busy.end(200)).rejects.toThrow("did not end within 200 ms");
  expect(await busy.exited).toEqual({ code: null, signal: "SIGKILL" });
});

it("reports why a script does not start", async () => {
  const child = forkScript<Forked>("/nonexistent/script.ts");
  await expect(child.call("count")).rejects.toThrow(
    /The process ended with code 1\. End of its error output:[^]*Cannot find module/,
  );
});
