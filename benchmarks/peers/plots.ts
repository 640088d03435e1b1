import { PRODUCTS } from "../contenders/index.ts";
import { plotOf } from "./bars.ts";
import { PATIENCE_MS } from "./faults.ts";
import type { Row } from "./results.ts";
import { figureOf, FOREVER, rowsOf } from "./tables.ts";

/** Bars of one metric of one scenario. */
export interface Panel {
  readonly scenario: string;
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
}

/** One group of bars for each panel: a bar for each contender that has the figure. */
export function plot(panels: readonly Panel[], rows: readonly Row[]): string {
  return plotOf(
    panels.map(({ scenario, metric, title, unit }) => ({
      title,
      unit,
      bars: rowsOf(scenario, rows).flatMap(({ product, metrics }) => {
        const spread = metrics[metric];
        if (spread === undefined || spread.median >= FOREVER) return [];
        const { kind } = PRODUCTS.find(({ name }) => name === product)!;
        const isLost = metric === "longestMs" && (metrics["neverAnswered"]?.median ?? 0) > 0;
        const [figure, least, most] = isLost
          ? [PATIENCE_MS, PATIENCE_MS, PATIENCE_MS]
          : [figureOf(metric, spread), spread.least, spread.most];
        return [{ label: product, kind, figure, least, most }];
      }),
    })),
  );
}
