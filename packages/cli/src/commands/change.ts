import { BackendUnavailableError } from "@hotset/core";
import { CACHE_OPTIONS, within } from "../caches.ts";
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
  change: (session, name, keys) =>
    within(session, name, "full", async ({ place }) => {
      const { deleted, missing, pending } = await place.deleteMany(keys);
      return { done: deleted, missing, pending };
    }),
});

export const stale: Command = ofKeys("stale", {
  summary: "makes entries of a cache stale: each is refreshed at its next read",
  about: "Their stale windows begin. An entry without one is removed.",
  done: "made stale",
  async change(session, name, keys) {
    const counts = { done: 0, missing: 0, pending: 0 };
    // One of another layout would be removed: others may read it.
    const strings = await within(session, name, "full", async ({ backend, entryKey }) => {
      const contents = await Promise.all(keys.map((key) => backend.peek(entryKey(key))));
      return new Set(keys.filter((_, i) => contents[i]!.type === "string"));
    });
    for (const layout of ["full", "string"] as const) {
      const own = keys.filter((key) => strings.has(key) === (layout === "string"));
      if (own.length === 0) continue;
      await within(session, name, layout, async ({ place }) => {
        for (const { status } of await Promise.all(own.map((key) => place.markStale(key))))
          counts[status === "stale" ? "done" : status] += 1;
      });
    }
    return counts;
  },
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

interface Counts {
  readonly done: number;
  readonly missing: number;
  readonly pending: number;
}

interface Change {
  readonly summary: string;
  readonly about: string;
  readonly done: string;
  change(session: Session, name: string, keys: readonly string[]): Promise<Counts>;
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
      const counts = await change(session, cache, [...new Set(keys)]);
      if (counts.pending > 0) throw notAnswered();
      return {
        exitCode: counts.done === 0 ? EXIT.findings : EXIT.fine,
        json: { version: 1, done: name, keys: counts.done, missing: counts.missing },
        text: fields([
          [done, counts.done],
          ["not there", counts.missing],
        ]),
      };
    },
  };
}

const notAnswered = (): BackendUnavailableError => new BackendUnavailableError("Redis did not answer in time");
