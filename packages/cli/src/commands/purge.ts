import { readFileSync } from "node:fs";
import { httpCache, readRules, type HttpCache, type HttpRule } from "@hotset/http";
import { shown, type Arguments } from "../arguments.ts";
import { CACHE_OPTIONS, within } from "../caches.ts";
import type { Answer, Command } from "../command.ts";
import { timeoutOf } from "../connect.ts";
import { UnreachableError, UsageError } from "../errors.ts";
import { EXIT, type Io } from "../io.ts";
import { fields } from "../output/table.ts";
import { safe } from "../output/text.ts";
import { WRITE_OPTION } from "../places.ts";

export const purge: Command = {
  name: "purge",
  summary: "removes stored HTTP responses, by URL, tag or path, in every process",
  words: "<cache> [<url>...]",
  about: [
    "In Redis, as the cache of @hotset/http does: all variants of a URL, which begins with its base. Name its " +
      "namespace, and its rules where they shorten or sort queries.",
    "With --endpoint the service does it, through its purgeHandler, and with --send each URL gets a PURGE request: then " +
      "no cache is named. PURGE_TOKEN is sent as Authorization: Bearer.",
  ],
  options: {
    tag: { value: "<tag>", text: "responses with this tag; may be given several times" },
    below: { value: "<url>", text: "responses of this path and below it, where the cache has pathTags; likewise" },
    soft: { text: "make them stale, with their windows, in place of removing them" },
    rules: {
      value: "<path>",
      text: "JSON of the rules of the cache: needed for URLs whose query the rules shorten or sort",
    },
    endpoint: {
      value: "<url>",
      text: "the service purges: it gets JSON at this address, where it has mounted purgeHandler",
    },
    send: { text: "send PURGE to each URL" },
    ...CACHE_OPTIONS,
    ...WRITE_OPTION,
  },
  check(given) {
    const { urls, tags, below } = orderOf(given);
    if (isRemote(given)) {
      const ofCache = ["rules", ...Object.keys(CACHE_OPTIONS)].find((name) => given.flag(name));
      if (ofCache !== undefined) throw new UsageError(`--${ofCache} is for a purge in Redis`);
      if (given.flag("send") && given.flag("endpoint")) throw new UsageError("--send or --endpoint, not both");
      if (given.flag("send") && (tags.length > 0 || below.length > 0 || given.flag("soft")))
        throw new UsageError("PURGE names a URL alone; use --endpoint for tags, paths and --soft");
      if (given.flag("endpoint")) urlOf(given.text("endpoint")!, "--endpoint");
    } else if (given.words.length === 0) throw new UsageError("the name of the cache is missing");
    else if (/^https?:\/\//.test(given.words[0]!))
      throw new UsageError("the first word is the name of the cache, and then URLs; or add --endpoint or --send");
    for (const url of urls) urlOf(url, "each word behind the cache");
    for (const url of below) urlOf(url, "--below");
    if (urls.length + tags.length + below.length === 0)
      throw new UsageError("name what to purge: a URL, --tag or --below");
    rulesOf(given.text("rules"));
    if (!given.flag("write")) throw new UsageError("purge removes responses; add --write");
  },
  elsewhere: (given, io) => (isRemote(given) ? overHttp(given, io) : undefined),
  async run(session) {
    const { arguments: given } = session;
    const rules = rulesOf(given.text("rules"));
    return within(session, given.words[0]!, "full", async ({ place }) => {
      // A cache that has its responses apart by tenants or fields has tags for each URL: they are purged in any case.
      const everywhere = { pathTags: true, noVarySearch: true, partition: () => undefined };
      return done(given, await purgeAll(httpCache(place, { ...everywhere, rules }), given));
    });
  },
};

interface Order {
  readonly urls: readonly string[];
  readonly tags: readonly string[];
  readonly below: readonly string[];
  readonly soft: boolean;
}

const isRemote = (given: Arguments): boolean => given.flag("endpoint") || given.flag("send");

const orderOf = (given: Arguments): Order => ({
  urls: isRemote(given) ? given.words : given.words.slice(1),
  tags: given.texts("tag"),
  below: given.texts("below"),
  soft: given.flag("soft"),
});

/** @throws {UsageError} for anything but a whole URL of HTTP. */
function urlOf(text: string, what: string): URL {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url !== undefined && /^https?:$/.test(url.protocol)) return url;
  throw new UsageError(`${what} must be a URL such as https://shop.example/books/1, got ${shown(text)}`);
}

function rulesOf(path: string | undefined): readonly HttpRule[] | undefined {
  if (path === undefined) return undefined;
  try {
    return readRules(JSON.parse(readFileSync(path, "utf8")));
  } catch (error) {
    throw new UsageError(`--rules cannot be used: ${(error as Error).message}`);
  }
}

async function purgeAll(http: HttpCache, given: Arguments): Promise<"done" | "pending"> {
  const { urls, tags, below, soft } = orderOf(given);
  const results = await Promise.all([
    ...urls.map((url) => http.purge(url, { soft })),
    ...(tags.length === 0 ? [] : [http.purgeTags(tags, { soft })]),
    ...below.map((url) => http.purgePrefix(url, { soft })),
  ]);
  return results.some(({ status }) => status === "pending") ? "pending" : "done";
}

/** By the handler of the service, or by the server that answers PURGE at each URL. */
async function overHttp(given: Arguments, io: Io): Promise<Answer> {
  const { urls, tags, below, soft } = orderOf(given);
  const token = io.variables["PURGE_TOKEN"];
  const headers = token === undefined ? {} : { authorization: `Bearer ${token}` };
  const timeoutMs = timeoutOf(given);
  const ask = async (url: string, init: RequestInit): Promise<"done" | "pending"> => {
    const signal = AbortSignal.any([io.signal, AbortSignal.timeout(timeoutMs)]);
    let answer: Response;
    try {
      answer = await fetch(url, { ...init, redirect: "manual", signal });
    } catch {
      throw new UnreachableError(`${new URL(url).origin} did not answer; what was sent may have been done`);
    }
    const body = (await answer.json().catch(() => ({}))) as { readonly status?: unknown; readonly error?: unknown };
    if (answer.ok) return body.status === "pending" ? "pending" : "done";
    const why = typeof body.error === "string" ? `: ${safe(body.error).slice(0, 200)}` : "";
    throw new Error(`${new URL(url).origin} refused with ${answer.status}${why}`);
  };
  const json = { ...headers, "content-type": "application/json" };
  const body = JSON.stringify({ urls, tags, ...(below.length > 0 && { prefixes: below }), soft });
  const results = given.flag("send")
    ? await Promise.all(urls.map((url) => ask(url, { method: "PURGE", headers })))
    : [await ask(given.text("endpoint")!, { method: "POST", headers: json, body })];
  return done(given, results.includes("pending") ? "pending" : "done");
}

function done(given: Arguments, status: "done" | "pending"): Answer {
  const { urls, tags, below, soft } = orderOf(given);
  return {
    exitCode: EXIT.fine,
    json: { version: 1, status, soft, urls, tags, below },
    text: fields([
      [
        soft ? "made stale" : "removed",
        `what was stored of these, ${status === "done" ? "in every process" : "and other processes will follow"}`,
      ],
      ["URLs", urls.length],
      ["tags", tags.length],
      ["paths", below.length],
    ]),
  };
}
