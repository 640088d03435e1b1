import { PRODUCTS } from "../contenders/index.ts";
import { plotOf } from "./bars.ts";
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
        return [{ label: product, kind, figure: figureOf(metric, spread), ...spread }];
      }),
    })),
  );
}
