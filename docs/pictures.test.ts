import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, it } from "vitest";
import { COLOURS, SIZES, WIDTH, svgOf, widthOf, type Part } from "./pictures/draw.ts";
import { drawDemo, drawNarrowDemo, PICTURES } from "./pictures/write.ts";

const pictures = Object.entries(PICTURES);
const folder = join(import.meta.dirname, "pictures");

it.each(pictures)("the picture %s is as its source draws it: npm run write -- pictures", (name, picture) => {
  expect(readFileSync(join(folder, `${name}.svg`), "utf8")).toBe(svgOf(name, picture));
});

it.each(pictures)("the picture %s has a title and a description, and loads nothing", (name, picture) => {
  const svg = svgOf(name, picture);
  expect(svg).toContain(`role="img" aria-labelledby="${name}-title ${name}-desc"`);
  expect(/<title id="[^"]+">(.+)<\/title>/.exec(svg)?.[1]).toBe(picture.title);
  expect(/<desc id="[^"]+">(.+)<\/desc>/.exec(svg)?.[1]?.length).toBeGreaterThan(200);
  expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|<script|@import|href=|<image/);
});

it.each(pictures)(
  "at 360 px every line of %s is of 12 px at least, and inside of its box",
  (name, { parts, height }) => {
    expect(Math.min(...Object.values(SIZES))).toBeGreaterThanOrEqual(12);
    for (const part of parts) expect(sticksOut(part, height), `${name}: ${JSON.stringify(part)}`).toBe(false);
  },
);

it.each(["light", "dark"] as const)("text has a contrast of 4.5 at least on every fill of a %s page", (mode) => {
  const { text, soft, line: _, page, ...fills } = COLOURS[mode];
  for (const fill of [page, ...Object.values(fills)]) expect(contrast(text, fill)).toBeGreaterThanOrEqual(4.5);
  expect(contrast(soft, page)).toBeGreaterThanOrEqual(4.5);
});

it("the picture of the demo shows its recorded output, and loads nothing: npm run write -- pictures", () => {
  const svg = readFileSync(join(folder, "demo.svg"), "utf8");
  expect(svg).toBe(drawDemo());
  const shown = [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, line]) => line!.replaceAll(/<[^>]*>/g, ""));
  const recorded = readFileSync(join(folder, "demo.txt"), "utf8").split("\n");
  expect(shown).toEqual(["$ npm run demo", ...recorded.filter((line) => line !== "")]);
  expect(svg.replace('xmlns="http://www.w3.org/2000/svg"', "")).not.toMatch(/https?:|<script|@import|href=|<image/);
});

it("the picture for a phone has its checks, and lines that can be read: npm run write -- pictures", () => {
  const svg = readFileSync(join(folder, "demo-narrow.svg"), "utf8");
  expect(svg).toBe(drawNarrowDemo());
  const shown = [...svg.matchAll(/<text [^>]*>(.*)<\/text>/g)].map(([, line]) => line!.replaceAll(/<[^>]*>/g, ""));
  expect(shown.filter((line) => line.startsWith("  pass")).length).toBe(11);
  expect(Math.max(...shown.map(({ length }) => length))).toBeLessThanOrEqual(56);
});

function sticksOut(part: Part, height: number): boolean {
  switch (part.kind) {
    case "arrow":
      return [part.from, part.to].some(([x, y]) => x < 0 || x > WIDTH || y < 0 || y > height);
    case "text": {
      const [x, y] = part.at;
      const width = widthOf(part.text, SIZES.text);
      const left = { start: x, middle: x - width / 2, end: x - width }[part.align];
      return left < 0 || left + width > WIDTH || y < SIZES.text || y > height;
    }
    case "box": {
      const widest = Math.max(
        ...part.lines.map((line, index) =>
          widthOf(line, index === 0 && part.look !== "text" ? SIZES.title : SIZES.text),
        ),
      );
      return widest > part.width - 6 || part.x < 0 || part.x + part.width > WIDTH || part.y + part.height > height;
    }
  }
}

/** As WCAG 2.2 defines it. */
function contrast(one: string, other: string): number {
  const [light = 0, dark = 0] = [luminance(one), luminance(other)].toSorted((a, b) => b - a);
  return (light + 0.05) / (dark + 0.05);
}

function luminance(colour: string): number {
  const [red = 0, green = 0, blue = 0] = [1, 3, 5].map((at) => {
    const channel = Number.parseInt(colour.slice(at, at + 2), 16) / 255;
    return channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4;
  });
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}
