import { spawn } from "node:child_process";
import { setTimeout as sleep } from "node:timers/promises";
import { freePort } from "@hotset/test-servers";
import type { Project } from "./project.ts";

const ROUTE = `import { createCache, memory, redis } from "hotset";

const cache = createCache({ name: "next" })
  .tier(memory())
  .tier(redis(process.env.REDIS_URL).keyPrefix(process.env.KEY_PREFIX).build())
  .build();
let loads = 0;

export const dynamic = "force-dynamic";

export async function GET(_request, { params }) {
  const { sku } = await params;
  const product = await cache.getOrSet(sku, () => ({ sku, made: new Date(0), load: (loads += 1) }), { ttl: "1m" });
  return Response.json({ ...product, loads });
}
`;

interface Newcomer {
  project(name: string, manifest?: object): Project;
  check(condition: boolean, message: string): void;
}

/** `next build` of a minimal application with a route handler; two servers of it share what one has loaded. */
export async function nextApplication(
  { project, check }: Newcomer,
  node: string,
  environment: NodeJS.ProcessEnv,
): Promise<void> {
  const made = project("next", {
    dependencies: { hotset: "latest", next: "16.4.6", react: "19.3.1", "react-dom": "19.3.1" },
  });
  await made.run("npm", ["install"]);
  made.write("app/products/[sku]/route.js", ROUTE);
  made.write(
    "app/layout.js",
    "export default function Layout({ children }) {\n  return <html><body>{children}</body></html>;\n}\n",
  );
  const next = "node_modules/next/dist/bin/next";
  const settings = { ...environment, NEXT_TELEMETRY_DISABLED: "1" };
  await made.run(node, [next, "build"], settings);
  const answers: unknown[] = [];
  for (let server = 0; server < 2; server += 1) {
    const port = await freePort();
    const started = spawn(node, [next, "start", "-p", String(port)], {
      cwd: made.folder,
      env: { PATH: process.env["PATH"], HOME: process.env["HOME"], ...settings },
      stdio: "ignore",
    });
    try {
      for (let request = 0; request < 2; request += 1)
        answers.push(await answerOf(`http://127.0.0.1:${port}/products/kettle`));
    } finally {
      started.kill("SIGTERM");
    }
  }
  const expected = [1, 1, 0, 0].map((loads) => ({ sku: "kettle", made: "1970-01-01T00:00:00.000Z", load: 1, loads }));
  check(JSON.stringify(answers) === JSON.stringify(expected), JSON.stringify(answers));
}

/** Once the server listens. */
async function answerOf(url: string): Promise<unknown> {
  for (let attempt = 0; ; attempt += 1)
    try {
      return await (await fetch(url)).json();
    } catch (error) {
      if (attempt === 100) throw error;
      await sleep(100);
    }
}
