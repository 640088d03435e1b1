import type { StoredEntry } from "../contracts/backend.ts";
import type { Backend, TagVersion, TagVersions } from "../contracts/capabilities.ts";
import type { Clock } from "../contracts/clock.ts";
import { newId } from "../primitives/ids.ts";

/**
 * Tag versions kept as ordinary entries, for backends that issue none themselves. Nothing here is atomic, so each
 * version is its own entry, written and never edited: two concurrent writers cost misses, not a lost invalidation.
 *
 *     {~name}:ns::tag     the hard version; {~name}:ns:: is the namespace's own, and hard alone
 *     {~~name}:ns::tag    the soft version; {~~name}:: is the issuer, renewed before any tag is
 *
 * A tag that a loader adds late is safe while the issuer has not changed since the load began: it is read after the
 * tag, and written before it.
 */
export function versionEntries(backend: Pick<Backend, "read" | "write">, clock: Clock): TagVersions {
  const readOne = async (key: string): Promise<StoredEntry | undefined> => {
    const found = await backend.read(key);
    // A longer one is not a version of ours; like one with an error it is overwritten by the next pin.
    const isVersion = found !== undefined && found.error === undefined && found.data.length <= MAX_VERSION_BYTES;
    return isVersion ? found : undefined;
  };
  const issue = async (key: string, version: string): Promise<string> => {
    await backend.write(key, {
      data: encoder.encode(version),
      staleInMs: VERSION_LIFE_MS,
      expiresInMs: VERSION_LIFE_MS,
      meta: "",
    });
    return version;
  };
  // Many loads begin together on a cold cache: if each issued its own version, only the entry of the last one would be
  // valid.
  const issuing = new Map<string, { readonly issued: Promise<string>; readonly since: number }>();
  const issueOnce = (key: string, fresh: string): Promise<string> => {
    const shared = issuing.get(key);
    // A write that hangs is not awaited longer than a call would be.
    if (shared !== undefined && clock.now() - shared.since < SHARED_MS) return shared.issued;
    const mine = {
      since: clock.now(),
      issued: issue(key, fresh).finally(() => {
        if (issuing.get(key) === mine) issuing.delete(key);
      }),
    };
    issuing.set(key, mine);
    return mine.issued;
  };
  /**
   * The version under `key`, issued if it is missing. Its life is never extended: that could write an older version
   * over a renewed one. Each call reads for itself: a shared answer may be from before a change that was reported
   * since.
   */
  const pinOne = async (key: string, fresh: string): Promise<string> => {
    const found = await readOne(key);
    return found === undefined ? issueOnce(key, fresh) : decoder.decode(found.data);
  };
  const pinTag = async (key: string): Promise<TagVersion> => {
    const fresh = newId();
    if (isNamespace(key)) {
      const hard = await pinOne(key, fresh);
      return { hard, soft: hard };
    }
    const [hard, soft] = await Promise.all([pinOne(key, fresh), pinOne(softKey(key), fresh)]);
    return { hard, soft };
  };

  return {
    read: (tags) =>
      Promise.all(
        tags.map(async (key) => {
          const [hard, soft] = await Promise.all([readOne(key), isNamespace(key) ? undefined : readOne(softKey(key))]);
          if (hard === undefined) return undefined;
          if (isNamespace(key)) return { hard: decoder.decode(hard.data), soft: decoder.decode(hard.data) };
          return soft && { hard: decoder.decode(hard.data), soft: decoder.decode(soft.data) };
        }),
      ),

    async pin(tags) {
      if (tags.length === 0) return { at: "", versions: [] };
      const [at, ...versions] = await Promise.all([pinOne(issuerKey(tags[0]!), newId()), ...tags.map(pinTag)]);
      return { at, versions };
    },

    async unchangedSince(at, tags) {
      if (tags.length === 0) return [];
      const versions = await Promise.all(tags.map(pinTag));
      const issuer = await readOne(issuerKey(tags[0]!));
      return issuer !== undefined && decoder.decode(issuer.data) === at ? versions : tags.map(() => undefined);
    },

    async renew(tags, mode) {
      if (tags.length === 0) return;
      await issue(issuerKey(tags[0]!), newId());
      await Promise.all(
        tags.flatMap((key) => {
          const version = newId();
          // A namespace has one version, which every entry depends on: a second one would be one more read for each.
          if (isNamespace(key)) return [issue(key, version)];
          const soft = [issue(softKey(key), version)];
          return mode === "soft" ? soft : [issue(key, version), ...soft];
        }),
      );
    },
  };
}

/** How long a version stays in a backend that nothing pins. */
export const VERSION_LIFE_MS = 30 * 86_400_000;
const SHARED_MS = 1_000;
const MAX_VERSION_BYTES = 64;
const encoder = new TextEncoder();
const decoder = new TextDecoder();

const softKey = (key: string): string => `{~${key.slice(1)}`;
const isNamespace = (key: string): boolean => key.indexOf("::") === key.length - 2;
const issuerKey = (key: string): string => `${softKey(key.slice(0, key.indexOf("}") + 1))}::`;
