// Attacks on the packed packages, installed by npm in a project outside the repository, with default options where
// nothing else is said. Each runs in a process of its own with 256 MB of heap.
//
//   npm run tool -- attacks               builds and packs; needs the registry of npm
//   npm run tool -- attacks bomb sealed   those with one of these words in their names
//
// The attacks themselves are in .ci/newcomer/attacks.

import { cpSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { startCluster, startOwnRedis } from "@hotset/test-servers";
import { byName, pack, upstream } from "./pack.ts";
import { Project } from "./project.ts";
import { startRegistry } from "./registry.ts";

const top = dirname(dirname(dirname(fileURLToPath(import.meta.url))));
const wanted = process.argv.slice(2);

await using registry = await startRegistry(byName(pack(top)), upstream());
await using single = await startOwnRedis();
await using withoutHello = await startOwnRedis({ password: "hunter2secret", config: ["rename-command HELLO HOLA"] });
await using cluster = await startCluster();
const urls = { single: single.url, withoutHello: withoutHello.url, cluster: cluster.nodes.map(({ url }) => url) };

/** Where memory is what is bounded, and the bound is higher. */
const HEAP_MB: Readonly<Record<string, number>> = { "300,000 calls that wait": 768 };
const project = new Project("attacks", registry.url, {
  type: "module",
  dependencies: { hotset: "latest", "@hotset/http": "latest" },
});
let [tried, succeeded] = [0, 0];
try {
  await project.run("npm", ["install"]);
  cpSync(join(top, ".ci/newcomer/attacks"), project.folder, { recursive: true });
  const flags = ["--experimental-strip-types", "--no-warnings", "--expose-gc"];
  const { stdout } = await project.run(process.execPath, [...flags, "attack.ts"]);
  for (const name of stdout.trim().split("\n")) {
    if (wanted.length > 0 && !wanted.some((word) => name.includes(word))) continue;
    tried += 1;
    await single.command("FLUSHALL");
    try {
      const heap = `--max-old-space-size=${HEAP_MB[name] ?? 256}`;
      await project.run(process.execPath, [...flags, heap, "attack.ts", name, JSON.stringify(urls)]);
      console.log(`${name.startsWith("control") ? "passed " : "refused"}      ${name}`);
    } catch (error) {
      succeeded += 1;
      // Without the command line, which is long.
      const [, ...lines] = [...new Set((error as Error).message.split("\n"))];
      console.log(`NOT REFUSED  ${name}\n${lines.slice(0, 10).join("\n")}`);
    }
  }
} finally {
  project.remove();
}
console.log(succeeded === 0 ? `${tried} attacks were refused` : `${succeeded} of ${tried} succeeded`);
process.exitCode = succeeded === 0 ? 0 : 1;
