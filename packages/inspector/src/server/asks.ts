import { AskError } from "../ask-error.ts";
import { entryAnswer, namespaceOf, valueAnswer } from "../data/entries.ts";
import type { KeyLists } from "../data/key-lists.ts";
import { redacted } from "../data/redact.ts";
import type { Subject } from "../data/subject.ts";
import { QUEUE_ACTIONS, type Toolkit } from "../data/toolkit.ts";
import { valueText } from "../data/value-text.ts";
import type { Access, Settings, ValuePlace } from "../options.ts";
import type { Question } from "./questions.ts";

/** The sources of the answers of one inspector. */
export interface Sources {
  readonly settings: Settings;
  readonly subjects: readonly Subject[];
  readonly lists: KeyLists;
  readonly toolkit: Toolkit | undefined;
}

/** One question of the page: what it needs to be allowed, and its answer as JSON. */
export interface Ask {
  readonly access: Access;
  readonly answer: (question: Question, sources: Sources) => Promise<unknown>;
}

const ORDERS = ["key", "size", "age", "hits", "expires"] as const;
const ROWS = { fallback: 100, max: 1_000 };

/** By the last part of their path. Each comes by POST: keys stay out of URLs, and so out of logs. */
export const ASKS: Readonly<Record<string, Ask>> = {
  keys: {
    access: "read",
    answer: (question, { subjects, lists }) =>
      lists.open(
        subjectOf(question, subjects),
        {
          source: question.oneOf("source", ["memory", "backend"]),
          search: question.text("search", ""),
          order: question.oneOf("order", ORDERS, "key"),
        },
        question.count("limit", ROWS),
      ),
  },
  rows: {
    access: "read",
    answer: (question, { lists }) =>
      lists.rows(
        question.text("list"),
        question.count("offset", { fallback: 0, max: Number.MAX_SAFE_INTEGER }),
        question.count("limit", ROWS),
      ),
  },
  more: {
    access: "read",
    answer: (question, { lists }) => lists.more(question.text("list"), question.count("limit", ROWS)),
  },
  entry: {
    access: "read",
    answer: (question, { subjects }) => entryAnswer(subjectOf(question, subjects), placeOf(question)),
  },
  value: {
    access: "value",
    answer: (question, { subjects, settings }) =>
      valueAnswer(subjectOf(question, subjects), placeOf(question), settings),
  },
  delete: {
    access: "write",
    answer: (question, { subjects }) => {
      const { namespace, key } = placeOf(question);
      return namespaceOf(subjectOf(question, subjects), namespace).delete(key);
    },
  },
  "mark-stale": {
    access: "write",
    answer: (question, { subjects }) => {
      const { namespace, key } = placeOf(question);
      return namespaceOf(subjectOf(question, subjects), namespace).markStale(key);
    },
  },
  "invalidate-tag": {
    access: "write",
    answer: (question, { subjects }) =>
      namespaceOf(subjectOf(question, subjects), question.texts("namespace")).invalidateTags(question.text("tag")),
  },
  bypass: {
    access: "write",
    answer: async (question, { subjects }) => {
      const { cache } = subjectOf(question, subjects);
      const tiers = question.texts("tiers");
      cache.bypass(tiers.length === 0 ? "none" : tiers);
      return { tiers: cache.stats().tiers.map(({ label, state }) => ({ label, state })) };
    },
  },
  verify: {
    access: "read",
    answer: async (question, { subjects, settings }) => {
      const { inspection, name } = question.text("cache", "") === "" ? onlyOf(subjects) : subjectOf(question, subjects);
      // Loaders run for it: the cache allows that by its option, or the inspector allows changes.
      if (!inspection.verifies && !settings.write)
        throw new AskError(
          403,
          "loaders may not run: pass createCache({ verify: true }), or inspector(caches, { write: true })",
        );
      const taken = await inspection.verify({
        sample: question.count("sample", { fallback: 100, max: 10_000, min: 1 }),
        for: question.count("forMs", { fallback: 60_000, max: 600_000, min: 1_000 }),
        maxPerMinute: question.count("perMinute", { fallback: 600, max: 6_000, min: 1 }),
      });
      return { cache: name, ...taken };
    },
  },
  jobs: {
    access: "read",
    answer: async (question, { toolkit }) => ({
      jobs: await given(toolkit).jobs(question.text("queue"), question.oneOf("state", STATES), {
        offset: question.count("offset", { fallback: 0, max: Number.MAX_SAFE_INTEGER }),
        count: question.count("limit", { fallback: 50, max: 100 }),
      }),
    }),
  },
  "job-data": {
    access: "value",
    answer: async (question, { toolkit }) => {
      const data = await given(toolkit).jobData(question.text("queue"), question.text("id"));
      return data === undefined ? { kind: "missing", text: "", isCut: false } : valueText(redacted(data));
    },
  },
  "change-queue": {
    access: "write",
    answer: async (question, { toolkit }) => ({
      done: await given(toolkit).change(
        question.text("queue"),
        question.oneOf("action", QUEUE_ACTIONS),
        question.text("id", ""),
      ),
    }),
  },
};

const STATES = ["waiting", "delayed", "active", "completed", "dead"] as const;

function given(toolkit: Toolkit | undefined): Toolkit {
  if (toolkit === undefined)
    throw new AskError(404, "this inspector has no toolkit; pass inspector(caches, { toolkit })");
  return toolkit;
}

function subjectOf(question: Question, subjects: readonly Subject[]): Subject {
  const name = question.text("cache");
  const found = subjects.find((subject) => subject.name === name);
  if (found === undefined) throw new AskError(404, `no cache of this inspector has the name ${JSON.stringify(name)}`);
  return found;
}

function onlyOf(subjects: readonly Subject[]): Subject {
  const [first] = subjects;
  if (first !== undefined && subjects.length === 1) return first;
  throw new AskError(400, `name a cache: ${subjects.map(({ name }) => JSON.stringify(name)).join(", ")}`);
}

const placeOf = (question: Question): ValuePlace => ({
  cache: question.text("cache"),
  namespace: question.texts("namespace"),
  key: question.text("key"),
});
