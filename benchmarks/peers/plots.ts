import { PRODUCTS } from "../contenders/index.ts";
import { FOREVER, rowsOf, shown } from "./tables.ts";
import type { Row } from "./results.ts";

/** Bars of one metric of one scenario. */
export interface Panel {
  readonly scenario: string;
  readonly metric: string;
  readonly title: string;
  readonly unit: string;
}

const WIDTH = 760;
const LABELS = 230;
const NUMBERS = 90;
const BAR = 16;
const STEP = 22;
const TITLE = 34;

/**
 * Bars with whiskers from the least to the most of the rounds, on a scale by powers of ten where values lie far apart.
 * Colours follow the reader's light or dark theme.
 */
export function plot(panels: readonly Panel[], rows: readonly Row[]): string {
  const drawn: string[] = [];
  let y = 8;
  for (const panel of panels) {
    const bars = barsOf(panel, rows);
    if (bars.length === 0) continue;
    drawn.push(`<g transform="translate(0 ${y})">${draw(panel, bars)}</g>`);
    y += TITLE + bars.length * STEP + 14;
  }
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" font-size="12" role="img">${STYLE}<rect class="ground" width="100%" height="100%"/>${drawn.join("")}</svg>\n`;
}

const STYLE = `<style>.ground{fill:#fff}text{fill:#24292f}.soft{fill:#6e7781}.ours{fill:#1f6feb}.peer{fill:#8c959f}.limit{fill:#d0d7de}.range{stroke:#24292f;stroke-width:1}@media(prefers-color-scheme:dark){.ground{fill:#0d1117}text{fill:#e6edf3}.soft{fill:#8b949e}.ours{fill:#388bfd}.peer{fill:#6e7681}.limit{fill:#30363d}.range{stroke:#e6edf3}}</style>`;

interface Bar {
  readonly product: string;
  readonly kind: "ours" | "peer" | "limit";
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

function barsOf({ scenario, metric }: Panel, rows: readonly Row[]): readonly Bar[] {
  return rowsOf(scenario, rows).flatMap(({ product, metrics }) => {
    const spread = metrics[metric];
    if (spread === undefined || spread.median >= FOREVER) return [];
    return [{ product, kind: PRODUCTS.find(({ name }) => name === product)!.kind, ...spread }];
  });
}

function draw({ title, unit }: Panel, bars: readonly Bar[]): string {
  const positive = bars.map(({ median }) => median).filter((value) => value > 0);
  const [least, most] = [Math.min(...positive), Math.max(...bars.map(({ median }) => median))];
  const isLogarithmic = most / least > 30;
  const room = WIDTH - LABELS - NUMBERS;
  const lowest = least / 3;
  const length = (value: number): number => {
    const share = isLogarithmic ? Math.log(Math.max(value, lowest) / lowest) / Math.log(most / lowest) : value / most;
    return Math.min(1, share || 0) * room;
  };
  const lines = bars.map(({ product, kind, median, least: from, most: to }, i) => {
    const top = TITLE + i * STEP;
    const middle = top + BAR / 2;
    const whisker =
      from === to ? "" : `<path class="range" d="M${x(length(from))} ${middle}H${x(length(to))}" fill="none"/>`;
    return [
      text(
        LABELS - 8,
        middle + 4,
        product,
        kind === "ours" ? 'text-anchor="end" font-weight="bold"' : 'text-anchor="end"',
      ),
      `<rect class="${kind}" x="${LABELS}" y="${top}" width="${length(median).toFixed(1)}" height="${BAR}" rx="2"/>`,
      whisker,
      text(WIDTH - 6, middle + 4, `${shown(median)}${unit}`, 'text-anchor="end"'),
    ].join("");
  });
  const scale = isLogarithmic ? " (scale by powers)" : "";
  return [text(8, 20, `${title}${scale}`, 'font-weight="bold" font-size="13"'), ...lines].join("");
}

const x = (length: number): string => (LABELS + length).toFixed(1);

const text = (at: number, y: number, content: string, attributes: string): string =>
  `<text x="${at}" y="${y}" ${attributes}>${content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;
