import { parseArgs } from "node:util";

export const USAGE = `usage: npm run demo -- [options]

  --seconds <n>    drive the service for at least this long: 1 to 300 (default 6)
  --requests <n>   and with at least this many requests: 2,000 to 1,000,000 (default 12,000)
  --no-redis       memory over a file, even if a Redis is there
  --processes <n>  2 to 8 processes of another service, which share one cache and stay coherent
  --help           this text

REDIS_URL names a Redis to use. Without it a redis-server on the PATH is started for the demo, and killed during it.
With neither, a SQLite file is below the memory.
npm start keeps the service up, on PORT (default 3000).`;

export interface DemoArguments {
  readonly seconds: number;
  readonly requests: number;
  readonly usesRedis: boolean;
  /** `1`: the service of packages; more: that many processes of the service of prices. */
  readonly processes: number;
  /** Keeps serving, and sends itself no requests. */
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
  const processes = given.has("processes") ? wholeNumber(given, "processes", { least: 2, most: 8, otherwise: 1 }) : 1;
  for (const flag of ["no-redis", "serve"])
    if (processes > 1 && given.has(flag))
      throw new UsageError(`--processes cannot be combined with --${flag}; leave one of them out`);
  return {
    processes,
    seconds: wholeNumber(given, "seconds", { least: 1, most: 300, otherwise: 6 }),
    // Fewer would not give each package its nine hits for one load.
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
