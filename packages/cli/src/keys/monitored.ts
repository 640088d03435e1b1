import type { Duration } from "@hotset/core";
import { health } from "@hotset/redis-toolkit/health";
import type { Session } from "../command.ts";
import { keysOfPrimaries } from "../primaries.ts";
import { globOf } from "./glob.ts";

/** A command that a server runs, with its keys. */
export interface Monitored {
  /** In lower case. */
  readonly command: string;
  /** The ones that match. */
  readonly keys: readonly string[];
  /** Whether it runs a script: the commands of that follow. */
  readonly isScript: boolean;
  /** Whether a script runs it. */
  readonly isInScript: boolean;
}

/** Calls `listener` with each command of every primary that has a key. Each is written twice by the server. */
export async function monitored(
  { connection, redis }: Session,
  asked: { readonly pattern: string | undefined; readonly signal: AbortSignal; readonly duration: Duration },
  listener: (monitored: Monitored) => void,
): Promise<void> {
  const { signal, duration, pattern } = asked;
  const matches = pattern === undefined ? undefined : globOf(pattern);
  const primaries = await keysOfPrimaries(connection);
  const watch = (line: string): void => {
    const found = readLine(line);
    if (found === undefined) return;
    const keys = matches === undefined ? found.keys : found.keys.filter((key) => matches.test(key));
    if (keys.length > 0) listener({ ...found, keys });
  };
  const options = { iKnowItHalvesThroughput: true, signal, duration } as const;
  await Promise.all(
    primaries.map((key) => health(redis).monitor(watch, key === undefined ? options : { ...options, key })),
  );
}

/** `1700000000.123456 [0 127.0.0.1:5000] "SET" "k" "v"`; `[0 lua]` for a command of a script. */
export function readLine(line: string): Monitored | undefined {
  const start = /^\S+ \[\d+ (?<client>[^\]]*(?:\][^"]*?)?)\] /.exec(line);
  if (start === null) return undefined;
  const words = Array.from(line.slice(start[0].length).matchAll(/"((?:[^"\\]|\\.)*)"/g), ([, word]) => plain(word!));
  const [name, ...rest] = words;
  if (name === undefined) return undefined;
  const command = name.toLowerCase();
  const keys = keysIn(command, rest);
  if (keys.length === 0) return undefined;
  const isScript = /^(?:evalsha|eval|fcall)(?:_ro)?$/.test(command);
  return { command, keys, isScript, isInScript: start.groups!["client"] === "lua" };
}

function keysIn(command: string, words: readonly string[]): readonly string[] {
  if (WITHOUT_KEY.has(command)) return [];
  if (ALL_KEYS.has(command)) return words;
  if (command === "mset" || command === "msetnx") return words.filter((_, i) => i % 2 === 0);
  // For scripts: the text or its hash, the number of keys, and those.
  if (/^(?:evalsha|eval|fcall)(?:_ro)?$/.test(command)) return words.slice(2, 2 + Number(words[1]));
  if (SECOND.has(command)) return words.slice(1, 2);
  return words.slice(0, 1);
}

const ALL_KEYS: ReadonlySet<string> = new Set(
  "del unlink exists touch mget watch pfcount pfmerge sinter sunion".split(" "),
);
/** The key is behind a further word. */
const SECOND: ReadonlySet<string> = new Set(["object", "memory", "xinfo", "xgroup", "bitop", "debug"]);
const WITHOUT_KEY: ReadonlySet<string> = new Set(
  (
    "acl auth bgrewriteaof bgsave client cluster command config dbsize discard echo exec failover flushall flushdb " +
    "function hello info keys lastsave latency lolwut module monitor multi ping psubscribe psync publish punsubscribe " +
    "quit readonly readwrite replconf reset role save scan script select shutdown slowlog spublish ssubscribe " +
    "subscribe sunsubscribe swapdb sync time unsubscribe unwatch wait"
  ).split(" "),
);

/** A word of MONITOR with the escapes that Redis writes for bytes resolved. */
function plain(word: string): string {
  if (!word.includes("\\")) return word;
  const bytes = word.replace(/\\(x[0-9a-f]{2}|.)/g, (_, escaped: string) =>
    escaped.length === 3 ? String.fromCharCode(Number.parseInt(escaped.slice(1), 16)) : (ESCAPES[escaped] ?? escaped),
  );
  return Buffer.from(bytes, "latin1").toString();
}

const ESCAPES: Readonly<Record<string, string>> = { n: "\n", r: "\r", t: "\t", a: "\u0007", b: "\b" };
