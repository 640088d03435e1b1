import { setTimeout as sleep } from "node:timers/promises";
import { parseDuration } from "@hotset/core";
import type { RedisConnection, Subscriber } from "@hotset/redis-toolkit/connection";
import { queue as queueOver, type QueueEvent } from "@hotset/redis-toolkit/queue";
import { nearest, shown, type Arguments } from "../arguments.ts";
import type { Command, Session } from "../command.ts";
import { UsageError } from "../errors.ts";
import { monitored } from "../keys/monitored.ts";
import { cut, jsonText, safe } from "../output/text.ts";
import { TENANT_OPTION, viewOf } from "../places.ts";
import { keysOfPrimaries } from "../primaries.ts";

const WATCHED = ["keys", "changes", "queue"] as const;
type Watched = (typeof WATCHED)[number];
const LIMIT = { fallback: 1_000, max: 1_000_000 };
const LONGEST_MS = 86_400_000;
const LONGEST_MONITOR_MS = 600_000;

/** One line. Without values: `detail` of a job is shown on request alone. */
interface Event {
  /** The kind of event that the message names. Any client may have published the message. */
  readonly event: string;
  readonly name?: string;
  readonly detail?: unknown;
}

export const watch: Command = {
  name: "watch",
  summary: "prints what happens now: to keys, to entries of caches, to jobs of a queue",
  words: "keys [pattern] | changes | queue <name>",
  about: [
    "keys: keyspace notifications. The server sends them if notify-keyspace-events is set, to KEA for example. " +
      "This command does not set it. --monitor needs no setting: it shows each command that changes or reads a key.",
    'changes: entries and tags that caches with coherence("pubsub") announce. Caches with the default, tracking, ' +
      "announce nothing: watch their keys.",
    "queue: what happens to jobs.",
    "Ends with Ctrl-C. With --json each line is one object.",
  ],
  options: {
    ...TENANT_OPTION,
    prefix: { value: "<prefix>", text: "keyPrefix of the caches, for changes; default: hotset" },
    limit: { value: "<n>", text: `end after so many lines; default: ${LIMIT.fallback}` },
    for: { value: "<duration>", text: "end after this time, at most a day; default: a day" },
    value: { text: "show progress and results of jobs, too" },
    monitor: {
      text: "keys without a setting of the server: by MONITOR, which halves its throughput, for 10 minutes at most",
    },
  },
  check(given) {
    watchedOf(given);
    given.count("limit", LIMIT);
    durationOf(given);
  },
  async run(session) {
    const { arguments: given, io } = session;
    const ended = new AbortController();
    const end = (): void => ended.abort();
    io.signal.addEventListener("abort", end, { once: true });
    if (io.signal.aborted) end();
    let left = given.count("limit", LIMIT);
    const print = (event: Event): void => {
      if (left <= 0) return;
      left -= 1;
      io.print(given.flag("json") ? `${jsonText({ at: new Date(), ...event })}\n` : lineOf(event));
      if (left === 0) end();
    };
    const stop = await start(session, watchedOf(given), print);
    io.complain(`hotset: watching ${safe(given.words.join(" "))}\n`);
    await sleep(durationOf(given), undefined, { signal: ended.signal }).catch(() => undefined);
    await stop();
    return undefined;
  },
};

function watchedOf(given: Arguments): Watched {
  const { words } = given;
  const [first, second, more] = words;
  const watched = WATCHED.find((one) => one === first);
  if (given.flag("monitor") && watched !== "keys") throw new UsageError("--monitor is for watch keys");
  if (watched === undefined)
    throw new UsageError(
      "watch one of " +
        `${WATCHED.join(", ")}${first === undefined ? "" : `, got ${shown(first)}${nearest(first, WATCHED)}`}`,
    );
  const extra = watched === "changes" ? second : more;
  if (extra !== undefined) throw new UsageError(`a word too many: ${shown(extra)}`);
  if (watched === "queue" && second === undefined) throw new UsageError("the name of the queue is missing");
  return watched;
}

function durationOf(given: Arguments): number {
  const text = given.text("for");
  const longestMs = given.flag("monitor") ? LONGEST_MONITOR_MS : LONGEST_MS;
  if (text === undefined) return longestMs;
  try {
    const ms = parseDuration(text);
    if (ms >= 1 && ms <= longestMs) return Math.ceil(ms);
  } catch {
    // The sentence below says what is accepted.
  }
  const longest = given.flag("monitor") ? "10 min with --monitor" : "1 day";
  throw new UsageError(`--for must be from 1 ms to ${longest}, such as 30s, got ${shown(text)}`);
}

const lineOf = ({ event, name = "", detail }: Event): string => {
  const more =
    detail === undefined ? "" : `  ${cut(safe(typeof detail === "string" ? detail : JSON.stringify(detail)), 200)}`;
  return `${new Date().toISOString()}  ${cut(safe(event), 40).padEnd(10)}  ${cut(safe(name), 200)}${more}\n`;
};

