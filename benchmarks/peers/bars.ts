import { shown } from "./shown.ts";

export interface Bar {
  readonly label: string;
  readonly kind: "ours" | "peer" | "limit";
  /** The length of the bar; the range is drawn over it. */
  readonly figure: number;
  readonly least: number;
  readonly most: number;
}

export interface Group {
  readonly title: string;
  /** Behind each number. */
  readonly unit: string;
  readonly bars: readonly Bar[];
}

/** Its letters can be read on a phone. */
const WIDTH = 420;
const LABELS = 154;
const NUMBERS = 74;
const BAR = 16;
const STEP = 22;
const TITLE = 34;

/**
 * Bars with whiskers from the least to the most of the rounds, logarithmic where values lie far apart. Colours
 * follow the reader's light or dark theme.
 */
export function plotOf(groups: readonly Group[]): string {
  const drawn: string[] = [];
  let y = 8;
  for (const group of groups) {
    if (group.bars.length === 0) continue;
    drawn.push(`<g transform="translate(0 ${y})">${draw(group)}</g>`);
    y += TITLE + group.bars.length * STEP + 14;
  }
  return (
    `<svg xmlns="http://www.w3.org/2000/svg" width="${WIDTH}" viewBox="0 0 ${WIDTH} ${y}" font-family="system-ui, sans-serif" ` +
    `font-size="12" role="img">${STYLE}<rect class="ground" width="100%" height="100%"/>${drawn.join("")}</svg>\n`
  );
}

const LIGHT =
  ".ground{fill:#fff}text{fill:#24292f}.ours{fill:#1f6feb}.peer{fill:#8c959f}.limit{fill:#d0d7de}.range{stroke:#24292f}";
const DARK =
  ".ground{fill:#0d1117}text{fill:#e6edf3}.ours{fill:#388bfd}.peer{fill:#6e7681}.limit{fill:#30363d}.range{stroke:#e6edf3}";
const STYLE = `<style>${LIGHT}@media(prefers-color-scheme:dark){${DARK}}</style>`;

function draw({ title, unit, bars }: Group): string {
  const positive = bars.map(({ figure }) => figure).filter((value) => value > 0);
  const [least, most] = [Math.min(...positive), Math.max(...bars.map((bar) => bar.figure))];
  const isLogarithmic = most / least > 30;
  const room = WIDTH - LABELS - NUMBERS;
  const lowest = least / 3;
  const length = (value: number): number => {
    const share = isLogarithmic ? Math.log(Math.max(value, lowest) / lowest) / Math.log(most / lowest) : value / most;
    return Math.min(1, share || 0) * room;
  };
  const at = (value: number): string => (LABELS + length(value)).toFixed(1);
  const lines = bars.map(({ label, kind, figure, least: from, most: to }, i) => {
    const top = TITLE + i * STEP;
    const middle = top + BAR / 2;
    const weight = kind === "ours" ? ' font-weight="bold"' : "";
    return [
      text(LABELS - 8, middle + 4, label, `text-anchor="end"${weight}`),
      `<rect class="${kind}" x="${LABELS}" y="${top}" width="${length(figure).toFixed(1)}" height="${BAR}" rx="2"/>`,
      from === to ? "" : `<path class="range" d="M${at(from)} ${middle}H${at(to)}" fill="none"/>`,
      text(WIDTH - 6, middle + 4, `${shown(figure)}${unit}`, 'text-anchor="end"'),
    ].join("");
  });
  return [
    text(8, 20, `${title}${isLogarithmic ? " (logarithmic)" : ""}`, 'font-weight="bold" font-size="13"'),
    ...lines,
  ].join("");
}

const text = (at: number, y: number, content: string, attributes: string): string =>
  `<text x="${at}" y="${y}" ${attributes}>${content.replaceAll("&", "&amp;").replaceAll("<", "&lt;")}</text>`;
