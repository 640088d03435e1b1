import { readFileSync } from "node:fs";
import { REFUSED, type History, type Terms } from "../src/history.ts";

const TERMS: Terms = {
  maxStalenessMs: 1_000,
  reissueWindowMs: 30_000,
  responseTimeoutMs: 300,
  loadTimeoutMs: 1_500,
  ttlMs: 60_000,
  staleMs: 0,
  healMs: 10_000,
  slackMs: 100,
};
const LISTS = "processes reads changes loads sightings failures faults incidents stalls removals";
/** What a word says about the event before it; one with a value ends with `=`. */
const FLAGS: Readonly<Record<string, object>> = {
  soft: { mode: "soft" },
  pending: { status: "pending" },
  failed: { status: "failed" },
  stale: { freshness: "stale" },
  forced: { forced: true },
  coalesced: { coalesced: true },
  abandoned: { isAbandoned: true },
  stored: { isToStore: true },
  withheld: { isWithheld: true },
  alone: { isAlone: true },
  freezes: { freezes: true },
  leases: { losesLeases: true },
  splits: { splits: true },
  unended: { endedAt: undefined, status: undefined },
};
const VALUES: Readonly<Record<string, (value: string) => object>> = {
  id: (id) => ({ id }),
  from: (tier) => ({ tier }),
  bound: (ms) => ({ boundMs: Number(ms) }),
  after: (change) => ({ after: { change: "c", version: Number(change) } }),
  since: (at) => ({ firstStartedAt: Number(at) }),
  error: (text) => ({ error: text.replaceAll("_", " ") }),
  strayKey: (strayKey) => ({ strayKey }),
  strayCall: (strayCall) => ({ strayCall }),
  key: (key) => ({ key }),
  called: (at) => ({ calledAt: Number(at) }),
  asked: (at) => ({ askedAt: Number(at) }),
  givenUp: (at) => ({ givenUpAt: Number(at) }),
  aborted: (at) => ({ abortedAt: Number(at) }),
  of: (process) => ({ processes: [process] }),
  keys: (keys) => ({ keys: keys.split(",") }),
  loses: (at) => ({ losesSince: Number(at) }),
  jump: (ms) => ({ jumpMs: Number(ms) }),
  versions: (count) => ({ unreportedVersions: Number(count) }),
};

/**
 * A history by its events, one after another:
 *
 *     terms ttlMs=500; processes A B C-150        C died at 150
 *     B delete 2 pending                          from 100 to 110: the source gave version n at (n - 1) * 100
 *     A get 1 @120 stale; A getOrSet - @100-409   of key a; - for nothing
 *     B load 1 @500-700 alone; A down+1 @200      down, with one pending
 *     fault cut @550-580 of=A; B fails read REFUSED @121; A stalls @50-90; C removes a @550-560; C takes a @60-70
 */
export function historyOf(text: string): History {
  const lists = Object.fromEntries(LISTS.split(" ").map((name) => [name, [] as object[]]));
  let terms = TERMS;
  let ids = 0;
  const add = (list: string, made: object, words: readonly string[]): void => {
    const more = words.map((word) => {
      const [name, value] = word.split("=", 2) as [string, string | undefined];
      const found = value === undefined ? FLAGS[name] : VALUES[name]?.(value);
      if (found === undefined) throw new Error(`${word} in ${text}`);
      return found;
    });
    const all = Object.entries(Object.assign({}, made, ...more) as object);
    lists[list]!.push(Object.fromEntries(all.filter(([, value]) => value !== undefined)));
  };
  for (const event of text.split(";").map((part) => part.trim())) {
    if (event === "") continue;
    const at = /@(-?\d+(?:\.\d+)?)(?:-(\d+(?:\.\d+)?))?/.exec(event);
    const words = event.replace(/ @\S+/, "").split(/\s+/);
    const [process, kind, what, ...more] = words as [string, string, string, ...string[]];
    const [from, to] = [Number(at?.[1]), Number(at?.[2] ?? at?.[1])];
    const version = what === "-" ? undefined : Number(what);
    const id = `x${(ids += 1)}`;
    if (process === "terms")
      terms = {
        ...terms,
        ...Object.fromEntries(words.slice(1).map((word) => [word.split("=")[0], Number(word.split("=")[1])])),
      };
    else if (process === "processes")
      for (const [name, diedAt] of words.slice(1).map((word) => word.split("-") as [string, string?]))
        add("processes", { name, bornAt: 0, ...(diedAt !== undefined && { diedAt: Number(diedAt) }) }, []);
    else if (process === "fault") add("faults", { kind: kind.replaceAll("_", " "), from, to }, words.slice(2));
    else if (kind === "fails")
      add(
        "failures",
        { process, at: from, operation: what, code: more[0] === "REFUSED" ? REFUSED : "BACKEND_UNAVAILABLE" },
        [],
      );
    else if (kind === "stalls") add("stalls", { process, from, to }, []);
    else if (kind === "removes") add("removals", { process, from, to, ...(what !== "tags" && { key: what }) }, []);
    else if (kind === "takes") add("removals", { process, from, to, key: what, takesLease: true }, []);
    else if (kind === "unhandled") add("incidents", { process, at: from, kind, text: "rejection" }, []);
    else if (/^(?:up|down|detached)/.test(kind))
      add("sightings", { process, at: from, state: kind.split("+")[0], pending: Number(kind.split("+")[1] ?? 0) }, []);
    else if (kind === "load") {
      const made = { process, id, key: "a", calledAt: from - 1, startedAt: from, endedAt: to, version, forced: false };
      add("loads", made, more);
    } else if (/^(?:get|watch)/.test(kind)) {
      const endedAt = at?.[2] === undefined ? from + 1 : to;
      const made = { process, id, kind, key: "a", startedAt: from, endedAt, version, freshness: "fresh", boundMs: 100 };
      add("reads", made, more);
    } else {
      const [key, given] = what.includes(":") ? what.split(":") : ["a", what];
      const startedAt = at === null ? (Number(given) - 1) * 100 : from;
      const endedAt = at === null ? startedAt + 10 : to;
      const did = kind.replaceAll("_", " ");
      const made = { process, id, kind: did, keys: [[key, Number(given)]], mode: "hard", startedAt, endedAt };
      add("changes", { ...made, status: "acknowledged", boundMs: 300 }, more);
    }
  }
  if (lists["processes"]!.length === 0) lists["processes"] = ["A", "B"].map((name) => ({ name, bornAt: 0 }));
  const issues = [2, 3, 4, 5].map((version) => ({ at: (version - 1) * 100, key: "a", version }));
  return { terms, issues, ...lists } as unknown as History;
}

export interface Case {
  /** The rules that it breaks, or the exemption that explains it; none for a good one. */
  readonly verdict: string;
  readonly title: string;
  readonly events: string;
}

/** A line with the verdict and the title, then lines with the events. */
export function casesIn(file: URL): readonly Case[] {
  const cases: Case[] = [];
  for (const line of readFileSync(file, "utf8").split("\n")) {
    if (line === "" || line.startsWith("#")) continue;
    const head = /^(?! )(?<verdict>[^:]+): (?<title>.+)$/.exec(line)?.groups;
    if (head !== undefined) cases.push({ verdict: head["verdict"]!, title: head["title"]!, events: "" });
    else {
      const last = cases.pop()!;
      cases.push({ ...last, events: `${last.events};${line}` });
    }
  }
  return cases;
}
