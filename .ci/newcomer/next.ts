import { serve } from "../adapters/workshop.ts";
import type { Newcomer } from "./newcomer.ts";

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

const LAYOUT = "export default ({ children }) => <html><body>{children}</body></html>;\n";
export const NEXT = "16.4.6";

/** `next build` of a minimal application with a route handler; two servers of it share what one has loaded. */
export async function nextApplication({ project, check }: Newcomer, environment: NodeJS.ProcessEnv): Promise<void> {
  const dependencies = { hotset: "latest", next: NEXT, react: "19.3.1", "react-dom": "19.3.1" };
  const made = project("next", { dependencies });
  await made.run("npm", ["install"]);
  made.write("app/products/[sku]/route.js", ROUTE);
  made.write("app/layout.js", LAYOUT);
  const next = "node_modules/next/dist/bin/next";
  const settings = { ...environment, NEXT_TELEMETRY_DISABLED: "1" };
  await made.run(process.execPath, [next, "build"], settings);
  const answers: unknown[] = [];
  for (let started = 0; started < 2; started += 1) {
    await using server = await serve(made, [next, "start"], settings);
    for (let request = 0; request < 2; request += 1)
      answers.push(await (await fetch(`${server.url}/products/kettle`)).json());
  }
  const expected = [1, 1, 0, 0].map((loads) => ({ sku: "kettle", made: "1970-01-01T00:00:00.000Z", load: 1, loads }));
  check(JSON.stringify(answers) === JSON.stringify(expected), JSON.stringify(answers));
}
