import { InvalidArgumentError } from "../contracts/errors.ts";
import type { SchemaChecks } from "../contracts/standard-schema.ts";
import { didYouMeanInCache } from "../primitives/did-you-mean.ts";
import { kindOf } from "../primitives/duration.ts";
import {
  anything,
  callback,
  checkNames,
  duration,
  flag,
  oneOf,
  option,
  readOption,
  type Option,
  type OptionTable,
} from "../primitives/options.ts";
import { checkTags } from "./key.ts";

const fraction = (range: string, byDefault: number, is: (given: number) => boolean): Option<number> =>
  option(`a fraction in ${range}`, (given) => typeof given === "number" && is(given), byDefault);
const condition = callback(" that returns a boolean");
const header = option("the text of the header", (given) => typeof given === "string", undefined, kindOf);
const schema = option(
  'a Standard Schema (https://standardschema.dev), or { of: a Standard Schema, checks: "reads" or "all" }',
  (given: SchemaChecks<unknown> | null) => isSchema(given as never) || isSchemaWithChecks(given),
  undefined,
  kindOf,
);
const tags = option("a list of tags", (given: readonly string[]) => (checkTags(given), true), undefined);

const LIFETIME = {
  ttl: duration(60_000, -Infinity),
  staleWhileRevalidate: duration(undefined),
  staleIfError: duration(undefined),
  keepFor: duration(0),
  negativeTtl: duration(undefined, -Infinity),
  localTtl: duration(undefined),
  jitter: fraction("[0, 1)", 0, (given) => given >= 0 && given < 1),
};

export const POLICY = {
  ...LIFETIME,
  refreshAhead: fraction("(0, 1)", 1, (given) => given > 0 && given < 1),
  softTimeout: duration(Infinity),
  hardTimeout: duration(Infinity),
  loadTimeout: duration(30_000, 1),
  errorBackoff: duration(10_000),
  coversError: condition,
  rememberErrors: flag(),
  inherit: flag(),
  verify: flag(true),
};

const VALUES = { tags, shouldStore: anything };
const CALLS = {
  forceRefresh: flag(),
  maxAge: duration(Infinity),
  current: flag(),
  signal: option("an AbortSignal", (given: unknown) => given instanceof AbortSignal, undefined, kindOf),
};
const READS = { allowStale: flag() };
const ENTRY = { ...LIFETIME, tags, etag: header, lastModified: header };

/** The options of one call that its policy does not have. */
export const CALL = { ...VALUES, ...CALLS, onServed: callback() };

/** The options of each method. A test compares the reference page with them. */
export const OPTIONS = {
  policy: POLICY,
  namespace: {
    ...POLICY,
    schema,
    newKeys: anything,
  },
  wrap: { ...POLICY, name: anything, ...VALUES, key: anything },
  entry: { ...ENTRY, since: anything, wait: oneOf("backend", "memory") },
  load: { ...ENTRY, coversError: condition },
  getOrSet: { ...POLICY, ...CALL },
  getOrSetMany: { ...POLICY, ...VALUES, ...CALLS },
  touch: { ttl: duration(undefined, -Infinity) },
  get: { ...READS, onServed: CALL.onServed },
  getMany: READS,
  clear: { stale: flag() },
  close: { timeout: duration(5_000) },
} as const;

/**
 * Misspelt names are refused: they would go unnoticed otherwise.
 *
 * @throws {InvalidArgumentError} unless `options` is `undefined` or an object with only names that `method` accepts.
 */
export function checkOptionNames(method: keyof typeof OPTIONS, options: unknown): void {
  checkNames(options, OPTIONS[method], { as: InvalidArgumentError, hint: didYouMeanInCache });
}

/**
 * `options`, of which `method` accepts each name and value.
 *
 * @throws {InvalidArgumentError} for others.
 */
export function checked<O extends object | undefined>(method: keyof typeof OPTIONS, options: O): O {
  checkOptionNames(method, options);
  const table: OptionTable = OPTIONS[method];
  // A hit pays for the options that it names, not for all that there are.
  for (const name of Object.keys(options ?? NONE)) {
    const given: unknown = options![name as keyof O];
    if (given !== undefined) readOption(given, name, table[name]!);
  }
  return options;
}

const NONE = {};

function isSchema(given: { readonly "~standard"?: { readonly validate?: unknown } } | null | undefined): boolean {
  return typeof given?.["~standard"]?.validate === "function";
}

function isSchemaWithChecks(given: SchemaChecks<unknown> | null): boolean {
  const { of, checks = "reads", ...others } = given ?? { of: undefined };
  return isSchema(of) && ["reads", "all"].includes(checks) && Object.keys(others).length === 0;
}
