import { createHash } from "node:crypto";
import { CacheError, type Cache } from "@hotset/core";
import { AskError } from "./ask-error.ts";
import { assets } from "./assets.ts";
import { SAMPLE_MS } from "./data/history.ts";
import { KeyLists } from "./data/key-lists.ts";
import { LiveParts } from "./data/live-parts.ts";
import { PAGES, type Finding, type PageName } from "./data/pages.ts";
import { Subject } from "./data/subject.ts";
import { Toolkit } from "./data/toolkit.ts";
import { cachesOf, settingsOf, type InspectorOptions, type Settings } from "./options.ts";
import { answerOf, jsonOf, textOf } from "./server/answers.ts";
import { ASKS, type Sources } from "./server/asks.ts";
import { isSameOrigin, OWN_HEADER, refusalOf, type Client, type Refusal } from "./server/guard.ts";
import { HTML, ICON } from "./server/html.ts";
import { liveStream, MAX_STREAMS } from "./server/live.ts";
import { questionOf } from "./server/questions.ts";

/** Answers the requests of the inspector's pages: a Fetch handler. */
export interface Inspector {
  /**
   * Never rejects. @param client as the server knows it: without `authorize`, only a client whose `address` is that of
   * this machine gets an answer.
   */
  (request: Request, client?: Client): Promise<Response>;
  /** The path as browsers see it, without a slash at its end. */
  readonly path: string;
  /** Ends all streams, and remembers nothing more. Idempotent. */
  close(): void;
}

/**
 * Pages that show what these caches do. Until `close` it samples their counters, and remembers their last
 * invalidations; what costs more is done only while someone watches.
 *
 * @throws {ConfigurationError} for options that can never work, and without `authorize` in production.
 */
export function inspector(caches: Cache | readonly Cache[], options: InspectorOptions = {}): Inspector {
  const settings = settingsOf(options);
  const server = new Server(
    settings,
    cachesOf(caches).map((cache) => new Subject(cache, settings.window)),
  );
  const handler = (request: Request, client: Client = {}): Promise<Response> => server.answer(request, client);
  return Object.assign(handler, { path: settings.path, close: () => server.close() });
}

class Server {
  readonly #settings: Settings;
  readonly #subjects: readonly Subject[];
  readonly #sources: Sources;
  readonly #parts: LiveParts;
  readonly #lists = new KeyLists();
  /** Ends each stream that is open. */
  readonly #streams = new Set<() => void>();
  readonly #sampling: NodeJS.Timeout;
  #unwatch: readonly (() => void)[] = [];
  #isClosed = false;

