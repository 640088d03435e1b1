import { v8 } from "@hotset/formats";
import { httpCache, type HttpCacheOptions } from "@hotset/http";
import { cachedFetch } from "@hotset/http/fetch";
import { createTestCache, flush, gate, scriptedBackend, TestClock, type Gate } from "@hotset/testing";
import { describe, expect, it, onTestFinished } from "vitest";

const PAGE = "https://a.example/page";

/** Each answer of the network is the number of the request. Its head waits for `head`, and the rest of it for `body`. */
function open(options: HttpCacheOptions = {}, more: Record<string, string> = {}) {
  const clock = new TestClock();
  const cache = createTestCache({ clock, backend: scriptedBackend({ clock, format: v8() }) });
  onTestFinished(() => cache.close());
  const seen: string[] = [];
  const gates: { head: Gate | undefined; body: Gate | undefined } = { head: undefined, body: undefined };
  const site = { status: 200, fields: more };
  const get = cachedFetch(httpCache(cache.namespace("http"), { clock, mode: "private", ...options }), async (input) => {
    const { headers: asked } = input as Request;
    seen.push(asked.get("if-none-match") ?? "all");
    const number = `${seen.length}`;
    const { head, body } = gates;
    await head?.pass();
    const date = new Date(clock.epochMs()).toUTCString();
    const headers = { "cache-control": "max-age=60", date, etag: `"${number}"`, ...site.fields };
    const stream = new ReadableStream<Uint8Array>({
      async pull(controller) {
        await body?.pass();
        controller.enqueue(new TextEncoder().encode(number));
        controller.close();
      },
    });
    return new Response(site.status === 304 ? null : stream, { status: site.status, headers });
  });
  const ask = (mode: string, headers: Record<string, string> = {}): Promise<Response> => {
    const init = { cache: mode, headers, ...(mode === "only-if-cached" && { mode: "same-origin" }) } as RequestInit;
    return get(PAGE, init);
  };
  const text = async (asked: Response | Promise<Response>): Promise<string> => {
    const response = await asked;
    const body = await response.text();
    return response.ok ? body : `${response.status}`;
  };
  return { ask, text, clock, gates, seen, site };
}

type World = ReturnType<typeof open>;

/** One response is stored, and fresh. */
async function hit({ ask, text }: World): Promise<void> {
  await text(ask("default"));
  await flush();
}

async function stale(world: World): Promise<void> {
  await hit(world);
  world.clock.advance(61_000);
}

/** A load runs: its head has not come, or its body. */
async function joined({ ask, gates, text }: World, part: "head" | "body"): Promise<() => void> {
  const running = gate();
  gates[part] = running;
  const first = ask("default");
  void first.then(text);
  await running.arrived();
  if (part === "body") await first;
  gates[part] = undefined;
  return () => running.open();
}

const STATES: Readonly<Record<string, (world: World) => Promise<void | (() => void)>>> = {
  miss: async () => {},
  hit,
  "hit of a variant": hit,
  stale,
  "joined before its head": (world) => joined(world, "head"),
  "joined within its body": (world) => joined(world, "body"),
};

/** The answer, and what the network was asked for after the state was there: all of it, or what has changed. */
type Row = readonly [mode: string, state: string, answer: string, asked: readonly string[]];

const TABLE: readonly Row[] = [
  ["default", "miss", "1", ["all"]],
  ["default", "hit", "1", []],
  ["default", "stale", "2", ['"1"']],
  ["default", "joined before its head", "1", []],
  ["default", "joined within its body", "1", []],
  ["no-store", "miss", "1", ["all"]],
  ["no-store", "hit", "2", ["all"]],
  ["no-store", "stale", "2", ["all"]],
  ["no-store", "joined before its head", "2", ["all"]],
  ["no-store", "joined within its body", "2", ["all"]],
  ["reload", "miss", "1", ["all"]],
  ["reload", "hit", "2", ["all"]],
  ["reload", "stale", "2", ["all"]],
  ["reload", "joined before its head", "2", ["all"]],
  ["reload", "joined within its body", "2", ["all"]],
  ["no-cache", "miss", "1", ["all"]],
  ["no-cache", "hit", "2", ['"1"']],
  ["no-cache", "stale", "2", ['"1"']],
  ["no-cache", "joined before its head", "2", ["all"]],
  ["no-cache", "joined within its body", "2", ["all"]],
  ["force-cache", "miss", "1", ["all"]],
  ["force-cache", "hit", "1", []],
  ["force-cache", "stale", "1", []],
  ["force-cache", "joined before its head", "1", []],
  ["force-cache", "joined within its body", "1", []],
  ["only-if-cached", "miss", "504", []],
  ["only-if-cached", "hit", "1", []],
  ["only-if-cached", "stale", "1", []],
  ["only-if-cached", "joined before its head", "504", []],
  ["only-if-cached", "joined within its body", "504", []],
];

