import type { TagVersion, TagVersions } from "@hotset/core";
import { inNoCall } from "@hotset/core/internal";
import type { Database } from "./database.ts";
import type { Statement, Statements } from "./statements.ts";

/** A version is the identity of the issuer, which is random, and a number that only grows. */
export function tagVersionsOf(database: Database, statements: Statements): TagVersions {
  const list = async (
    statement: Statement,
    tags: readonly string[],
    ...before: readonly unknown[]
  ): Promise<readonly string[]> => ((await database.call(statement, [...before, bytes(tags)]))[0] as string).split(",");
  const read = inOneTurn((tags) => list(statements.tags, tags));
  const pin = inOneTurn((tags) => list(statements.pin, tags));
  return {
    read: async (tags) => (tags.length === 0 ? [] : (await read(tags)).versions.map(versionOf)),
    async pin(tags) {
      const { at, versions } = await pin(tags, 1);
      return { at: at!, versions: versions.map((version) => versionOf(version)!) };
    },
    unchangedSince: async (at, tags) =>
      tags.length === 0 ? [] : (await list(statements.unchangedSince, tags, at)).map(versionOf),
    renew: async (tags, mode) => {
      await database.call(statements.renewTags, [bytes(tags), mode === "hard"]);
    },
  };
}

const bytes = (tags: readonly string[]): readonly Buffer[] => tags.map((tag) => Buffer.from(tag));

function versionOf(text: string): TagVersion | undefined {
  if (text === "") return undefined;
  const [hard = "", soft = ""] = text.split("|");
  return { hard, soft };
}

interface Found {
  /** The text in front of the versions. */
  readonly at: string | undefined;
  readonly versions: readonly string[];
}

/** Tags of one turn of the event loop are asked for together: nearly all loads have the same ones. */
function inOneTurn(
  ask: (tags: readonly string[]) => Promise<readonly string[]>,
): (tags: readonly string[], before?: number) => Promise<Found> {
  let turn: { readonly tags: Set<string>; readonly answer: Promise<readonly string[]> } | undefined;
  return async (tags, before = 0) => {
    turn ??= beginTurn();
    const mine = turn;
    for (const tag of tags) mine.tags.add(tag);
    const answer = await mine.answer;
    const found = new Map([...mine.tags].map((tag, i) => [tag, answer[i + before]!]));
    return { at: before === 0 ? undefined : answer[0], versions: tags.map((tag) => found.get(tag)!) };
  };

  function beginTurn(): NonNullable<typeof turn> {
    const asked = new Set<string>();
    const begun = inNoCall(() => new Promise((resolve) => setImmediate(resolve)));
    const answer = begun.then(() => {
      turn = undefined;
      return ask([...asked]);
    });
    return { tags: asked, answer };
  }
}
