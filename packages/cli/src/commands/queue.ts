import type { RedisView } from "@hotset/redis-toolkit";
import { serverNow } from "@hotset/redis-toolkit/inspect";
import { moduleOf } from "@hotset/redis-toolkit/module";
import { queue as queueOver, type JobSnapshot, type JobState, type Queue } from "@hotset/redis-toolkit/queue";
import type { Answer, Command, Session } from "../command.ts";
import { UsageError } from "../errors.ts";
import { EXIT } from "../io.ts";
import { decoded, exitCodeOf, NOT_READABLE, readable } from "../keys/readable.ts";
import { sampleOf } from "../keys/sample.ts";
import { fields, table } from "../output/table.ts";
import { cut, durationText, safe, sampleNote } from "../output/text.ts";
import { checkWords, TENANT_OPTION, viewOf, WRITE_OPTION } from "../places.ts";

const ACTIONS = ["retry", "pause", "resume", "drain"];
const STATES: readonly JobState[] = ["waiting", "delayed", "active", "completed", "dead"];
const LIMIT = { fallback: 10, max: 1_000 };
const SAMPLED = 100_000;

export const queue: Command = {
  name: "queue",
  summary: "lists queues, or shows the jobs of one by state; retries, pauses, resumes, drains",
  words: "[name] [retry|pause|resume|drain]",
  about: [
    "retry: dead jobs wait again, with all their attempts. drain: removes jobs that wait, not delayed ones.",
    "The reason of a dead job is the text of its error. Data of jobs is shown with --value.",
  ],
  options: {
    ...TENANT_OPTION,
    limit: { value: "<n>", text: `list so many dead jobs, or queues, at most; default: ${LIMIT.fallback}` },
    id: { value: "<id>", text: "retry this dead job alone" },
    value: { text: "show the data of jobs, too" },
    ...WRITE_OPTION,
  },
  check(given) {
    checkWords(given, ["the name of the queue"], { least: 0, actions: ACTIONS });
    given.count("limit", LIMIT);
    if (given.text("id") !== undefined && given.words[1] !== "retry") throw new UsageError("--id is for retry alone");
  },
  async run(session) {
    const [name, action] = session.arguments.words;
    if (name === undefined) return allQueues(session);
    const one = queueOver(viewOf(session), name);
    return action === undefined ? oneQueue(session, one, name) : changed(session, one, action);
  },
};

/** A queue that a key is of. */
interface Found {
  /** From the outside in, as programs name them; empty outside of any. */
  readonly tenants: readonly string[];
  readonly name: string;
  /** The beginning of its keys. */
  readonly before: string;
}

async function allQueues(session: Session): Promise<Answer> {
  const sample = await sampleOf(session, { keys: SAMPLED, match: "*queue:{*}:*" });
  const wanted = session.arguments.text("tenant");
  const found = new Map<string, Found>();
  for (const { key, known } of sample.keys) {
    if (known?.module !== "queue") continue;
    // Tenants are percent-encoded in keys.
    const tenants = known.tenant.split(":").slice(0, -1).map(decoded);
    const before = key.slice(0, key.lastIndexOf(":"));
    if (wanted === undefined || tenants.join(":") === wanted) found.set(before, { tenants, name: known.owner, before });
  }
  const listed = [...found.values()].slice(0, session.arguments.count("limit", LIMIT));
  const queues = await Promise.all(listed.map((one) => countsOf(session, one)));
  const rows = queues.map(({ tenant, name, counts }) => [
    tenant === undefined ? name : `${tenant}: ${name}`,
    ...STATES.map((state) => counts?.[state]),
    counts === undefined ? NOT_READABLE : counts.isPaused ? "paused" : "",
  ]);
  const more = found.size - listed.length;
  return {
    exitCode: exitCodeOf(queues, false),
    json: {
      version: 1,
      isComplete: sample.isComplete && more === 0,
      queues: queues.map(({ counts, ...one }) => ({ ...one, ...counts })),
    },
    text: [
      queues.length === 0 ? "no queues" : table(["queue", ...STATES, ""], rows),
      ...(more === 0 ? [] : [`... and ${more} more; see --limit`]),
      sampleNote(sample.isComplete),
    ].join("\n"),
  };
}

