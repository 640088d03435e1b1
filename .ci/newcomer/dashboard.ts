import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { Newcomer } from "./newcomer.ts";
import { latest } from "./project.ts";

/** The program of docs/guide/metrics.md, grown to all that the dashboard shows, as a reader would write it. */
const PROGRAM = `import { createServer } from "node:http";
import { createCache, memory, redis } from "hotset";
import { observe } from "@hotset/metrics/prometheus";
import { createRedis } from "@hotset/redis-toolkit";
import { queue } from "@hotset/redis-toolkit/queue";
import { consumer, streams } from "@hotset/redis-toolkit/streams";
import { Registry } from "prom-client";

const url = process.env.REDIS_URL;
const prefix = process.env.KEY_PREFIX.replace(/\\W/g, "");
const products = createCache({ name: "products" })
  .tier(memory({ maxEntries: 2 }))
  .tier(redis(url).keyPrefix(prefix).build())
  .build();
const shop = createRedis({ url, clientName: "shop" });
await shop.initialize();
const tenant = shop.tenant(prefix);
const emails = queue(tenant, "emails");
const orders = streams(tenant).stream("orders");
const payments = consumer(orders, "payments", {}, () => undefined);
const register = new Registry();
const observation = observe({
  register,
  caches: [products],
  redis: [shop],
  queues: { emails },
  consumers: { payments },
  backendCalls: true,
  process: true,
});

for (const key of ["1", "2", "3", "1"]) await products.getOrSet(key, () => ({ key }), { ttl: "1m" });
await products.getOrSet("4", () => Promise.reject(new Error("of the source"))).catch(() => undefined);
await shop.commands.send(["NONESUCH"]).catch(() => undefined);
await shop.commands.set(prefix, "text", { ttl: "1m" });
await shop.lenient.hget(prefix, "field");
await emails.add({ to: "ada@example.org" });
await orders.append({ order: "7" });
while (payments.counts.handled === 0) await new Promise((resolve) => setTimeout(resolve, 10));

const server = createServer(async (_request, response) => response.end(await register.metrics())).listen(0);
const scraped = await fetch("http://127.0.0.1:" + server.address().port + "/metrics");
console.log(await scraped.text());
server.close();
observation.close();
await payments.stop();
await products.close();
await shop.disconnect();
`;

/** Names of series in the queries of a dashboard, or in the conditions of alerts. */
const seriesIn = (text: string): ReadonlySet<string> =>
  new Set(
    Array.from(
      text.matchAll(/(?:"expr": "(?<json>(?:[^"\\]|\\.)*)"|expr: ['"](?<yaml>.*)['"])/g),
      ({ groups }) => groups!["json"] ?? groups!["yaml"]!,
    ).flatMap((query) => query.match(/\b(?:cache|redis)_[a-z_]+\b/g) ?? []),
  );

/** From the packed packages to a scrape in which every series of the dashboard and of the alerts has a sample. */
export function dashboard(
  { project, step, check }: Newcomer,
  { top, node, environment }: { readonly top: string; readonly node: string; readonly environment: NodeJS.ProcessEnv },
): Promise<void> {
  return step("metrics: every query of the dashboard finds numbers", async () => {
    const dependencies = latest(["hotset", "@hotset/metrics", "@hotset/redis-toolkit", "prom-client"]);
    const made = project("metrics", { dependencies });
    await made.run("npm", ["install"]);
    made.write("metrics.mjs", PROGRAM);
    const { stdout } = await made.run(node, ["metrics.mjs"], environment);
    const samples = new Set(stdout.split("\n").flatMap((line) => /^([a-z0-9_]+)(?:\{| )/.exec(line)?.[1] ?? []));
    for (const file of ["grafana-dashboard.json", "prometheus-alerts.yml"]) {
      const wanted = [...seriesIn(readFileSync(join(top, "docs/operations", file), "utf8"))];
      const missing = wanted.filter((name) => !samples.has(name));
      check(wanted.length > 5 && missing.length === 0, `${file}: no sample of ${missing.join(", ")} in\n${stdout}`);
    }
  });
}