type Print = (event: Event) => void;
type Stop = () => Promise<unknown>;

function start(session: Session, watched: Watched, print: Print): Promise<Stop> {
  switch (watched) {
    case "keys":
      return watchKeys(session, print);
    case "changes":
      return watchChanges(session, print);
    case "queue":
      return watchQueue(session, print);
  }
}

/** `__keyspace@0__:<key>`, with the name of the event as the message. Each node reports its own keys. */
async function watchKeys(session: Session, print: Print): Promise<Stop> {
  const { arguments: given, connection, io } = session;
  if (given.flag("monitor")) return watchCommands(session, print);
  for (const address of await silentPrimaries(session))
    io.complain(
      `hotset: ${address} sends no notices of keys: its keys will not be shown; ` +
        "CONFIG SET notify-keyspace-events KEA turns them on, and --monitor does without\n",
    );
  const pattern = `__keyspace@*__:${given.words[1] ?? "*"}`;
  return onEveryPrimary(connection, print, (subscriber) =>
    subscriber.subscribe("pattern", pattern, (message, channel) => {
      const text = channel.toString();
      print({ event: message.toString(), name: text.slice(text.indexOf(":") + 1) });
    }),
  );
}

/** The commands of scripts are shown one by one, and not the script. */
async function watchCommands(session: Session, print: Print): Promise<Stop> {
  const ended = new AbortController();
  const pattern = session.arguments.words[1];
  const running = monitored(
    session,
    { pattern, signal: ended.signal, duration: "10m" },
    ({ command, keys, isScript }) => {
      if (!isScript) for (const name of keys) print({ event: command, name });
    },
  );
  // Its end is reported by the command.
  running.catch(() => undefined);
  return () => {
    ended.abort();
    return running.catch(() => undefined);
  };
}

/** Addresses of servers whose settings send none. A server that does not show its settings may send them. */
async function silentPrimaries({ connection, timeoutMs: deadlineMs }: Session): Promise<readonly string[]> {
  const question = ["CONFIG", "GET", "notify-keyspace-events"];
  const found = await connection.each(async (primary) => {
    const reply = await primary.call(question, { isReadOnly: true, deadlineMs }).catch(() => undefined);
    if (reply === undefined) return [];
    const setting = String(Array.isArray(reply) ? reply[1] : (reply as Record<string, unknown>)[question[2]!]);
    // `K` is for messages by key; each other letter but `E` is a kind of event.
    return setting.includes("K") && /[^KE]/.test(setting) ? [] : [primary.address];
  });
  return found.flat();
}

/** `1 <sender> <key>`: docs/reference/redis-layout.md, "Announcements". */
async function watchChanges({ arguments: given, connection }: Session, print: Print): Promise<Stop> {
  const channel = `${given.text("prefix") ?? "hotset"}~changes`;
  return onEveryPrimary(connection, print, (subscriber) =>
    subscriber.subscribe("channel", channel, (message) => {
      const [, sender = "", key = ""] = /^1 (\S+) (.*)$/s.exec(message.toString()) ?? [];
      if (key !== "") print({ event: "changed", name: key, detail: `by ${sender}` });
    }),
  );
}

async function watchQueue(session: Session, print: Print): Promise<Stop> {
  const isShown = session.arguments.flag("value");
  const listening = await queueOver(viewOf(session), session.arguments.words[1]!).listen((event) =>
    print(jobEvent(event, isShown)),
  );
  return () => listening.close();
}

function jobEvent(event: QueueEvent, isShown: boolean): Event {
  switch (event.kind) {
    case "gap":
      return { event: "gap" };
    case "retrying":
    case "dead":
      return { event: event.kind, name: event.id, detail: event.reason };
    case "progress":
      return { event: event.kind, name: event.id, ...(isShown ? { detail: event.progress } : undefined) };
    case "completed":
      return { event: event.kind, name: event.id, ...(isShown ? { detail: event.result } : undefined) };
    case "drained":
      return { event: event.kind };
    case "active":
    case "stalled":
      return { event: event.kind, name: event.id, detail: `attempt ${event.attempt}` };
    case "added":
    case "removed":
      return { event: event.kind, name: event.id };
  }
}

async function onEveryPrimary(
  connection: RedisConnection,
  print: Print,
  subscribe: (subscriber: Subscriber) => Promise<unknown>,
): Promise<Stop> {
  const subscribers: Subscriber[] = [];
  const stop = (): Promise<unknown> => Promise.all(subscribers.map((subscriber) => subscriber.close()));
  try {
    for (const key of await keysOfPrimaries(connection)) {
      const place = key === undefined ? undefined : { key };
      const subscriber = await connection.open({ role: "subscriber", ...place });
      subscribers.push(subscriber);
      subscriber.on("gap", () => print({ event: "gap" }));
      await subscribe(subscriber);
    }
  } catch (error) {
    await stop();
    throw error;
  }
  return stop;
}
