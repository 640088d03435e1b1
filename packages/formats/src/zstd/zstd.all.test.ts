/** The tests of zstd on zstd-napi: a checkout whose install ran without build scripts compiles it here. */
import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, it } from "vitest";
import { nativeEngine } from "./engine.ts";

const compile = fileURLToPath(new URL("../../../../.ci/zstd-napi.mjs", import.meta.url));
await promisify(execFile)(process.execPath, [compile]);

it("runs on zstd-napi where that is installed", () => {
  expect(nativeEngine(3, 1_024)?.name).toBe("native");
});

await import("./zstd.test.ts");