/** For a key that no queue of this name would write, the counts would be those of another queue. */
async function countsOf({ redis }: Session, { tenants, name, before }: Found) {
  const tenant = tenants.length === 0 ? undefined : tenants.join(":");
  const counts = await readable(async () => {
    const view = tenants.reduce<RedisView>((outer, id) => outer.tenant(id), redis);
    const { space } = moduleOf(view);
    const isOwn = space.inside(`queue:${space.hashTagged(name)}`) === before;
    return isOwn ? queueOver(view, name).counts() : NOT_READABLE;
  });
  const isReadable = counts !== NOT_READABLE;
  return { tenant, name, isReadable, counts: isReadable ? counts : undefined };
}

async function oneQueue(session: Session, one: Queue<unknown>, name: string): Promise<Answer> {
  const limit = session.arguments.count("limit", LIMIT);
  const key = `queue:${moduleOf(viewOf(session)).space.hashTagged(name)}:state`;
  const [counts, isUsed, now, dead, repeats, ...first] = await Promise.all([
    one.counts(),
    readable(() => viewOf(session).commands.exists(key)),
    serverNow(session.redis),
    one.list("dead", { count: limit }),
    one.repeats(),
    ...STATES.map((state) => one.list(state, { count: 1 })),
  ]);
  // An empty queue keeps the key, with the order of its jobs; a misspelt name has none.
  if (isUsed === false && repeats.length === 0 && !counts.isPaused && STATES.every((state) => counts[state] === 0))
    return noQueue(session, name, key);
  const withValues = session.arguments.flag("value");
  const states = STATES.map((state, i) => ({ state, jobs: counts[state], firstAgeMs: ageOf(first[i]?.[0], now) }));
  const jobs = dead.map(({ id, attempt, attempts, addedAt, finishedAt, reason, data }) => ({
    id,
    attempt,
    attempts,
    ageMs: Math.max(0, now - addedAt),
    diedMsAgo: finishedAt === undefined ? undefined : Math.max(0, now - finishedAt),
    reason,
    ...(withValues ? { data } : undefined),
  }));
  const rows = jobs.map(({ id, attempt, attempts, diedMsAgo, reason = "", ...rest }) => [
    id,
    `${attempt} of ${attempts}`,
    durationText(diedMsAgo),
    cut(reason, 80),
    ...("data" in rest ? [cut(JSON.stringify(rest.data) ?? "-", 200)] : []),
  ]);
  return {
    exitCode: EXIT.fine,
    json: { version: 1, name, isKnown: true, isPaused: counts.isPaused, states, dead: jobs, repeats },
    text: [
      fields([
        ["queue", `${name}${counts.isPaused ? ", paused" : ""}`],
        ["repeats", repeats.length],
      ]),
      "",
      table(
        ["state", "jobs", "age of the first"],
        states.map(({ state, jobs: count, firstAgeMs }) => [state, count, durationText(firstAgeMs)]),
      ),
      ...(rows.length === 0
        ? []
        : ["", table(["dead job", "attempts", "died ago", "reason", ...(withValues ? ["data"] : [])], rows)]),
    ].join("\n"),
  };
}

const noQueue = (session: Session, name: string, key: string): Answer => ({
  exitCode: EXIT.findings,
  json: { version: 1, name, isKnown: false },
  text: `no such queue: Redis has no key ${safe(moduleOf(viewOf(session)).space.inside(key))}`,
});

const ageOf = (job: JobSnapshot<unknown> | undefined, now: number): number | undefined =>
  job === undefined ? undefined : Math.max(0, now - job.addedAt);

async function changed({ arguments: given }: Session, one: Queue<unknown>, action: string): Promise<Answer> {
  const jobs =
    action === "retry"
      ? await one.deadLetters().replay(given.text("id"))
      : action === "drain"
        ? await one.drain()
        : await (action === "pause" ? one.pause() : one.resume());
  const isNothing = jobs === 0;
  return {
    exitCode: isNothing ? EXIT.findings : EXIT.fine,
    json: { version: 1, done: action, ...(jobs === undefined ? undefined : { jobs }) },
    text: jobs === undefined ? `${action}: done` : isNothing ? `${action}: no such job` : `${action}: jobs ${jobs}`,
  };
}
