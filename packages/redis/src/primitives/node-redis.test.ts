import { expect, it } from "vitest";
import { loadingFailed } from "./node-redis.ts";

it("a bundle in ESM without a require is not reported as a missing package", () => {
  const bundled = loadingFailed(new Error('Dynamic require of "node:crypto" is not supported'));
  expect(bundled.message).toMatch(/--format=cjs, or with the banner `import \{ createRequire \} from "node:module"/);
  expect(bundled.message).not.toContain("npm install");
  expect(loadingFailed(new Error("Cannot find package '@redis/client'")).message).toMatch(/npm install @redis\/client/);
  expect(loadingFailed(undefined).message).toMatch(/npm install @redis\/client/);
});