describe.each<[string, HttpCacheOptions]>([
  ["private", { mode: "private" }],
  ["shared", { mode: "shared" }],
])("H107 cachedFetch, %s", (_, options) => {
  it.each(TABLE)("%s: %s", async (mode, state, answer, asked) => {
    const world = open(options);
    const release = await STATES[state]!(world);
    const before = world.seen.length;
    const got = world.text(world.ask(mode));
    await flush();
    release?.();
    expect(await got).toBe(answer);
    expect(world.seen.slice(before)).toEqual(asked);
  });
});

const NEWER = ["reload", "no-cache"] as const;
const LOOKS = ["default", "force-cache", "only-if-cached"] as const;
const AFTER = NEWER.flatMap((mode) =>
  LOOKS.flatMap((next) => ["hit", "hit of a variant", "stale"].map((state) => [mode, next, state] as const)),
);

describe("H107 right after an answer", () => {
  it.each(AFTER)("of %s, %s gives none that is older: %s", async (mode, next, state) => {
    const world = open({}, state === "hit of a variant" ? { vary: "accept-language" } : {});
    const { ask, text, gates, seen } = world;
    await STATES[state]!(world);
    const body = gate();
    gates.body = body;
    const newer = await ask(mode);
    const after = text(ask(next));
    await body.arrived();
    await flush();
    body.open();
    expect([await text(newer), await after]).toEqual(["2", "2"]);
    expect(seen).toHaveLength(2);
    expect(await text(ask(next))).toBe("2");
    expect(seen).toHaveLength(2);
  });

  it("of no-cache that nothing has changed, the stored response is the newer one", async () => {
    const world = open();
    const { ask, text, site, clock } = world;
    await hit(world);
    clock.advance(30_000);
    site.status = 304;
    const [newer, after] = [await ask("no-cache"), await ask("default")];
    expect([newer.headers.get("age"), after.headers.get("age")]).toEqual(["0", "0"]);
    expect([await text(newer), await text(after)]).toEqual(["1", "1"]);
  });

  it("that may not be stored, the one before is not given", async () => {
    const world = open();
    const { ask, text, site, seen } = world;
    await hit(world);
    site.fields = { "cache-control": "no-store" };
    const [newer, after] = [await ask("no-cache"), await ask("default")];
    expect([await text(newer), await text(after)]).toEqual(["2", "3"]);
    expect(seen).toHaveLength(3);
  });

  it("a load that began before neither replaces it nor is joined", async () => {
    const world = open();
    const { ask, text, gates, seen } = world;
    const first = gate();
    gates.head = first;
    const older = ask("default");
    await first.arrived();
    gates.head = undefined;
    expect(await text(ask("reload"))).toBe("2");
    const after = text(ask("default"));
    first.open();
    expect(await text(older)).toBe("1");
    expect(await after).toBe("2");
    await flush();
    expect([await text(ask("default")), await text(ask("force-cache"))]).toEqual(["2", "2"]);
    expect(seen).toHaveLength(2);
  });
});

it("H107 each reload asks for itself", async () => {
  const world = open();
  const answers = await Promise.all(Array.from({ length: 3 }, () => world.text(world.ask("reload"))));
  expect(answers.toSorted()).toEqual(["1", "2", "3"]);
  await flush();
  expect(await world.text(world.ask("default"))).toBe("3");
});

it.each(NEWER)("H107 %s of one variant leaves the others", async (mode) => {
  const world = open({}, { vary: "accept-language" });
  const { ask, text, seen } = world;
  for (const language of ["de", "fr"]) {
    await text(ask("default", { "accept-language": language }));
    await flush();
  }
  expect(await text(ask(mode, { "accept-language": "de" }))).toBe("3");
  expect(seen[2]).toBe(mode === "reload" ? "all" : '"1"');
  await flush();
  expect(await text(ask("default", { "accept-language": "fr" }))).toBe("2");
  expect(await text(ask("default", { "accept-language": "de" }))).toBe("3");
});

it("H107 right after no-cache, a variant in a language that the client likes is not given for its own", async () => {
  const world = open({}, { vary: "accept-language", "content-language": "de" });
  const { ask, text, gates, seen } = world;
  await text(ask("default", { "accept-language": "de, en;q=0.5" }));
  await flush();
  expect(await text(ask("default", { "accept-language": "de" }))).toBe("1");
  const body = gate();
  gates.body = body;
  const newer = await ask("no-cache", { "accept-language": "de" });
  const after = text(ask("default", { "accept-language": "de" }));
  await flush();
  body.open();
  expect([await text(newer), await after]).toEqual(["2", "2"]);
  expect(seen).toHaveLength(2);
});
