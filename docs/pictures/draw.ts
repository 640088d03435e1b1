/** A picture as SVG: for narrow screens, for light and dark ones, and for screen readers. */

/** As wide as a phone: at this width a unit is a pixel, and larger screens scale up. */
export const WIDTH = 360;
/** Width of the image on a wide screen, in pixels. */
const SHOWN_WIDTH = 520;
const LINE = 16;
/** Width of a letter at most, as a part of the size: pictures use the fonts of the reader's machine. */
const LETTER = 0.56;

/** Colours by role, for light and dark pages. Text has a contrast of 4.5 at least on each fill. */
export const COLOURS = {
  light: {
    page: "#ffffff",
    text: "#1f2328",
    soft: "#57606a",
    line: "#6e7781",
    process: "#eef4fb",
    store: "#fdeeea",
    good: "#e8f5ea",
    warn: "#fff4d6",
  },
  dark: {
    page: "#1b1b1f",
    text: "#e6e8eb",
    soft: "#aab2bc",
    line: "#8b949e",
    process: "#1d2b3d",
    store: "#3c2320",
    good: "#1c3324",
    warn: "#3d3216",
  },
} as const;

export type Fill = "process" | "store" | "good" | "warn" | "page";

export interface Picture {
  readonly title: string;
  /** The same in sentences, for readers who do not see the picture. */
  readonly description: string;
  readonly height: number;
  readonly parts: readonly Part[];
}

export type Part = Box | Arrow | Text;

export interface Box {
  readonly kind: "box";
  readonly x: number;
  readonly y: number;
  readonly width: number;
  readonly height: number;
  readonly fill: Fill;
  /** In the middle; the first one is bold. */
  readonly lines: readonly string[];
  /** `holder`: its lines stand at the top, and other parts below them. `text`: no line is bold. */
  readonly look?: "holder" | "text";
}

export interface Arrow {
  readonly kind: "arrow";
  readonly from: Point;
  readonly to: Point;
  /** A message; a solid arrow is a call or its answer. */
  readonly dashed?: true;
  /** A line of time: without a head. */
  readonly plain?: true;
}

export interface Text {
  readonly kind: "text";
  readonly at: Point;
  readonly text: string;
  readonly align: "start" | "middle" | "end";
}

export type Point = readonly [x: number, y: number];

/** Sizes of the two kinds of text, in pixels on a phone. */
export const SIZES = { title: 13, text: 12 } as const;

export function box(
  place: readonly [x: number, y: number, width: number, height: number],
  fill: Fill,
  lines: readonly string[],
  look?: Box["look"],
): Box {
  const [x, y, width, height] = place;
  return { kind: "box", x, y, width, height, fill, lines, ...(look !== undefined && { look }) };
}

export function arrow(from: Point, to: Point, style: "call" | "message" | "time" = "call"): Arrow {
  return {
    kind: "arrow",
    from,
    to,
    ...(style === "message" && { dashed: true }),
    ...(style === "time" && { plain: true }),
  };
}

export function text(at: Point, line: string, align: Text["align"] = "start"): Text {
  return { kind: "text", at, text: line, align };
}

/** The width that a line needs, at most. */
export function widthOf(line: string, size: number): number {
  return line.length * size * LETTER;
}

export function svgOf(name: string, { title, description, height, parts }: Picture): string {
  return `${[
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${height}" width="${SHOWN_WIDTH}" role="img" ` +
      `aria-labelledby="${name}-title ${name}-desc">`,
    `<title id="${name}-title">${escaped(title)}</title>`,
    `<desc id="${name}-desc">${escaped(description)}</desc>`,
    `<style>${style()}</style>`,
    `<defs><marker id="${name}-head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" ` +
      'orient="auto"><path class="head" d="M0 0L8 4L0 8z"/></marker></defs>',
    `<rect class="page" width="${WIDTH}" height="${height}" rx="8"/>`,
    ...parts.map((part) => drawn(name, part)),
    "</svg>",
  ].join("\n")}\n`;
}

function style(): string {
  const rules = (colours: Readonly<Record<Fill | "text" | "soft" | "line", string>>): string =>
    [
      ...(["page", "process", "store", "good", "warn"] as const).map((fill) => `.${fill}{fill:${colours[fill]}}`),
      `text{fill:${colours.text}}.soft{fill:${colours.soft}}`,
      `.edge{stroke:${colours.line}}.arrow{stroke:${colours.line}}.head{fill:${colours.line}}`,
    ].join("");
  return [
    `text{font:${SIZES.text}px system-ui,-apple-system,"Segoe ` +
      `UI",Roboto,sans-serif}.title{font-size:${SIZES.title}px;font-weight:600}`,
    `.edge{stroke-width:1}.arrow{stroke-width:1.5;fill:none}.dashed{stroke-dasharray:5 4}`,
    rules(COLOURS.light),
    `@media (prefers-color-scheme:dark){${rules(COLOURS.dark)}}`,
  ].join("");
}

function drawn(name: string, part: Part): string {
  switch (part.kind) {
    case "box":
      return drawnBox(part);
    case "arrow": {
      const [[x1, y1], [x2, y2]] = [part.from, part.to];
      const kind = part.dashed === true ? "arrow dashed" : "arrow";
      const head = part.plain === true ? "" : ` marker-end="url(#${name}-head)"`;
      return `<path class="${kind}" d="M${x1} ${y1}L${x2} ${y2}"${head}/>`;
    }
    case "text": {
      const [x, y] = part.at;
      return `<text class="soft" x="${x}" y="${y}" text-anchor="${part.align}">${escaped(part.text)}</text>`;
    }
  }
}

function drawnBox({ x, y, width, height, fill, lines, look }: Box): string {
  const first = look === "holder" ? y + LINE + 2 : y + (height - lines.length * LINE) / 2 + 12;
  const texts = lines.map((line, index) => {
    const kind = index === 0 && look !== "text" ? ' class="title"' : "";
    return `<text${kind} x="${x + width / 2}" y="${first + index * LINE}" text-anchor="middle">${escaped(line)}</text>`;
  });
  return [`<rect class="${fill} edge" x="${x}" y="${y}" width="${width}" height="${height}" rx="6"/>`, ...texts].join(
    "\n",
  );
}

function escaped(line: string): string {
  return line.replaceAll("&", "&amp;").replaceAll("<", "&lt;");
}
