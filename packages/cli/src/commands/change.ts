import { BackendUnavailableError } from "@hotset/core";
import { CACHE_OPTIONS, within, type SeenCache } from "../caches.ts";
import type { Command, Session } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT } from "../io.ts";
import { fields } from "../output/table.ts";
import { checkWrite, WRITE_OPTION } from "../places.ts";

const OPTIONS = { ...CACHE_OPTIONS, ...WRITE_OPTION };

export const remove: Command = ofKeys("delete", {
  summary: "removes entries of a cache, in every process",
  about: "As the cache would: no process serves them again, and no load that runs stores what it has read before.",
  done: "removed",
  change: async ({ place }, key) => (await place.delete(key)).status,
});

export const stale: Command = ofKeys("stale", {
  summary: "makes entries of a cache stale: each is refreshed at its next read",
  about: "Their stale windows begin. An entry without one is removed.",
  done: "made stale",
  change: async ({ place }, key) => (await place.markStale(key)).status,
});

export const clear: Command = {
  name: "clear",
  summary: "empties a cache, or one of its namespaces, in every process",
  words: "<cache>",
  about: [
    "No entry is served again. They are not looked for: each goes at the end of its life, and Redis has its memory then.",
    "soft: each is refreshed at its next read, and served stale within its windows until then.",
  ],
  options: { ...OPTIONS, soft: { text: "make all of them stale, in place of ending them" } },
  check(given) {
    if (given.words.length !== 1) throw new UsageError("name one cache, and its namespaces with --namespace");
    checkWrite(given, "clear");
  },
  async run(session) {
    const [name] = session.arguments.words as readonly [string];
    const soft = session.arguments.flag("soft");
    const { status } = await within(session, name, "full", ({ place }) => place.clear(soft ? { stale: true } : {}));
    if (status === "pending") throw notAnswered();
    const namespaces = session.arguments.texts("namespace");
    const place = [name, ...namespaces].join(", ");
    return {
      exitCode: EXIT.fine,
      json: { version: 1, done: "clear", soft, cache: name, namespaces },
      text: fields([[soft ? "made stale" : "cleared", place]]),
    };
  },
};

type Status = "deleted" | "stale" | "missing" | "pending";

interface Change {
  readonly summary: string;
  readonly about: string;
  readonly done: string;
  change(seen: SeenCache, key: string): Promise<Status>;
}

/** Each by a cache of its layout: for another one it is the key of another program. */
async function changed(
  session: Session,
  name: string,
  keys: readonly string[],
  change: Change["change"],
): Promise<readonly Status[]> {
  const types = await within(session, name, "full", ({ backend, entryKey }) =>
    Promise.all(keys.map(async (key) => (await backend.peek(entryKey(key))).type)),
  );
  const statuses: Status[] = [];
  for (const layout of ["full", "string"] as const) {
    const own = keys.filter((_, i) => (types[i] === "string") === (layout === "string"));
    if (own.length === 0) continue;
    const found = await within(session, name, layout, (seen) => Promise.all(own.map((key) => change(seen, key))));
    statuses.push(...found);
  }
  return statuses;
}

function ofKeys(name: "delete" | "stale", { summary, about, done, change }: Change): Command {
  return {
    name,
    summary,
    words: "<cache> <key>...",
    about: [about],
    options: OPTIONS,
    check(given) {
      const [cache, ...keys] = given.words;
      if (cache === undefined) throw new UsageError("the name of the cache is missing");
      if (keys.length === 0) throw new UsageError("the key is missing");
      checkWrite(given, name);
    },
    async run(session) {
      const [cache, ...keys] = session.arguments.words as readonly [string, ...string[]];
      const statuses = await changed(session, cache, [...new Set(keys)], change);
      if (statuses.includes("pending")) throw notAnswered();
      const missing = statuses.filter((status) => status === "missing").length;
      const count = statuses.length - missing;
      return {
        exitCode: count === 0 ? EXIT.findings : EXIT.fine,
        json: { version: 1, done: name, keys: count, missing },
        text: fields([
          [done, count],
          ["not there", missing],
        ]),
      };
    },
  };
}

const notAnswered = (): BackendUnavailableError => new BackendUnavailableError("Redis did not answer in time");
