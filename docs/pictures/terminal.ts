/** The output of a command, as a picture of a terminal. Its text can be selected, and is read by screen readers. */

const PADDING = 16;
const LINE = 17;
const SIZE = 12;
/** Width of a letter at most, as a part of the size. */
const LETTER = 0.61;
const COLOURS = { page: "#161b22", text: "#e6edf3", soft: "#9198a1", good: "#56d364" } as const;

export function terminalOf(name: string, command: string, output: string): string {
  const lines = [`$ ${command}`, "", ...output.trimEnd().split("\n")];
  const width = Math.ceil(Math.max(...lines.map(({ length }) => length)) * SIZE * LETTER) + 2 * PADDING;
  const height = lines.length * LINE + 2 * PADDING;
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" role="img" aria-labelledby="${name}-title">`,
    `<title id="${name}-title">The output of ${command}</title>`,
    `<style>text{font:${SIZE}px ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace;` +
      `fill:${COLOURS.text};white-space:pre}.soft{fill:${COLOURS.soft}}.good{fill:${COLOURS.good}}</style>`,
    `<rect width="${width}" height="${height}" rx="8" fill="${COLOURS.page}"/>`,
    ...lines.flatMap((line, at) => (line === "" ? [] : [drawn(line, PADDING + at * LINE + SIZE)])),
    "</svg>",
  ].join("\n")}\n`;
}

/** The time of a line is soft, and what passed is green. */
function drawn(line: string, y: number): string {
  const text = escaped(line)
    .replace(/^ +[\d.]+ s(?= {2})/, (time) => `<tspan class="soft">${time}</tspan>`)
    .replace(/^ {2}(?:pass|\d+ of \d+ checks passed)/, (passed) => `<tspan class="good">${passed}</tspan>`);
  return `<text x="${PADDING}" y="${y}" xml:space="preserve">${text}</text>`;
}

const escaped = (line: string): string => line.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
