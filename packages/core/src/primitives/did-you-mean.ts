/**
 * The option of a call that was probably meant, as a part of a sentence: `; did you mean staleIfError?`. Empty if
 * nothing comes near. Knows the words of other caches and clients.
 */
export function didYouMean(given: string, accepted: Iterable<string>): string {
  const word = given.toLowerCase();
  const names = [...accepted];
  const meant = keysWith(ELSEWHERE, word).find((name) => names.includes(name)) ?? nearest(word, names);
  return meant === undefined ? "" : `; did you mean ${meant}?`;
}

/**
 * {@link didYouMean} for a call of a cache: for an option that was removed, the text says what to do in its place; if
 * another call takes the option, it names that call.
 */
export function didYouMeanInCache(given: string, accepted: Iterable<string>): string {
  const replacement = REMOVED.get(given);
  if (replacement !== undefined) return `; it was removed: ${replacement}`;
  const meant = didYouMean(given, accepted);
  if (meant !== "") return meant;
  const place = [given, ...keysWith(ELSEWHERE, given.toLowerCase())].flatMap((name) => keysWith(PLACES, name))[0];
  return place === undefined ? "" : `; that is set by ${place}`;
}

/** The name that takes the fewest changes of a letter, if they are few for its length. */
function nearest(word: string, names: readonly string[]): string | undefined {
  let best: string | undefined;
  let least = Math.max(1, Math.min(3, Math.floor(word.length / 3))) + 1;
  for (const name of names) {
    const changes = distance(word, name.toLowerCase());
    if (changes < least) [best, least] = [name, changes];
  }
  return best;
}

/** How many letters must be added, removed, replaced, or swapped with the next one (optimal string alignment). */
function distance(from: string, to: string): number {
  if (from.length > MAX_LENGTH) return Infinity;
  const rows = [Array.from({ length: to.length + 1 }, (_, column) => column)];
  for (let row = 1; row <= from.length; row += 1) {
    const line = [row];
    const above = rows[row - 1]!;
    for (let column = 1; column <= to.length; column += 1) {
      const isSame = from[row - 1] === to[column - 1];
      const isSwap = from[row - 1] === to[column - 2] && from[row - 2] === to[column - 1];
      const swapped = isSwap ? rows[row - 2]![column - 2]! + 1 : Infinity;
      line.push(Math.min(above[column - 1]! + (isSame ? 0 : 1), above[column]! + 1, line[column - 1]! + 1, swapped));
    }
    rows.push(line);
  }
  return rows[from.length]![to.length]!;
}

const MAX_LENGTH = 64;

/** The keys of a table whose words have this one. */
const keysWith = (table: Readonly<Record<string, string>>, word: string): readonly string[] =>
  Object.keys(table).filter((key) => table[key]!.split(" ").includes(word));

/** Options that were removed, and what to do in their place. Users read the same in docs/reference/options.md */
const REMOVED = new Map([
  ["localOnly", "keep values that must not leave the process in a second cache, over memory() alone"],
  ["absentAsNull", "the loader gives null for each item that it does not find"],
  ["maxTtl", "nothing limits ttl; the closest place that sets it wins"],
  ["checkLoads", 'pass schema: { of: schema, checks: "all" }'],
]);

/** Options, and the words that other caches and clients have for them, in small letters. */
const ELSEWHERE = {
  staleIfError: "grace graceperiod gctime cachetime",
  staleWhileRevalidate: "swr stalewhilerefresh stalettl",
  maxAge: "maxage",
  ttl: "staletime expire expires expiresin lifetime ex px maxage",
  hardTimeout: "timeout",
  responseTimeout: "timeout",
  refreshAhead: "refreshthreshold",
  forceRefresh: "forcefresh force",
  maxEntries: "max maxitems maxkeys",
  maxBytes: "maxsize",
  host: "host hostname socket",
  port: "port",
  url: "uri host port redis",
  toolkit: "redis",
  connection: "host port url",
  username: "user",
  password: "pass",
  database: "db",
  keyPrefix: "prefix",
  name: "prefix",
  delete: "del",
};

/** The right place of options that were given elsewhere. */
const PLACES = {
  "memory(...)": "maxEntries maxBytes maxEntryBytes values",
  "redis(url)": "connection username password keyPrefix tls",
  "createCache(...)": "name version maxLoads explain logger",
  ".tier(...)": "tier tiers stores memory redis",
  ".defaults(...), or by the call":
    "ttl staleWhileRevalidate staleIfError negativeTtl localTtl jitter refreshAhead " +
    "softTimeout hardTimeout loadTimeout errorBackoff",
};
