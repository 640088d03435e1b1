import type { RedisView } from "@hotset/redis-toolkit";
import type { Arguments, OptionSpec } from "./arguments.ts";
import { shown } from "./arguments.ts";
import type { Session } from "./command.ts";
import { UsageError } from "./errors.ts";

/** Options of commands that can change something. */
export const WRITE_OPTION: Readonly<Record<string, OptionSpec>> = {
  write: { text: "allow the change; without it nothing is written" },
};

export const TENANT_OPTION: Readonly<Record<string, OptionSpec>> = {
  tenant: { value: "<id>", text: "keys of this tenant; default: keys outside of any" },
};

/** The keys that the command is about. */
export const viewOf = ({ redis, arguments: given }: Session): RedisView => {
  const tenant = given.text("tenant");
  return tenant === undefined ? redis : redis.tenant(tenant);
};

/** @throws {UsageError} for fewer or more words, an unknown action, and one without `--write`. */
export function checkWords(
  given: Arguments,
  names: readonly string[],
  bounds: { readonly least: number; readonly actions?: readonly string[] },
): void {
  const { words } = given;
  const { least, actions = [] } = bounds;
  const most = names.length + (actions.length > 0 ? 1 : 0);
  if (words.length < least) throw new UsageError(`${names[words.length]} is missing`);
  if (words.length > most) throw new UsageError(`a word too many: ${shown(words[most]!)}`);
  const action = words[names.length];
  if (action === undefined) {
    if (given.flag("write")) throw new UsageError(`--write allows a change, and none was named: ${actions.join(", ")}`);
    return;
  }
  if (!actions.includes(action))
    throw new UsageError(`the change must be one of ${actions.join(", ")}, got ${shown(action)}`);
  checkWrite(given, action);
}

/** @throws {UsageError} for a change without `--write`. */
export function checkWrite(given: Arguments, change: string): void {
  if (!given.flag("write")) throw new UsageError(`${change} changes Redis; add --write`);
}
