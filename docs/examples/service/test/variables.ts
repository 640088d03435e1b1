import { readFileSync } from "node:fs";
import { join } from "node:path";

export const here = join(import.meta.dirname, "..");
export const top = join(here, "../../..");

/** Lines `# NAME=value` of an example of variables. */
export const variablesOf = (path: string): ReadonlyMap<string, string> =>
  new Map(
    Array.from(readFileSync(join(top, path), "utf8").matchAll(/^# ([A-Z_]+)=(.*)$/gm), ([, name, value]) => [
      name!,
      value!,
    ]),
  );

/** Names of variables that the code of this service asks for. */
export const ownVariables = (): readonly string[] =>
  Array.from(
    readFileSync(join(here, "src/settings.ts"), "utf8").matchAll(/(?:env\[|\(env, )"([A-Z_]+)"/g),
    ([, name]) => name!,
  );

/** All that may be set: its own, and those of `createRedis()`. */
export const knownVariables = (): ReadonlySet<string> =>
  new Set([...ownVariables(), ...variablesOf("docs/operations/env.example").keys()]);
