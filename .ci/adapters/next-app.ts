/** The applications of next.ts, by file. Data comes from `ORIGIN`, which counts how often it was asked. */
export type Files = Readonly<Record<string, string>>;

export type Handler = "hotset" | "fortedigital" | "turbo";

/** Which handler runs is chosen when the server starts. The name of a build is in its code. */
const config = (settings: string): string => `import { createRequire } from "node:module";

const { resolve } = createRequire(import.meta.url);
const HANDLERS = {
  hotset: () => ["@hotset/next/isr", "@hotset/next/use-cache"],
  own: () => ["./own-isr.mjs", "./own-use-cache.mjs"],
  fortedigital: () => ["./fortedigital.mjs"],
  turbo: () => ["@trieb.work/nextjs-turbo-redis-cache", "./turbo-use-cache.cjs"],
};
const [isr, useCache] = HANDLERS[process.env.HANDLER ?? "hotset"]().map((file) => resolve(file));
const cacheHandlers = useCache && { cacheHandlers: { default: useCache, remote: useCache } };

export default {
  cacheHandler: isr,
  cacheMaxMemorySize: 0,
  distDir: process.env.DIST ?? ".next",
  ...(process.env.STANDALONE && { output: "standalone" }),
  env: { BUILD: process.env.BUILD ?? "first" },
  ${settings}
};
`;

const IMAGES = "images: { customCacheHandler: true },";
const NEXT_15 = config("experimental: { useCache: true, ...cacheHandlers },");
export const CONFIGS = {
  15: { pages: NEXT_15, "`use cache`": NEXT_15 },
  16: {
    pages: config(IMAGES),
    "`use cache`": config(`${IMAGES} cacheComponents: true, partialPrefetching: true, ...cacheHandlers,`),
  },
} as const;

/** As the documentation of each says. */
const HANDLERS: Files = {
  "own.mjs": `import { nextCache } from "@hotset/next";
import { createCache, memory, redis } from "hotset";

const build = () => createCache({ name: "own" }).tier(memory()).tier(redis(process.env.REDIS_URL).build());
export const { CacheHandler, useCacheHandler } = nextCache(build);
`,
  "own-isr.mjs": `export { CacheHandler as default } from "./own.mjs";\n`,
  "own-use-cache.mjs": `export { useCacheHandler as default } from "./own.mjs";\n`,
  "fortedigital.mjs": `import { CacheHandler } from "@fortedigital/nextjs-cache-handler";
import createRedisHandler from "@fortedigital/nextjs-cache-handler/redis-strings";
import { createClient } from "@redis/client";

CacheHandler.onCreation(() => (globalThis.handlers ??= (async () => {
  if (process.env.NEXT_PHASE === "phase-production-build") return { handlers: [] };
  const client = createClient({ url: process.env.REDIS_URL, pingInterval: 10_000 });
  client.on("error", () => {});
  await client.connect();
  return { handlers: [createRedisHandler({ client, keyPrefix: "nextjs:" })] };
})()));
export default CacheHandler;
`,
  "turbo-use-cache.cjs": `module.exports = require("@trieb.work/nextjs-turbo-redis-cache").redisCacheHandler;\n`,
};

const LAYOUT = `export default function Layout({ children }) {
  return <html><body>{children}</body></html>;
}
`;
const UP = `export const GET = () => Response.json({});\n`;

/** `?tag=a&expire=0`, `?tag=a&expire=max`, `?path=/page/1`. Next invalidates after the answer. */
const REVALIDATE = `import { revalidatePath, revalidateTag } from "next/cache";

export async function GET(request) {
  const { tag, path, expire } = Object.fromEntries(new URL(request.url).searchParams);
  if (path) revalidatePath(path);
  else revalidateTag(tag, expire === "max" ? "max" : { expire: Number(expire) });
  return Response.json({});
}
`;
const HEAP = `export async function GET(request) {
  await request.text();
  globalThis.gc();
  return Response.json(process.memoryUsage().heapUsed);
}
`;

const route = (value: string, settings = "export const revalidate = 3600;"): string => `import { made } from "MADE";
${settings}
export const dynamic = "force-static";
export const generateStaticParams = () => [];
export async function GET(_, { params }) {
  const { id } = await params;
  return Response.json(${value});
}
`;
const htmlPage = (value: string, settings: string): string => `import { made } from "MADE";
import { notFound } from "next/navigation";
${settings}
export default async function Page({ params }) {
  const { id } = await params;
  return <main data-made={JSON.stringify(${value})}>{process.env.BUILD}</main>;
}
`;
const MADE = `let runs = 0;
export async function made(id, tags = ["t-" + id]) {
  const url = process.env.ORIGIN + "/" + id;
  const { n } = process.env.ORIGIN ? await (await fetch(url, { next: { tags, revalidate: 3600 } })).json() : {};
  return { id, from: process.env.FROM, runs: ++runs, n };
}
`;

/** A white dot: a file of `public`. */
export const DOT = Buffer.from(
  "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mP8/x8AAwMCAO+ip1sAAAAASUVORK5CYII=",
  "base64",
);

/** `MADE` of each file is `lib/made.js`. */
const linked = (files: Files): Files =>
  Object.fromEntries(
    Object.entries(files).map(([name, text]) => [
      name,
      text.replace('"MADE"', JSON.stringify(`${"../".repeat(name.split("/").length - 1)}lib/made.js`)),
    ]),
  );

