import type { Awaitable, TagVersion, TagVersions } from "@hotset/core";
import { newId } from "@hotset/core/internal";
import { nameOf } from "./record-names.ts";
import type { Next, Records } from "./records.ts";

/**
 * Tag versions, a record each. The issuer, one for each cache, is renewed before any tag is, and read after a late one:
 * while it has not changed since the load began, no tag has.
 *
 * @param issued tags that a call has given a version; awaited before the call is answered. */
export function tagRecords<V>(
  records: Records<V>,
  issued: (tags: readonly string[]) => Awaitable<void> = () => undefined,
): TagVersions {
  /** The versions in a record; one that is missing is issued. Its life is prolonged when half of it has passed. */
  const pinned = (name: Awaitable<string>): Promise<{ readonly version: TagVersion; readonly isNew: boolean }> =>
    records.change("pin", name, (bytes, nowMs) => {
      const found = versionsIn(bytes);
      if (found !== undefined && found.endsAt - nowMs > LIFE_MS / 2)
        return { answer: { version: found.version, isNew: false } };
      const hard = newId();
      const version = found?.version ?? { hard, soft: hard };
      return { answer: { version, isNew: found === undefined }, next: recordOf(version, nowMs) };
    });
  const renewed = (name: Awaitable<string>, mode: Parameters<TagVersions["renew"]>[1]): Promise<void> => {
    const id = newId();
    return records.change("renew", name, (bytes, nowMs) => {
      const before = mode === "hard" ? undefined : versionsIn(bytes)?.version;
      return { answer: undefined, next: recordOf({ hard: before?.hard ?? id, soft: id }, nowMs) };
    });
  };
  const tagName = (tag: string): Awaitable<string> => nameOf("t", tag);
  const issuerName = (tags: readonly string[]): Awaitable<string> =>
    nameOf("i", tags[0]!.slice(0, tags[0]!.indexOf("}") + 1));
  const pinAll = async (tags: readonly string[]): Promise<TagVersion[]> => {
    const pins = await Promise.all(tags.map((tag) => pinned(tagName(tag))));
    const added = tags.filter((_, place) => pins[place]!.isNew);
    if (added.length > 0) await issued(added);
    return pins.map(({ version }) => version);
  };

  return {
    read: (tags) => Promise.all(tags.map(async (tag) => versionsIn(await records.get(tagName(tag)))?.version)),

    async pin(tags) {
      if (tags.length === 0) return { at: "", versions: [] };
      const [issuer, versions] = await Promise.all([pinned(issuerName(tags)), pinAll(tags)]);
      return { at: issuer.version.hard, versions };
    },

    async unchangedSince(at, tags) {
      if (tags.length === 0) return [];
      const versions = await pinAll(tags);
      const issuer = versionsIn(await records.get(issuerName(tags)));
      return issuer?.version.hard === at ? versions : tags.map(() => undefined);
    },

    async renew(tags, mode) {
      if (tags.length === 0) return;
      await renewed(issuerName(tags), "hard");
      await Promise.all(tags.map((tag) => renewed(tagName(tag), mode)));
    },
  };
}

/** `hard soft end`, as text. */
const recordOf = ({ hard, soft }: TagVersion, nowMs: number): Next => ({
  bytes: encoder.encode(`${hard} ${soft} ${nowMs + LIFE_MS}`),
  ttlMs: LIFE_MS,
});

function versionsIn(
  bytes: Uint8Array | undefined,
): { readonly version: TagVersion; readonly endsAt: number } | undefined {
  const [hard, soft, end, ...more] = bytes === undefined ? [] : decoder.decode(bytes).split(" ");
  if (hard === undefined || soft === undefined || end === undefined || more.length > 0) return undefined;
  return { version: { hard, soft }, endsAt: Number(end) };
}

const LIFE_MS = 30 * 86_400_000;
const encoder = new TextEncoder();
const decoder = new TextDecoder();
