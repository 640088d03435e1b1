import { parseArgs } from "node:util";

export const USAGE = `usage: npm run demo -- [options]

  --seconds <n>    send requests for at least this long: 1 to 300 (default 14)
  --requests <n>   and at least this many: 2,000 to 1,000,000 (default 12,000)
  --processes <n>  2 to 8 processes that share one cache (default 3)
  --no-redis       over a SQLite file, even if a Redis is there
  --help           this text

REDIS_URL names a Redis to use. Without it a Redis is started for the demo, and killed and frozen during it: the
redis-server on the PATH, or one that is unpacked. Where there is none, the processes share a SQLite file.
npm start keeps one process up with customers, on PORT (default 3000): its page has buttons that make trouble.`;

export interface DemoArguments {
  readonly seconds: number;
  readonly requests: number;
  readonly usesRedis: boolean;
  readonly processes: number;
  /** Keeps serving, to customers of its own making. */
  readonly serves: boolean;
  readonly helps: boolean;
}

/** The command line is not valid. The message says what is accepted. */
export class UsageError extends Error {
  override readonly name = "UsageError";
}

/** @throws {UsageError} for an unknown option, a word that is not an option, and a number out of its range. */
export function parseArguments(args: readonly string[]): DemoArguments {
  const { tokens } = parseArgs({ args: [...args], options: OPTIONS, strict: false, tokens: true });
  const given = new Map<string, string | undefined>();
  for (const token of tokens) {
    if (token.kind === "positional")
      throw new UsageError(`${JSON.stringify(token.value)} is not an option; accepted are ${ACCEPTED}`);
    if (token.kind !== "option") continue;
    if (!Object.hasOwn(OPTIONS, token.name))
      throw new UsageError(`${token.rawName} is not an option; accepted are ${ACCEPTED}`);
    given.set(token.name, token.value);
  }
  for (const flag of ["no-redis", "serve", "help"])
    if (given.get(flag) !== undefined) throw new UsageError(`--${flag} takes no value`);
  if (given.has("processes") && given.has("serve"))
    throw new UsageError("--processes cannot be combined with --serve; leave one of them out");
  return {
    processes: wholeNumber(given, "processes", { least: 2, most: 8, otherwise: 3 }),
    seconds: wholeNumber(given, "seconds", { least: 1, most: 300, otherwise: 14 }),
    requests: wholeNumber(given, "requests", { least: 2_000, most: 1_000_000, otherwise: 12_000 }),
    usesRedis: !given.has("no-redis"),
    serves: given.has("serve"),
    helps: given.has("help"),
  };
}

const OPTIONS = {
  seconds: { type: "string" },
  requests: { type: "string" },
  "no-redis": { type: "boolean" },
  processes: { type: "string" },
  serve: { type: "boolean" },
  help: { type: "boolean" },
} as const;
const ACCEPTED = Object.keys(OPTIONS)
  .map((name) => `--${name}`)
  .join(", ");

function wholeNumber(
  given: ReadonlyMap<string, string | undefined>,
  option: string,
  { least, most, otherwise }: { readonly least: number; readonly most: number; readonly otherwise: number },
): number {
  if (!given.has(option)) return otherwise;
  const text = given.get(option) ?? "";
  const value = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(value >= least && value <= most)) {
    throw new UsageError(`--${option} must be a whole number from ${least} to ${most}, got ${JSON.stringify(text)}`);
  }
  return value;
}

/** @throws {UsageError} for a `PORT` that is not a port number. */
export function portOf(env: NodeJS.ProcessEnv): number {
  const text = env["PORT"] ?? "";
  if (text === "") return 3000;
  const port = /^\d+$/.test(text) ? Number(text) : NaN;
  if (!(port >= 0 && port <= 65_535))
    throw new UsageError(`PORT must be a whole number from 0 to 65535, got ${JSON.stringify(text)}`);
  return port;
}
