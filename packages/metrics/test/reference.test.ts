import { join } from "node:path";
import { connect, prometheusName, type Instrument } from "@hotset/metrics";
import { createRedis } from "@hotset/redis-toolkit";
import { createTestCache } from "@hotset/testing";
import { expect, it } from "vitest";
import { everything } from "./everything.ts";

const INTRO = `# Metrics

Every metric of \`@hotset/metrics/prometheus\` and \`@hotset/metrics/otel\`, made of the definitions in \`@hotset/metrics\`. In use: [metrics](../guide/metrics.md).

| Prometheus | OpenTelemetry | unit | kind | labels | meaning |
|---|---|---|---|---|---|
`;

const row = (instrument: Instrument): string => {
  const { name, unit, kind, labels, help } = instrument;
  const names = labels.map((label) => `\`${label}\``).join(", ");
  return `| \`${prometheusName(instrument)}\` | \`${name}\` | \`${unit}\` | ${kind} | ${names} | ${help} |\n`;
};

it("the reference lists every instrument; `vitest run -u` writes it", async () => {
  const instruments: Instrument[] = [];
  const cache = createTestCache();
  const redis = createRedis({ env: false });
  const end = connect(
    {
      observe: (instrument) => void instruments.push(instrument),
      remove: () => undefined,
      histogram: (instrument) => {
        instruments.push(instrument);
        return () => () => undefined;
      },
    },
    everything(cache, redis),
  );
  end();
  await cache.close();
  const names = instruments.map(prometheusName);
  expect(new Set(names).size).toBe(names.length);
  const rows = instruments.toSorted((a, b) => (prometheusName(a) < prometheusName(b) ? -1 : 1)).map(row);
  await expect(INTRO + rows.join("")).toMatchFileSnapshot(
    join(import.meta.dirname, "../../../docs/reference/metrics.md"),
  );
});
