import { BackendUnavailableError, CacheError } from "@hotset/core";
import { nearest, parseArguments, shown, type Arguments, type OptionSpec } from "./arguments.ts";
import type { Answer, Command } from "./command.ts";
import { capacity } from "./commands/capacity.ts";
import { clear, remove, stale } from "./commands/change.ts";
import { get } from "./commands/get.ts";
import { keys } from "./commands/keys.ts";
import { limits } from "./commands/limits.ts";
import { locks } from "./commands/locks.ts";
import { namespaces } from "./commands/namespaces.ts";
import { purge } from "./commands/purge.ts";
import { queue } from "./commands/queue.ts";
import { sessions } from "./commands/sessions.ts";
import { stats } from "./commands/stats.ts";
import { tag } from "./commands/tag.ts";
import { top } from "./commands/top.ts";
import { ui } from "./commands/ui.ts";
import { verify } from "./commands/verify.ts";
import { watch } from "./commands/watch.ts";
import { connect, CONNECTION_OPTIONS } from "./connect.ts";
import { doctor } from "./doctor/doctor.ts";
import { UnreachableError, UsageError } from "./errors.ts";
import { helpOf, overview } from "./help.ts";
import { EXIT, type ExitCode, type Io } from "./io.ts";
import { jsonText, safe } from "./output/text.ts";
import { VERSION } from "./version.ts";

/** In the order of the help. */
export const COMMANDS: readonly Command[] = [
  doctor,
  capacity,
  stats,
  get,
  keys,
  top,
  namespaces,
  tag,
  remove,
  stale,
  clear,
  purge,
  queue,
  locks,
  limits,
  sessions,
  watch,
  verify,
  ui,
];

/** Options of every command. */
export const COMMON: Readonly<Record<string, OptionSpec>> = {
  ...CONNECTION_OPTIONS,
  json: { text: "print JSON, as the reference describes it" },
  help: { text: "print this text" },
};

/**
 * One run of `hotset`. Never rejects; an error is one line of `complain`, and one with the page about its code.
 *
 * @param given the words behind `hotset`.
 */
export async function run(given: readonly string[], io: Io): Promise<ExitCode> {
  try {
    return await runCommand(given, io);
  } catch (error) {
    if (io.signal.aborted) return EXIT.interrupted;
    const [exitCode, hint] =
      error instanceof UsageError
        ? [EXIT.usage, `; see hotset ${isCommand(given[0]) ? `${given[0]} ` : ""}--help`]
        : error instanceof UnreachableError || error instanceof BackendUnavailableError
          ? [EXIT.unreachable, isMaybeChanged(error, given) ? MAYBE_CHANGED : ""]
          : [EXIT.failed, ""];
    const page = error instanceof CacheError ? `\n${error.url}` : "";
    io.complain(`hotset: ${safe(messageOf(error))}${hint}${page}\n`);
    return exitCode;
  }
}

/** Reads are sent with `--write` as well: which call was not answered is not known here. */
const isMaybeChanged = (error: Error, given: readonly string[]): boolean =>
  error instanceof BackendUnavailableError && error.maybeExecuted && given.includes("--write");

const MAYBE_CHANGED = "; the change may have been made: look before you repeat it";

async function runCommand(given: readonly string[], io: Io): Promise<ExitCode> {
  const [name, ...rest] = given;
  if (name === undefined || name === "help" || name === "--help") {
    const about = name === "help" && rest[0] !== undefined ? commandOf(rest[0]) : undefined;
    (name === undefined ? io.complain : io.print)(about === undefined ? overview(COMMANDS) : helpOf(about, COMMON));
    return name === undefined ? EXIT.usage : EXIT.fine;
  }
  if (name === "--version") {
    io.print(`${VERSION}\n`);
    return EXIT.fine;
  }
  const command = commandOf(name, given);
  const parsed = parseArguments(rest, { ...COMMON, ...command.options });
  if (parsed.flag("help")) {
    io.print(helpOf(command, COMMON));
    return EXIT.fine;
  }
  command.check(parsed);
  const elsewhere = command.elsewhere?.(parsed, io);
  if (elsewhere !== undefined) return present(await elsewhere, parsed, io);
  const session = await connect(parsed, io);
  // Commands that are waited for are refused from then on.
  const interrupt = (): void => void session.redis.disconnect();
  io.signal.addEventListener("abort", interrupt);
  if (io.signal.aborted) interrupt();
  try {
    const answer = await command.run(session);
    if (answer === undefined) return EXIT.fine;
    if (io.signal.aborted) return EXIT.interrupted;
    return present(answer, parsed, io);
  } finally {
    io.signal.removeEventListener("abort", interrupt);
    await session.redis.disconnect();
  }
}

function present({ json, text, exitCode }: Answer, given: Arguments, io: Io): ExitCode {
  io.print(given.flag("json") ? `${jsonText(json, 2)}\n` : `${text}\n`);
  return exitCode;
}

const isCommand = (name: string | undefined): boolean => COMMANDS.some((command) => command.name === name);

/** @param given for words that must not be quoted: a URL with a password in place of a command. */
function commandOf(name: string, given: readonly string[] = [name]): Command {
  const found = COMMANDS.find((command) => command.name === name);
  if (found !== undefined) return found;
  parseArguments(given, COMMON);
  if (name.startsWith("-")) throw new UsageError("the command comes first, and its options follow");
  const names = COMMANDS.map((command) => command.name);
  throw new UsageError(`unknown command ${shown(name)}${nearest(name, names)}; known: ${names.join(", ")}`);
}

/** Errors of hotset hold no secret. Errors of a server are its own words, and one line. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return "it failed for an unknown reason";
  const isOurs = error instanceof CacheError || error instanceof UsageError || error instanceof UnreachableError;
  return isOurs || error.name === "Error" ? error.message : `${error.name}: ${error.message}`;
}