/** Pages of the time before `use cache`. */
export const ISR: Files = linked({
  ...HANDLERS,
  "lib/made.js": MADE,
  "app/layout.js": LAYOUT,
  "app/up/route.js": `export const dynamic = "force-dynamic";\n${UP}`,
  "app/revalidate/route.js": `export const dynamic = "force-dynamic";\n${REVALIDATE}`,
  "app/heap/route.js": `export const dynamic = "force-dynamic";\n${HEAP}`,
  "app/page/[id]/route.js": route("await made(id)"),
  "app/reader/[id]/route.js": route('await made(id, ["reader-" + id])'),
  "app/tagged/[id]/route.js": route(
    'await made(id, Array.from({ length: 111 }, (_, i) => i + "-" + id + "-" + "x".repeat(80)))',
  ),
  "app/short/[id]/route.js": route("{ ...(await made(id)) }", "export const revalidate = 6;"),
  "app/html/[id]/page.js": htmlPage(
    "await made(id)",
    "export const revalidate = 3600;\nexport const generateStaticParams = () => [];",
  ),
  "app/lost/[id]/page.js": htmlPage(
    "notFound()",
    "export const revalidate = 3600;\nexport const generateStaticParams = () => [];",
  ),
  "app/built/[id]/page.js": htmlPage(
    "await made(id)",
    "export const revalidate = 3600;\nexport const generateStaticParams = () => [1, 2, 3].map((id) => ({ id: String(id) }));",
  ),
  "pages/legacy/[id].js": `import { made } from "MADE";
export const getStaticPaths = () => ({ paths: [], fallback: "blocking" });
export async function getStaticProps({ params }) {
  const props = { made: await made(params.id) };
  return params.id === "gone" ? { notFound: true, revalidate: 3600 } : { props, revalidate: 3600 };
}
export default function Page({ made }) {
  return <main data-made={JSON.stringify(made)} />;
}
`,
});

const DATA = `import { cacheLife, cacheTag } from "next/cache";

const state = (globalThis.made ??= { runs: 0 });
async function fresh(id) {
  const { n } = process.env.ORIGIN ? await (await fetch(process.env.ORIGIN + "/" + id, { cache: "no-store" })).json() : {};
  return { id, from: process.env.FROM, runs: ++state.runs, n };
}
const live = (revalidate) => cacheLife({ stale: 300, revalidate, expire: 86_400 });

export async function made(id) {
  "use cache";
  cacheTag("t-" + id);
  live(3_600);
  return fresh(id);
}
export async function remote(id) {
  "use cache: remote";
  cacheTag("t-" + id);
  live(3_600);
  return fresh(id);
}
export async function short(id) {
  "use cache";
  live(6);
  return fresh(id);
}
export async function big(id) {
  "use cache";
  live(3_600);
  return { ...(await fresh(id)), text: (id + "é").repeat(1_700_000) };
}
`;

const cached = (name: string): string => `import { ${name} } from "MADE";
export async function GET(_, { params }) {
  const { id } = await params;
  return Response.json(await ${name}(id));
}
`;
const pprPage = (more: string, form: string): string => `import { Suspense } from "react";
import { updateTag } from "next/cache";
import { made } from "MADE";
import { Shown } from "../../shown.js";
${more}
async function Value({ params }) {
  const { id } = await params;
  return <><main data-made={JSON.stringify(await made(id))}><Shown /></main>${form}</>;
}
export default function Page({ params }) {
  return <Suspense fallback={<p>{process.env.BUILD}</p>}><Value params={params} /></Suspense>;
}
`;

/** \`use cache\`, with partly static pages. */
export const USE_CACHE: Files = linked({
  ...HANDLERS,
  "lib/made.js": DATA,
  "app/layout.js": LAYOUT,
  "app/shown.js": '"use client";\nexport const Shown = () => <b>{process.env.BUILD}</b>;\n',
  "app/up/route.js": UP,
  "app/revalidate/route.js": REVALIDATE,
  "app/heap/route.js": HEAP,
  "app/page/[id]/route.js": cached("made"),
  "app/remote/[id]/route.js": cached("remote"),
  "app/short/[id]/route.js": cached("short"),
  "app/big/[id]/route.js": cached("big"),
  "app/static/page.js": `import { made } from "MADE";
import { Shown } from "../shown.js";
export default async function Page() {
  return <main data-made={JSON.stringify(await made("static"))}><Shown /></main>;
}
`,
  "app/ppr/[id]/page.js": pprPage("", ""),
  "app/act/[id]/page.js": pprPage(
    `async function update(form) {
  "use server";
  updateTag("t-" + form.get("id"));
}`,
    '<form action={update}><input name="id" defaultValue={id} /></form>',
  ),
});

/** As 15.5 has it: other names, and no profiles. */
export const USE_CACHE_15: Files = Object.fromEntries(
  Object.entries(USE_CACHE).map(([name, text]) => [
    name,
    text
      .replace("{ cacheLife, cacheTag }", "{ unstable_cacheLife as cacheLife, unstable_cacheTag as cacheTag }")
      .replace("{ updateTag }", "{ revalidateTag as updateTag }"),
  ]),
);
