import { execFile } from "node:child_process";
import { promisify } from "node:util";
import { expect, it } from "vitest";

it("with NODE_DEBUG=hotset an open cache says that it keeps its program alive, until it is closed", async () => {
  const program = `
    import { createCache } from "@hotset/core";
    import { scriptedBackend, TestClock } from "@hotset/testing";
    const backend = scriptedBackend({ clock: new TestClock() });
    const cache = createCache({ name: "shop" }).tier(backend).build();
    setTimeout(() => cache.close(), 6_000);
    setTimeout(() => undefined, 10_500);`;
  const args = ["--conditions=@hotset/source", "--input-type=module", "-e", program];
  const options = { cwd: import.meta.dirname, env: { ...process.env, NODE_DEBUG: "hotset" } };
  const { stderr } = await promisify(execFile)(process.execPath, args, options);
  const said = stderr.split("\n").filter((line) => line.includes('cache "shop" is open, and keeps this program alive'));
  expect(said.length).toBe(1);
}, 30_000);
