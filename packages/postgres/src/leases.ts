import type { Leases } from "@hotset/core";
import { packed } from "./bytes.ts";
import type { Database } from "./database.ts";
import { entryOf, fieldsOf, orRemoved, type LongKeys } from "./entries.ts";
import type { Statements } from "./statements.ts";

/** Each step is one statement, in which the key is locked. */
export function leasesOf(
  database: Database,
  statements: Statements,
  keys: LongKeys,
  { confirm, stored }: { readonly confirm: Leases["confirm"]; readonly stored: () => void },
): Leases {
  const step = async (statement: Statements["store"], key: string, ...values: readonly unknown[]): Promise<boolean> => {
    const { name, hash } = keys.of(key);
    return (await database.call(statement, [name, ...values], hash))[0] as boolean;
  };
  return {
    async acquire({ key, token, leaseMs, seen, isOver }) {
      const { name, hash } = keys.of(key);
      const values = [name, token, leaseMs, seen, isOver === true];
      const [state, heldForMs, data, meta, version, stale, expires] = await database.call(
        statements.acquire,
        values,
        hash,
      );
      if (state === "granted") return { granted: true, version: version as string };
      if (state === "held") return { granted: false, heldForMs: heldForMs as number };
      return { granted: false, entry: entryOf([data, meta, version, stale, expires])! };
    },
    renew: (key, token, leaseMs) => step(statements.renew, key, token, leaseMs),
    release: async (key, token) => void (await step(statements.release, key, token)),
    async store(key, token, seen, entry) {
      const storing = step(statements.store, key, token, seen, ...fieldsOf(entry));
      const isStored = await orRemoved(storing, () => step(statements.remove, key));
      stored();
      return isStored;
    },
    touch: (key, seen, { staleInMs, expiresInMs, meta }) =>
      step(statements.touch, key, seen, staleInMs, expiresInMs, packed(Buffer.from(meta)), keys.touched),
    confirm,
  };
}
