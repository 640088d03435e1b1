import type { Decision, Namespace } from "@hotset/core";
import { AskError } from "../ask-error.ts";
import type { Settings, ValuePlace } from "../options.ts";
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
    info: info === undefined ? null : { ...info, tags: await tagsOf(subject, path, info.tags) },
    decisions: timeLineOf(decisionsOf(namespace, key), now),
    running: subject.loads().find((load) => load.key === key && isSame(load.namespace, path)) ?? null,
  };
}

/** The newest first. Of changes that follow each other, equal ones are one line: other keys have the same versions. */
export function timeLineOf(decisions: readonly Decision[] | undefined, now: number): EntryAnswer["decisions"] {
  if (decisions === undefined) return null;
  const lines: { at: number; what: Decision["what"]; why: string; times: number }[] = [];
  let run = new Map<string, (typeof lines)[number]>();
  for (const { agoMs, what, why } of decisions.toReversed()) {
    if (what !== "changed") run = new Map();
    const equal = run.get(why);
    if (equal !== undefined) {
      equal.times += 1;
      continue;
    }
    const line = { at: now - agoMs, what, why, times: 1 };
    lines.push(line);
    if (what === "changed") run.set(why, line);
  }
  return lines;
}

/** `undefined` where the cache records none. */
function decisionsOf(namespace: Namespace, key: string): readonly Decision[] | undefined {
  try {
    return namespace.explain(key);
  } catch {
    return undefined;
  }
}

async function tagsOf(
  subject: Subject,
  path: readonly string[],
  tags: readonly string[],
): Promise<NonNullable<EntryAnswer["info"]>["tags"]> {
  // A copy is shown during an outage, too.
  const versions = await subject.inspection.tagVersions(path, tags).catch(() => []);
  return tags.map((tag, i) => ({
    tag,
    version: versions[i] ?? null,
    invalidatedAt: invalidatedAt(subject, path, tag),
  }));
}

/** The last time a tag of this namespace, or of one above it, was invalidated, as far as it is remembered. */
function invalidatedAt(subject: Subject, path: readonly string[], tag: string): number | null {
  const found = subject
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
