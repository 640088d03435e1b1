import { CACHE_OPTIONS, within } from "../caches.ts";
import type { Command } from "../command.ts";
import { EXIT } from "../io.ts";
import { fields } from "../output/table.ts";
import { checkWords, WRITE_OPTION } from "../places.ts";

const ACTIONS = ["invalidate", "mark-stale"];

export const tag: Command = {
  name: "tag",
  summary: "shows the version of a tag of a cache, or invalidates it",
  words: "<cache> <tag> [invalidate|mark-stale]",
  about: [
    "A version changes with each invalidation, and entries carry those that they were stored under.",
    "invalidate: no entry with the tag is served again. mark-stale: each is refreshed at its next read.",
  ],
  options: { ...CACHE_OPTIONS, ...WRITE_OPTION },
  check(given) {
    checkWords(given, ["the name of the cache", "the tag"], { least: 2, actions: ACTIONS });
  },
  run(session) {
    const [name, tagName, action] = session.arguments.words as readonly [string, string, string?];
    return within(session, name, "full", async ({ backend, place, tagKey }) => {
      const versionOf = async (): Promise<string | undefined> => {
        const [version] = (await backend.tagVersions?.read([tagKey(tagName)])) ?? [];
        return version && (version.hard === version.soft ? version.hard : `${version.hard} | ${version.soft}`);
      };
      const before = await versionOf();
      if (action === undefined)
        return {
          exitCode: before === undefined ? EXIT.findings : EXIT.fine,
          json: { version: 1, tag: tagName, tagVersion: before },
          text: before === undefined ? "no entry with this tag depends on a version" : fields([["version", before]]),
        };
      await (action === "invalidate" ? place.invalidateTags(tagName) : place.markTagsStale(tagName));
      const after = await versionOf();
      return {
        exitCode: EXIT.fine,
        json: { version: 1, tag: tagName, done: action, tagVersionBefore: before, tagVersion: after },
        text: fields([
          ["done", action],
          ["before", before ?? "none"],
          ["version", after],
        ]),
      };
    });
  },
};