  constructor(settings: Settings, subjects: readonly Subject[]) {
    this.#settings = settings;
    this.#subjects = subjects;
    const redactsKeys = subjects.some(({ inspection }) => inspection.redactsKeys);
    const toolkit = settings.toolkit && new Toolkit(settings.toolkit, redactsKeys);
    this.#sources = { settings, subjects, lists: this.#lists, toolkit };
    this.#parts = new LiveParts(settings, subjects, toolkit);
    this.#sampling = setInterval(() => {
      const now = Date.now();
      for (const subject of subjects) subject.look(now);
      for (const finding of this.#parts.notice()) notify(settings.onFinding, finding);
    }, SAMPLE_MS);
    this.#sampling.unref();
  }

  async answer(request: Request, client: Client): Promise<Response> {
    try {
      const response = await this.#route(request, client);
      return request.method === "HEAD" ? withoutBody(response) : response;
    } catch (error) {
      if (error instanceof AskError) return jsonOf(error.status, { error: error.message });
      // Errors of hotset say what to do. Others may contain anything.
      const text = error instanceof CacheError ? `${error.code}: ${error.message}` : "the inspector failed";
      return jsonOf(error instanceof CacheError ? 502 : 500, { error: text });
    }
  }

  close(): void {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#sampling);
    for (const end of [...this.#streams]) end();
    this.#lists.clear();
    for (const subject of this.#subjects) subject.close();
  }

  async #route(request: Request, client: Client): Promise<Response> {
    const { pathname, searchParams } = new URL(request.url);
    const { path } = this.#settings;
    if (pathname !== path && !pathname.startsWith(`${path}/`))
      return textOf(
        404,
        `the inspector is at ${path}/; where it is mounted elsewhere, inspector(caches, { path }) names that path`,
      );
    if (this.#isClosed) return textOf(503, "the inspector is closed");
    const refusal = await refusalOf(this.#settings, request, client, "read");
    if (refusal !== undefined) return refused(refusal);
    const name = pathname.slice(path.length + 1);
    if (name.startsWith("api/")) return this.#api(name.slice("api/".length), { request, client, searchParams });
    if (request.method !== "GET" && request.method !== "HEAD") return textOf(405, "use GET", { allow: "GET, HEAD" });
    // Relative addresses of the page need the slash.
    if (pathname === path) return textOf(308, "moved", { location: `${path.slice(path.lastIndexOf("/") + 1)}/` });
    return this.#file(name, request);
  }

  async #file(name: string, request: Request): Promise<Response> {
    switch (name) {
      case "":
        return answerOf(200, "text/html; charset=utf-8", HTML);
      case "page.js":
        return unlessHeld(request, "text/javascript; charset=utf-8", (await assets()).script);
      case "page.css":
        return unlessHeld(request, "text/css; charset=utf-8", (await assets()).style);
      case "icon.svg":
        return unlessHeld(request, "image/svg+xml", ICON);
      default:
        return textOf(404, "the inspector has no such page");
    }
  }

  async #api(
    name: string,
    { request, client, searchParams }: { request: Request; client: Client; searchParams: URLSearchParams },
  ): Promise<Response> {
    if (!isSameOrigin(request)) return jsonOf(403, { error: "a page of another origin asked" });
    if (name === "live") {
      if (request.method !== "GET") return textOf(405, "use GET", { allow: "GET" });
      return this.#live(searchParams.get("page"));
    }
    const ask = Object.hasOwn(ASKS, name) ? ASKS[name] : undefined;
    if (ask === undefined) return jsonOf(404, { error: "the inspector has no such question" });
    if (request.method !== "POST") return textOf(405, "use POST", { allow: "POST" });
    if (request.headers.get(OWN_HEADER) === null)
      return jsonOf(403, { error: `the header ${OWN_HEADER} is missing: only the page may ask` });
    if (ask.access !== "read") {
      const refusal = await refusalOf(this.#settings, request, client, ask.access);
      if (refusal !== undefined) return refusal instanceof Response ? refusal : jsonOf(403, { error: refusal.text });
    }
    return jsonOf(200, await ask.answer(await questionOf(request), this.#sources));
  }

  #live(asked: string | null): Response {
    const page = PAGES.find((each): each is PageName => each === asked && this.#parts.has(each));
    if (page === undefined) return jsonOf(404, { error: "the inspector has no such page" });
    if (this.#streams.size >= MAX_STREAMS) return textOf(503, `${MAX_STREAMS} pages are open; close one`);
    if (this.#streams.size === 0) this.#unwatch = this.#subjects.map((subject) => subject.watch());
    const { response, end } = liveStream(
      () => this.#parts.of(page),
      () => {
        this.#streams.delete(end);
        if (this.#streams.size > 0) return;
        for (const stop of this.#unwatch) stop();
        this.#unwatch = [];
      },
    );
    this.#streams.add(end);
    return response;
  }
}

/** An error of it changes nothing. */
function notify(listener: Settings["onFinding"], finding: Finding): void {
  try {
    listener?.(finding);
  } catch {
    // It only observes.
  }
}

const refused = (refusal: Refusal): Response =>
  refusal instanceof Response ? refusal : textOf(refusal.status, refusal.text);

/** A file of the page, or 304 where the browser has it. */
function unlessHeld(request: Request, type: string, text: string): Response {
  const etag = `"${createHash("sha256").update(text).digest("base64url")}"`;
  const fields = { "cache-control": "private, no-cache", etag };
  return request.headers.get("if-none-match") === etag
    ? answerOf(304, type, null, fields)
    : answerOf(200, type, text, fields);
}

function withoutBody(response: Response): Response {
  void response.body?.cancel();
  return new Response(null, { status: response.status, headers: response.headers });
}
