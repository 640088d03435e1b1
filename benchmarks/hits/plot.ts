/** Points of one trace, one for each size of the cache. */
export interface Curve {
  readonly name: string;
  readonly percents: readonly number[];
}

export interface Panel {
  readonly title: string;
  /** Names of the sizes, the same number as points. */
  readonly sizes: readonly string[];
  readonly curves: readonly Curve[];
}

const COLOURS = ["#888888", "#1f6feb", "#2da44e"];
const WIDTH = 300;
const HEIGHT = 220;
const MARGIN = { left: 40, right: 12, top: 28, bottom: 30 };
const COLUMNS = 3;
const LEGEND = 30;

/** Hit ratios over sizes as SVG: one panel for each trace, and one line for each policy. */
export function plot(panels: readonly Panel[]): string {
  const rows = Math.ceil(panels.length / COLUMNS);
  const width = WIDTH * Math.min(COLUMNS, panels.length);
  const legend = (panels[0]?.curves ?? [])
    .map(({ name }, i) => text(MARGIN.left + i * 110, 20, name, `fill="${COLOURS[i]}" font-weight="bold"`))
    .join("");
  const drawn = panels.map(
    (panel, i) =>
      `<g transform="translate(${(i % COLUMNS) * WIDTH} ${LEGEND + Math.floor(i / COLUMNS) * HEIGHT})">${draw(panel)}</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${LEGEND + rows * HEIGHT}" font-family="sans-serif" font-size="11"><rect width="100%" height="100%" fill="#ffffff"/>${legend}${drawn.join("")}</svg>\n`;
}

function draw({ title, sizes, curves }: Panel): string {
  const [right, bottom] = [WIDTH - MARGIN.right, HEIGHT - MARGIN.bottom];
  const x = (i: number): number => MARGIN.left + (i / Math.max(1, sizes.length - 1)) * (right - MARGIN.left);
  const y = (percent: number): number => bottom - (percent / 100) * (bottom - MARGIN.top);
  const grid = [0, 25, 50, 75, 100].map(
    (percent) =>
      `<path d="M${MARGIN.left} ${y(percent)}H${right}" stroke="#dddddd"/>${text(MARGIN.left - 6, y(percent) + 4, `${percent}`, 'text-anchor="end"')}`,
  );
  const names = sizes.map((size, i) => text(x(i), bottom + 16, size, 'text-anchor="middle"'));
  const lines = curves.map(({ percents }, line) => {
    const points = percents.map((percent, i) => `${x(i).toFixed(1)},${y(percent).toFixed(1)}`).join(" ");
    return `<polyline points="${points}" fill="none" stroke="${COLOURS[line]}" stroke-width="2"/>`;
  });
  return [text(MARGIN.left, 18, title, 'font-weight="bold"'), ...grid, ...names, ...lines].join("");
}

const text = (x: number, y: number, content: string, attributes: string): string =>
  `<text x="${x}" y="${y}" ${attributes}>${content.replace(/[<&]/g, (sign) => (sign === "<" ? "&lt;" : "&amp;"))}</text>`;
