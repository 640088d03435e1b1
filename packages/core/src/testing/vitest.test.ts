import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

const run = promisify(execFile);

it("is needed by the suites only: the rest of the entry point works without it", async () => {
  const program = `
    import { registerHooks } from "node:module";
    registerHooks({
      resolve(specifier, context, next) {
        if (specifier === "vitest") throw Object.assign(new Error("Cannot find package 'vitest'"), { code: "ERR_MODULE_NOT_FOUND" });
        return next(specifier, context);
      },
    });
    const { TestClock, describeBackend, gate, scriptedBackend } = await import(${JSON.stringify(new URL("./index.ts", import.meta.url).href)});
    const backend = scriptedBackend({ clock: new TestClock() });
    console.log(await backend.remove("k"), gate().waiting);
    try {
      describeBackend("any", { open: () => backend, expiry: "clock" });
    } catch (error) {
      console.log(error.code, error.message, error.cause.code);
    }
  `;
  const { stdout } = await run(process.execPath, [
    "--conditions=@hotset/source",
    "--input-type=module",
    "--eval",
    program,
  ]);
  expect(stdout.split("\n")).toEqual([
    "missing 0",
    "INVALID_CONFIGURATION describeBackend is a suite for Vitest: install vitest, an optional peer of @hotset/core ERR_MODULE_NOT_FOUND",
    "",
  ]);
});
