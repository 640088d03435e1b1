/**
 * Notes the fields of a request that a page reads, by `Astro.request`, `Astro.cookies` or `Astro.preferredLocale`.
 *
 * @returns their names in lower case, as they are read. It stays empty in a runtime that does not let one notice.
 */
export function readsOf({ headers }: Request): ReadonlySet<string> {
  const read = new Set<string>();
  const noted =
    <A extends readonly unknown[], R>(method: (...given: A) => R, names: (...given: A) => readonly unknown[]) =>
    (...given: A): R => {
      for (const name of names(...given)) read.add(String(name).toLowerCase());
      return Reflect.apply(method, headers, given);
    };
  const own = (name: string): readonly string[] => [name];
  const all = (): readonly string[] => [...Headers.prototype.keys.call(headers)];
  try {
    Object.assign(headers, {
      get: noted(headers.get, own),
      has: noted(headers.has, own),
      entries: noted(headers.entries, all),
      values: noted(headers.values, all),
      forEach: noted(headers.forEach, all),
      [Symbol.iterator]: noted(headers[Symbol.iterator], all),
    });
  } catch {
    // The headers of this runtime take no properties.
  }
  return read;
}

/** What says the same of each visitor, or is of the connection. */
const OF_ALL: ReadonlySet<string> = new Set(["host", "origin", "connection", "content-length", "content-type"]);

/** Fields by which this page may differ although nothing in its response says so. */
export function unnamed(read: ReadonlySet<string>, response: Response): readonly string[] {
  const named = new Set((response.headers.get("vary") ?? "").split(",").map((name) => name.trim().toLowerCase()));
  return [...read].filter((name) => !OF_ALL.has(name) && !named.has(name));
}
