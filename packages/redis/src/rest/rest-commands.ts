import type { Args } from "../connection/command-queue.ts";
import { needsTcp } from "../primitives/needs-tcp.ts";
import type { RestScript, RestScripts } from "./rest-scripts.ts";
import { textArguments, type TextArguments } from "./text-arguments.ts";

/** A command of this package, as a request will carry it. */
export type RestCommand =
  /** Goes into a script with its neighbours. */
  | ({ readonly kind: "plain" } & TextArguments)
  /** One of our scripts: keys, then its own arguments. */
  | {
      readonly kind: "script";
      readonly script: RestScript;
      readonly keys: TextArguments;
      readonly rest: TextArguments;
    }
  /** Goes as it is. */
  | { readonly kind: "bare"; readonly words: readonly string[] };

/** A script must not send these; they need no bytes. */
const BARE = new Set([
  "ACL",
  "CLIENT",
  "CONFIG",
  "EVAL",
  "EVALSHA",
  "EVALSHA_RO",
  "EVAL_RO",
  "FCALL",
  "FCALL_RO",
  "FUNCTION",
  "INFO",
  "PING",
  "PUBLISH",
  "SCRIPT",
]);

/** Each holds a connection until something happens, or changes what it is for: a request has none. */
const NEEDS_CONNECTION =
  /^(?:B(?:LPOP|RPOP|LMOVE|RPOPLPUSH|ZPOPMIN|ZPOPMAX|LMPOP|ZMPOP)|[PS]?SUBSCRIBE|[PS]?UNSUBSCRIBE|MONITOR|MULTI|EXEC|DISCARD|WATCH|UNWATCH|WAIT|WAITAOF|HELLO|AUTH|SELECT|RESET|QUIT|SYNC|PSYNC)$/;

/** Lua takes fewer than 8,000 results of one call. */
const MAX_WORDS = 7_900;

/**
 * @param text of the script that EVALSHA names, where that is not one of backends.
 * @throws {ConfigurationError} for a command that needs a connection.
 * @throws {Error} as an error reply, for more arguments than Lua can hand on: the commands next to it would fail, too.
 * @throws {TypeError} for an argument that cannot be sent.
 */
export function restCommand(args: Args, scripts: RestScripts, text?: string): RestCommand {
  const name = String(args[0]).toUpperCase();
  const isBlocking =
    (name === "XREAD" || name === "XREADGROUP") && args.some((arg) => String(arg).toUpperCase() === "BLOCK");
  if (isBlocking || NEEDS_CONNECTION.test(name)) throw needsTcp(`redis: ${name}`);
  const script = scriptOf(name, args, scripts, text);
  if (script !== undefined) {
    const end = 3 + Number(args[2]);
    return { kind: "script", script, keys: textArguments(args.slice(3, end)), rest: textArguments(args.slice(end)) };
  }
  const given = textArguments(args);
  if (!BARE.has(name)) {
    // Those of MGET are handed on in several calls.
    if (given.words.length > MAX_WORDS && name !== "MGET")
      throw new Error(
        `ERR ${given.words.length} arguments are more than the ${MAX_WORDS} that fit over HTTP; divide them`,
      );
    return { kind: "plain", ...given };
  }
  if (given.coded.length > 0) throw new TypeError(`an argument of ${name} must be text over HTTP, got bytes`);
  return { kind: "bare", words: given.words };
}

function scriptOf(name: string, args: Args, scripts: RestScripts, text?: string): RestScript | undefined {
  if (text !== undefined) return scripts.ofText(text);
  if (name === "EVAL") return scripts.ofText(String(args[1]));
  return name === "EVALSHA" ? scripts.find(String(args[1])) : undefined;
}

/** The words of a script. @param limit see `rest-scripts.ts`. @param by names it by its hash, or has its text. */
export function scriptWords(
  { script, keys, rest }: Omit<Extract<RestCommand, { kind: "script" }>, "kind">,
  limit: string,
  by: "hash" | "text",
): readonly string[] {
  const coded = [...keys.coded.map((i) => `k${i + 1}`), ...rest.coded.map((i) => i + 1)].join();
  const named = by === "hash" ? ["EVALSHA", script.sha!] : ["EVAL", script.text];
  return [...named, String(keys.words.length), ...keys.words, coded, limit, ...rest.words];
}

/** Plain commands as one script. */
export function together(
  commands: readonly TextArguments[],
  script: RestScript,
): Omit<Extract<RestCommand, { kind: "script" }>, "kind"> {
  const words: string[] = [];
  const coded: number[] = [];
  const keys = new Set<string>();
  for (const one of commands) {
    words.push(String(one.words.length));
    for (const i of one.coded) coded.push(words.length + i);
    words.push(...one.words);
    for (const key of keysOf(one.words)) keys.add(key);
  }
  return { script, keys: { words: [...keys], coded: [] }, rest: { words, coded } };
}

/** A key follows the name, and several in some. */
function keysOf([name, ...others]: readonly string[]): readonly string[] {
  switch (name!.toUpperCase()) {
    case "MGET":
    case "DEL":
    case "UNLINK":
    case "EXISTS":
      return others;
    case "MEMORY":
      return others.slice(1, 2);
    case "TIME":
    case "SCAN":
    case "DBSIZE":
    case "ECHO":
      return [];
    default:
      return others.slice(0, 1);
  }
}
