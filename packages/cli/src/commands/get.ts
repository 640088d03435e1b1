import { inspect } from "node:util";
import type { EntryInfo } from "@hotset/core";
import type { KeyContent } from "@hotset/redis/internal";
import { CACHE_OPTIONS, within } from "../caches.ts";
import type { Answer, Command, Session } from "../command.ts";
import { EXIT } from "../io.ts";
import { entriesOf } from "../keys/entries.ts";
import { NOT_READABLE, readable } from "../keys/readable.ts";
import { fields } from "../output/table.ts";
import { bytesText, cut, durationText, safe } from "../output/text.ts";
import { checkWords } from "../places.ts";

export const get: Command = {
  name: "get",
  summary: "shows one entry of a cache: freshness, tags, size; and its value where you ask",
  words: "<cache> <key>",
  about: ["Reads as the cache would: an entry that its tags have ended is not served. It loads nothing."],
  options: { ...CACHE_OPTIONS, value: { text: "show the value, too" } },
  check(given) {
    checkWords(given, ["the name of the cache", "the key"], { least: 2 });
  },
  async run(session) {
    const [name, key] = session.arguments.words as readonly [string, string];
    const look = (layout: "full" | "string"): Promise<Answer | KeyContent> =>
      within(session, name, layout, async ({ backend, place, entryKey }) => {
        const info = await place.inspect(key);
        if (info !== undefined) {
          const value = session.arguments.flag("value") ? await place.get(key, { allowStale: true }) : undefined;
          return present(info, value);
        }
        const stored = await backend.read(entryKey(key));
        return stored === undefined ? backend.peek(entryKey(key)) : unserved(stored.meta, stored.data.byteLength);
      });
    // Types are asked for last: a user with the rights of a cache may not.
    let found = await look("full");
    if ("type" in found && found.type === "string" && !found.isPlaceholder) found = await look("string");
    if (!("type" in found)) return found;
    return noEntry(found, found.type === "none" ? await elsewhere(session, name, found.key) : []);
  },
};

/** Keys that are looked at for the same entry in another namespace. */
const LOOKED_AT = 1_000;

/** Namespaces that have an entry of this key. A user who may not walk over keys gets none. @param key in Redis */
async function elsewhere(session: Session, name: string, key: string): Promise<readonly (readonly string[])[]> {
  const ending = key.slice(key.indexOf("::"));
  const found = await readable(() => entriesOf(session, name, LOOKED_AT, ending));
  if (found === NOT_READABLE) return [];
  return found.entries.flatMap((one) => (one.key.slice(one.key.indexOf("::")) === ending ? [one.path] : []));
}

function noEntry({ key, type, isPlaceholder }: KeyContent, others: readonly (readonly string[])[]): Answer {
  const answer = (text: string, json: object): Answer => ({
    exitCode: EXIT.findings,
    json: { version: 1, ...json },
    text,
  });
  if (type === "none") {
    const places = others.map((path) => path.map((each) => ` --namespace ${safe(each)}`).join("") || " no --namespace");
    const hint = places.length === 0 ? "" : `; there is one with${places.join(", and with")}`;
    return answer(`no such entry: Redis has no key ${safe(key)}${hint}`, {
      state: "absent",
      key,
      ...(others.length > 0 && { namespaces: others }),
    });
  }
  if (isPlaceholder) return answer("no entry yet: a load is under way", { state: "loading" });
  return answer(`no entry: the key holds a ${type} of another program, or of another version of hotset`, {
    state: "foreign",
    type,
  });
}

/** The answer for an entry that is there, but that no cache with this name and these formats serves. */
function unserved(meta: string, bytes: number): Answer {
  const format = /^\["(?<format>[^"]{1,40})"/.exec(meta)?.groups?.["format"];
  return {
    exitCode: EXIT.findings,
    json: { version: 1, state: "unserved", bytes, format },
    text:
      `an entry of ${bytesText(bytes)} is there, and is not served: its tags have ended it, or it is sealed, or in a ` +
      `format of your own${format === undefined ? "" : ` (${format})`}`,
  };
}

function present(info: EntryInfo, value: unknown): Answer {
  const { state, ageMs, freshForMs, expiresInMs, tags, encoding, etag, lastModified } = info;
  const shown = value === undefined ? undefined : inspect(value, { depth: 20, maxArrayLength: 1_000, colors: false });
  return {
    exitCode: EXIT.fine,
    json: {
      version: 1,
      state,
      ageMs,
      freshForMs: finite(freshForMs),
      expiresInMs: finite(expiresInMs),
      tags,
      ...encoding,
      etag,
      lastModified,
      ...(value === undefined ? undefined : { value: JSON.parse(JSON.stringify(value, plain)) as unknown }),
    },
    text: [
      fields([
        ["state", state],
        ["age", durationText(ageMs)],
        freshForMs < 0 ? ["stale for", durationText(-freshForMs)] : ["fresh for", durationText(freshForMs)],
        ["ends in", durationText(expiresInMs)],
        ["tags", tags.length === 0 ? "none" : cut(tags.join(", "), 200)],
        ["size", bytesText(encoding?.bytes)],
        ["encoding", encoding && `${encoding.format}, ${encoding.compressor}`],
      ]),
      ...(shown === undefined ? [] : ["", ...shown.split("\n").map(safe)]),
    ].join("\n"),
  };
}

/** JSON has no infinity. */
const finite = (ms: number): number | null => (ms === Infinity ? null : ms);

/** Values that JSON cannot say, as text or lists. */
function plain(this: Readonly<Record<string, unknown>>, name: string, value: unknown): unknown {
  // A Buffer is a list of numbers by now: its own toJSON() comes first.
  const given = this[name];
  if (given instanceof Uint8Array) return Buffer.from(given).toString("base64");
  if (typeof value === "bigint") return `${value}`;
  if (value instanceof Map) return [...(value as ReadonlyMap<unknown, unknown>)];
  if (value instanceof Set) return [...(value as ReadonlySet<unknown>)];
  return value;
}
