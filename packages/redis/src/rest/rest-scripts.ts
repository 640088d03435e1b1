import { ConfigurationError } from "@hotset/core";
import { SizedMap } from "@hotset/core/internal";
import { SCRIPTS } from "../lua/all-scripts.ts";
import { WRITE } from "../lua/entry-scripts.ts";
import type { Script } from "../lua/script.ts";
import { WRITE_STRING } from "../lua/string-scripts.ts";
import { DECODE_ARGUMENTS } from "./text-arguments.ts";

/** In each reply: in base64, unless the service gives replies as they are. */
export const MARK = "~";

/** The reply to what came after its last instant: nothing was executed. */
export const TOO_LATE = "TRYAGAIN this command came too late";

/**
 * A script with what HTTP needs around it. ARGV, before its own: the positions of the keys and arguments that are bytes, as
 * {@link DECODE_ARGUMENTS} takes them; and the last instant at which it may run, in ms by the clock of the server, `''`
 * for none. A request that was given up may still arrive, behind what was called since. Replies with that of the script,
 * the time of the server and {@link MARK}.
 */
const overHttp = (text: string): string => `local coded, limit = ARGV[1], ARGV[2]
table.remove(ARGV, 1)
table.remove(ARGV, 1)
local time = redis.call('TIME')
if limit ~= '' and time[1] * 1000 + time[2] / 1000 > tonumber(limit) then
  return redis.error_reply('${TOO_LATE}')
end
${DECODE_ARGUMENTS}
local function run()
${text}
end
local reply = run()
if type(reply) == 'table' and reply.err then return reply end
return {reply or false, time[1], time[2], '${MARK}'}`;

/** The most keys of one MGET: Lua takes no more than 8,000 arguments. */
const MGET_KEYS = 4_000;

/**
 * Runs plain commands, one after another: reads are answered by the primary then, as a script may write, and their
 * arguments may be bytes. ARGV: for each command the number of its words, and these. Replies with all replies, `false`
 * for an error; and the position and the message of each error.
 */
export const PLAIN_COMMANDS = `local replies, errors, at = {}, {}, 1
local function mget(from, to)
  local all = {}
  for first = from, to, ${MGET_KEYS} do
    local some = redis.pcall('MGET', unpack(ARGV, first, math.min(to, first + ${MGET_KEYS - 1})))
    if some.err then return some end
    for i = 1, math.min(to - first + 1, ${MGET_KEYS}) do all[#all + 1] = some[i] end
  end
  return all
end
while ARGV[at] do
  local last = at + tonumber(ARGV[at])
  local reply
  if string.upper(ARGV[at + 1]) == 'MGET' then reply = mget(at + 2, last) else reply = redis.pcall(unpack(ARGV, at + 1, last)) end
  local i = #replies + 1
  if type(reply) == 'table' and reply.err then
    replies[i] = false
    errors[#errors + 1] = i
    errors[#errors + 1] = reply.err
  else
    replies[i] = type(reply) == 'table' and reply.ok or reply
  end
  at = last + 1
end
return {replies, errors}`;

/** A script over HTTP, by what the rest of this package calls it. */
export interface RestScript {
  readonly text: string;
  /**
   * Whether it must not run late, where the cache sends it: it would write over what was changed since. Others compare
   * first, or only remove. What other users send never runs late.
   */
  readonly isTimed: boolean;
  sha: string | undefined;
}

/** Those of the toolkit take far less. */
const MOST_TEXT_BYTES = 2 ** 22;

/** Scripts over HTTP: those of backends, and those that other users send by their text. Their hashes take a promise. */
export class RestScripts {
  readonly plain: RestScript = restScript(PLAIN_COMMANDS, false);
  /** Those of backends, by hash and by text. */
  readonly #byName = new Map<string, RestScript>();
  /** Those of other users, which may make up a text for each call. */
  readonly #byText = new SizedMap<RestScript>();

  constructor() {
    for (const script of new Set<Script>([...SCRIPTS.hash, ...SCRIPTS.string])) {
      const made = restScript(script.text, script === WRITE || script === WRITE_STRING);
      this.#byName.set(script.sha, made);
      this.#byName.set(script.text, made);
    }
  }

  /** @param name the hash of a script of backends, or its text. `undefined` for one of another program. */
  find(name: string): RestScript | undefined {
    return this.#byName.get(name);
  }

  /** @throws {ConfigurationError} for a script with a shebang: what stands before it would end its effect. */
  ofText(text: string): RestScript {
    const known = this.#byName.get(text) ?? this.#byText.get(text);
    if (known !== undefined) return known;
    if (text.startsWith("#!"))
      throw new ConfigurationError(
        "redis: a script with a shebang (#!lua) cannot be sent over HTTP; leave that line out",
      );
    const made = restScript(text, false);
    this.#byText.set(text, made);
    this.#byText.deleteOldest(MOST_TEXT_BYTES);
    return made;
  }

  /** Computes the hash of a script, once. */
  async name(script: RestScript): Promise<void> {
    script.sha ??= hex(
      new Uint8Array(await globalThis.crypto.subtle.digest("SHA-1", new TextEncoder().encode(script.text))),
    );
  }
}

const restScript = (text: string, isTimed: boolean): RestScript => ({ text: overHttp(text), isTimed, sha: undefined });

const hex = (bytes: Uint8Array): string => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
