// The docs site: builds it, and reads what was built.
//
//   node docs/.vitepress/site.ts        builds docs/.vitepress/dist and names what is wrong with it

import { execFileSync, spawn } from "node:child_process";
import { globSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join, posix } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { INDEX_OPTIONS, SEARCH_OPTIONS } from "./search.ts";

/** The text of each html file, by the address of its page: `/`, `/guide/redis`, `/decisions/`. */
export type Site = ReadonlyMap<string, string>;

const docs = dirname(dirname(fileURLToPath(import.meta.url)));
const BUILD_LIMIT_MS = 500_000;
/** A socket of the builder that connects anywhere is an error: the site must build on a machine without a network. */
const NO_NETWORK = `import net from "node:net";
net.Socket.prototype.connect = () => { throw new Error("the site is built without a network"); };`;

/** Where a script of the theme names another host. All else would be a request to it. */
const NAMED_BY_SCRIPTS: Readonly<Record<string, string>> = {
  "http://a.com": "the base of a URL that is parsed, in the theme",
  "http://www.w3.org/": "names of xml",
  "https://api.iconify.design/": "icons of social links; the site has none",
  "https://github.com/focus-trap/": "a licence",
  "https://vuejs.org/error-reference/": "text of an error",
};

/**
 * Builds the site into `folder`, with the API reference. Dead links between pages are errors of the builder.
 *
 * @throws {Error} with the output of the builder, if it fails, or takes longer than a quarter of an hour: it hangs.
 */
export async function buildSite(folder: string): Promise<void> {
  const write = ["--conditions=@hotset/source", join(docs, "../.ci/reference/write.ts")];
  execFileSync(process.execPath, write, { stdio: "pipe" });
  const vitepress = join(docs, "node_modules/vitepress/bin/vitepress.js");
  const loader = `data:text/javascript,${encodeURIComponent(NO_NETWORK)}`;
  const child = spawn(process.execPath, ["--import", loader, vitepress, "build", "--outDir", folder], {
    cwd: docs,
    stdio: ["ignore", "pipe", "pipe"],
    timeout: BUILD_LIMIT_MS,
  });
  const output: Buffer[] = [];
  child.stdout.on("data", (chunk: Buffer) => output.push(chunk));
  child.stderr.on("data", (chunk: Buffer) => output.push(chunk));
  const exit = await new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code, signal) => resolve(code ?? signal));
  });
  if (exit !== 0) throw new Error(`vitepress ended with ${String(exit)}:\n${Buffer.concat(output).toString("utf8")}`);
}

export function readSite(folder: string): Site {
  const files = globSync("**/*.html", { cwd: folder }).map((file) => file.replaceAll("\\", "/"));
  return new Map(
    files.map((file) => [
      `/${file.replace(/\.html$/, "").replace(/(^|\/)index$/, "$1")}`,
      readFileSync(join(folder, file), "utf8"),
    ]),
  );
}

/** Links to pages that are not there, or to headings that a page does not have. */
export function deadLinks(site: Site): readonly string[] {
  const anchors = new Map([...site].map(([address, html]) => [address, new Set(valuesOf(html, "id"))]));
  return [...site].flatMap(([address, html]) =>
    [...new Set(linksOf(html))]
      .filter((link) => {
        const { pathname, hash } = new URL(link, `https://site.example${address}`);
        if (pathname.startsWith("/assets/") || /\.(?:css|js|svg)$/.test(pathname)) return false;
        const found = anchors.get(decodeURIComponent(pathname));
        return found === undefined || (hash !== "" && !found.has(decodeURIComponent(hash.slice(1))));
      })
      .map((link) => `${address}: ${link}`),
  );
}

/** Pages that are in no sidebar. */
export function missingFromNavigation(site: Site): readonly string[] {
  const listed = new Set(
    [...site.values()].flatMap((html) => linksOf(/<aside class="VPSidebar"(.*?)<\/aside>/s.exec(html)?.[1] ?? "")),
  );
  return [...site.keys()].filter((address) => address !== "/404" && !listed.has(address));
}

