import type { Decision, Namespace } from "@hotset/core";
import type { Settings, ValuePlace } from "../options.ts";
import { AskError } from "../ask-error.ts";
import type { EntryAnswer, ValueAnswer } from "./pages.ts";
import { redacted } from "./redact.ts";
import type { Subject } from "./subject.ts";
import { valueText } from "./value-text.ts";

/** The namespace of an entry, as its program opens it. */
export const namespaceOf = ({ cache }: Subject, path: readonly string[]): Namespace =>
  path.reduce<Namespace>((place, name) => place.namespace(name), cache);

export async function entryAnswer(subject: Subject, { namespace: path, key }: ValuePlace): Promise<EntryAnswer> {
  const namespace = namespaceOf(subject, path);
  const info = await namespace.inspect(key);
  const now = Date.now();
  return {
    info:
      info === undefined
        ? null
        : { ...info, tags: info.tags.map((tag) => ({ tag, invalidatedAt: invalidatedAt(subject, path, tag) })) },
    decisions: decisionsOf(namespace, key)?.map(({ agoMs, ...decision }) => ({ ...decision, at: now - agoMs })) ?? null,
    running: subject.loads().find((load) => load.key === key && isSame(load.namespace, path)) ?? null,
  };
}

/** Throws where the cache records no decisions. */
function decisionsOf(namespace: Namespace, key: string): readonly Decision[] | undefined {
  try {
    return namespace.explain(key);
  } catch {
    return undefined;
  }
}

/** The last time a tag of this namespace, or of one above it, was invalidated, as far as it is remembered. */
function invalidatedAt({ inspection }: Subject, path: readonly string[], tag: string): number | null {
  const found = inspection
    .invalidations()
    .find(({ namespace, tags }) => tags?.includes(tag) === true && namespace.every((name, i) => path[i] === name));
  return found?.at ?? null;
}

/** The stored value, stale ones included, without what `redact` hides. A read of it counts as a call. */
export async function valueAnswer(subject: Subject, place: ValuePlace, settings: Settings): Promise<ValueAnswer> {
  const value = await namespaceOf(subject, place.namespace).get(place.key, { allowStale: true });
  if (value === undefined) return { kind: "missing", text: "", isCut: false };
  if (settings.redact === undefined) return valueText(redacted(value));
  return valueText(settings.redact(structuredCopy(value), place));
}

function structuredCopy(value: unknown): unknown {
  try {
    return structuredClone(value);
  } catch {
    throw new AskError(409, "this value cannot be copied for redact; it is not shown");
  }
}

const isSame = (one: readonly string[], other: readonly string[]): boolean =>
  one.length === other.length && one.every((name, i) => name === other[i]);
