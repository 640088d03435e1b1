// Writes the pictures of the guide's page "The inspector": incidents in a real service, for a screen and a phone, in
// both colours.
//
//   node --conditions=@hotset/source packages/inspector/test/pictures.ts

import { spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { startChromium } from "./support/chromium.ts";
import { goTo, startShop, visit, type Shop } from "./support/opened.ts";

const FOLDER = join(import.meta.dirname, "../../../docs/pictures");
const ROOT = new URL("../../..", import.meta.url).href.replace(/\/$/, "");
/** A picture for a phone is sharper, and shows the beginning of its page. */
const FORMATS = [
  { suffix: "", width: 1_000, scale: 1, maxHeight: Infinity },
  { suffix: "-narrow", width: 390, scale: 2, maxHeight: 720 },
] as const;
const SCHEMES = ["light", "dark"] as const;
const FADE = `<linearGradient id="end" x2="0" y2="1"><stop offset=".85" stop-color="#fff"/><stop offset="1"/></linearGradient>
<mask id="fade"><rect width="100%" height="100%" fill="url(#end)"/></mask>
<g mask="url(#fade)">`;
/** For a picture that is smaller than a page. */
const QUALITY = 0.8;

/** A page, before its incident. */
interface Scene extends AsyncDisposable {
  readonly url: string;
  begin(): Promise<unknown>;
}

interface Incident {
  readonly name: string;
  readonly page: string;
  /** The last thing that it shows, as a selector. */
  readonly last: string;
  readonly open: () => Promise<Scene>;
  /** The text by which the page shows it. */
  readonly shows: RegExp;
  /** Time for figures and plots to fill. */
  readonly settleMs: number;
}

const INCIDENTS: readonly Incident[] = [
  {
    name: "overview",
    page: "Overview",
    last: ".panel:nth-of-type(2)",
    settleMs: 10_000,
    open: npmStart,
    shows: /\d{3} callers of/,
  },
  {
    name: "stampede",
    page: "Stampedes",
    last: ".panel:nth-of-type(2)",
    settleMs: 15_000,
    open: inShop(({ one }) => one.call("stampede", "report:daily", 300, 600_000)),
    shows: /300 callers of/,
  },
  {
    name: "outage",
    page: "Redis",
    last: ".panel:nth-of-type(1)",
    settleMs: 20_000,
    open: inShop(({ redis }) => redis.pause()),
    shows: /has not answered for/,
  },
  {
    name: "invalidations",
    page: "Invalidations",
    last: ".panel:nth-of-type(1)",
    settleMs: 60_000,
    open: inShop(({ other }) => other.call("loopTag", "prices", 20)),
    shows: /was invalidated [\d,]+ times/,
  },
  {
    name: "stale",
    page: "Stale",
    last: ".panel:nth-of-type(2)",
    settleMs: 15_000,
    open: inShop(({ one }) => one.call("breakSource", "connect ECONNREFUSED 10.0.0.7:5432", ["price:1", "price:2"])),
    shows: /served stale because loads fail/,
  },
  {
    name: "queue",
    page: "Queues",
    last: ".jobs li:nth-of-type(1)",
    settleMs: 5_000,
    open: inShop(({ one }) => one.call("failJobs", 7, "550 mailbox full")),
    shows: /7 dead jobs/,
  },
];

async function draw(drawing: Browser, incident: Incident): Promise<void> {
  await using scene = await incident.open();
  const looks = FORMATS.flatMap((format) => SCHEMES.map((scheme) => ({ ...format, scheme })));
  const visits = await Promise.all(looks.map((look) => visit(drawing, scene.url, look)));
  for (const { page } of visits) await goTo(page, incident.page);
  await sleep(12_000);
  await scene.begin();
  await sleep(incident.settleMs);
  for (const [at, { suffix, width, maxHeight }] of FORMATS.entries()) {
    const images: string[] = [];
    let height = 0;
    for (const { page } of visits.slice(2 * at, 2 * at + 2)) {
      height = Math.min(await arrange(page, incident), maxHeight);
      await page.setViewportSize({ width, height });
      images.push(await webp(drawing, await page.screenshot({ clip: { x: 0, y: 0, width, height } })));
    }
    const [light, dark] = images as [string, string];
    const file = join(FOLDER, `inspector-${incident.name}${suffix}.svg`);
    writeFileSync(file, svgOf(light, dark, width, height, height === maxHeight));
    console.log(`${file}: ${Math.round((light.length + dark.length) / 1_000)} kB`);
  }
  for (const each of visits) await each.close();
}

/** Two processes with some traffic. */
function inShop(begin: (shop: Shop) => unknown): () => Promise<Scene> {
  return async () => {
    const shop = await startShop();
    for (let i = 0; i < 40; i += 1) await shop.one.call("load", `price:${i}`, { amount: i }, 2, []);
    await shop.one.call("traffic", 60);
    return {
      url: shop.url,
      begin: async () => begin(shop),
      async [Symbol.asyncDispose]() {
        shop.redis.resume();
        await shop[Symbol.asyncDispose]();
      },
    };
  };
}

/** The page of `npm start`, with two of its buttons pressed. */
async function npmStart(): Promise<Scene> {
  const args = ["--conditions=@hotset/source", "docs/examples/demo/main.ts", "--serve"];
  const child = spawn(process.execPath, args, { cwd: new URL(ROOT), env: { ...process.env, PORT: "0" } });
  let said = "";
  const site = await new Promise<string>((resolve, reject) => {
    child.once("exit", () => reject(new Error(`npm start has ended: ${said}`)));
    child.stdout.on("data", (text) => {
      said += String(text);
      const url = /listening on (http:\S+\/),/.exec(said)?.[1];
      if (url !== undefined) resolve(url);
    });
  });
  const press = (name: string): Promise<unknown> => fetch(`${site}trouble/${name}`, { method: "POST" });
  return {
    url: `${site}hotset/`,
    async begin() {
      await press("stampede");
      await sleep(6_000);
      await press("tags");
    },
    async [Symbol.asyncDispose]() {
      child.kill();
      await once(child, "exit");
    },
  };
}

/** Waits until the page shows the incident. Resolves with the height down to the last thing that it shows. */
async function arrange(page: Page, { name, last, shows }: Incident): Promise<number> {
  await page.getByText(shows).first().waitFor();
  if (name === "queue") await page.getByText("Stack").first().click();
  await page.locator(".process").evaluate((process) => (process.textContent = "web-1:4711"));
  // No path of the machine that draws.
  await page.locator("pre").evaluateAll((stacks, root) => {
    for (const stack of stacks) stack.textContent = stack.textContent.replaceAll(root, "file:///srv/shop");
  }, ROOT);
  const { y, height } = (await page.locator(last).boundingBox())!;
  return Math.ceil(y + height + 16);
}

/** In place of PNG: a fifth of its bytes. */
async function webp(drawing: Browser, png: Buffer): Promise<string> {
  const page: Page = await drawing.newPage();
  const text = await page.evaluate(
    `(async () => {
      const image = await createImageBitmap(await (await fetch("data:image/png;base64,${png.toString("base64")}")).blob());
      const canvas = new OffscreenCanvas(image.width, image.height);
      canvas.getContext("2d").drawImage(image, 0, 0);
      const blob = await canvas.convertToBlob({ type: "image/webp", quality: ${QUALITY} });
      const bytes = new Uint8Array(await blob.arrayBuffer());
      return btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
    })()`,
  );
  await page.close();
  return `data:image/webp;base64,${String(text)}`;
}

/** One file for both: the colours that the reader's system asks for. Where a page goes on, its picture fades. */
function svgOf(light: string, dark: string, width: number, height: number, isCut: boolean): string {
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}">
<style>.dark{display:none}@media (prefers-color-scheme:dark){.light{display:none}.dark{display:inline}}</style>
${isCut ? FADE : "<g>"}
<image class="light" width="${width}" height="${height}" href="${light}"/>
<image class="dark" width="${width}" height="${height}" href="${dark}"/>
</g>
</svg>
`;
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

const wanted = process.argv.slice(2);
const browser = await startChromium();
await Promise.all(
  INCIDENTS.filter(({ name }) => wanted.length === 0 || wanted.includes(name)).map((incident) =>
    draw(browser, incident),
  ),
);
await browser.close();