/** Everything that a browser loads from elsewhere when it shows a page. */
export function foreignRequests(name: string, text: string): readonly string[] {
  switch (posix.extname(name)) {
    case ".html":
      return [
        ...text.matchAll(
          /<(?:script|img|iframe|source|video|audio|embed|object|use)\b[^>]*?\s(?:src|srcset|href|data)="((?:https?:)?\/\/[^"]*)"/g,
        ),
        ...text.matchAll(/<link\b[^>]*?\shref="((?:https?:)?\/\/[^"]*)"/g),
        ...text.matchAll(/url\(["']?((?:https?:)?\/\/[^)]*)\)/g),
      ].map(([, address]) => `${name}: ${address ?? ""}`);
    case ".css":
      return [...text.matchAll(/(?:url\(["']?|@import\s+["'])((?:https?:)?\/\/[^)"']*)/g)].map(
        ([, address]) => `${name}: ${address ?? ""}`,
      );
    default:
      return [...text.matchAll(/https?:\/\/[\w./-]+/g)]
        .map(([address]) => address)
        .filter((address) => !Object.keys(NAMED_BY_SCRIPTS).some((known) => address.startsWith(known)))
        .map((address) => `${name}: ${address}`);
  }
}

/** Files of a built site whose requests count: pages, styles, and scripts other than text of pages and navigation. */
export function loadedFiles(folder: string): readonly string[] {
  return globSync("**/*.{html,css,js}", { cwd: folder }).filter(
    (file) => !/\.md\.|localSearchIndex|chunks\/metadata/.test(file),
  );
}

/** Searches as the box of the site does: addresses of pages and headings, best first. */
export async function openSearch(folder: string): Promise<(words: string) => readonly string[]> {
  const [file] = globSync("assets/chunks/@localSearchIndex*.js", { cwd: folder });
  if (file === undefined) throw new Error("the site has no search index");
  const index = (await import(pathToFileURL(join(folder, file)).href)) as { default: string };
  const search = loadMinisearch().loadJSON(index.default, { fields: ["title", "titles", "text"], ...INDEX_OPTIONS });
  return (words) => search.search(words, SEARCH_OPTIONS).map(({ id }) => id);
}

/** The part of `minisearch` that is used here: it is a dependency of the site builder, and not of ours. */
interface Minisearch {
  loadJSON(
    json: string,
    options: { readonly fields: readonly string[] } & typeof INDEX_OPTIONS,
  ): { search(words: string, options: object): readonly { readonly id: string }[] };
}

function loadMinisearch(): Minisearch {
  const require = createRequire(createRequire(import.meta.url).resolve("vitepress"));
  const loaded = require("minisearch") as Minisearch & { readonly default?: Minisearch };
  return loaded.default ?? loaded;
}

function linksOf(html: string): readonly string[] {
  return valuesOf(html, "href").filter((link) => /^[/#]/.test(link) && !link.startsWith("//"));
}

function valuesOf(html: string, attribute: string): readonly string[] {
  return [...html.matchAll(new RegExp(`\\s${attribute}="([^"]*)"`, "g"))].map(([, value]) =>
    value!.replaceAll("&amp;", "&"),
  );
}

async function main(): Promise<void> {
  const folder = join(docs, ".vitepress/dist");
  await buildSite(folder);
  const site = readSite(folder);
  const problems = [
    ...deadLinks(site).map((link) => `dead link: ${link}`),
    ...missingFromNavigation(site).map((address) => `not in docs/guide/README.md: ${address}`),
    ...loadedFiles(folder)
      .flatMap((file) => foreignRequests(file, readFileSync(join(folder, file), "utf8")))
      .map((request) => `asks another host: ${request}`),
  ];
  console.log(problems.length === 0 ? `${site.size} pages in docs/.vitepress/dist` : problems.join("\n"));
  process.exitCode = problems.length === 0 ? 0 : 1;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) await main();
