import { percentText, plural, secondsText } from "../figures.ts";
import type { Figures, ProcessPicture } from "./picture.ts";
import { eachProcess, type Found, type Rule } from "./rule.ts";
import { nameOf, quoted } from "./texts.ts";

// Rules over what `createCache({ verify })` found: values that differ from their source.

type Verified = NonNullable<Figures["verified"]>[number];
type Reason = Verified["reasons"][number];
type Case = Omit<Found, "cache" | "process">;

const UNSTEADY = 3;
const ODD = { share: 0.5, elsewhere: 0.35, checked: 8 };

/** How each reason is known, and what to do. */
const REASONS: Readonly<Record<Reason["why"], { readonly text: (of: Reason) => string; readonly remedy: string }>> = {
  "other-namespace": {
    text: ({ otherNamespace = [] }) =>
      `their keys or tags were invalidated in ${otherNamespace.length === 0 ? "the root" : nameOf(otherNamespace)} alone`,
    remedy: "invalidate the key or tag in each namespace that has the value, or keep it in one namespace",
  },
  "early-delete": {
    text: () => "they were loaded right after their keys were deleted, and their source was changed after that",
    remedy: "change the source first, and delete or invalidate once that is committed",
  },
  "shared-key": {
    text: () => "loaders of one key give different values",
    remedy: "put what the loader depends on (user, tenant, language) into the key",
  },
  "copy-behind": {
    text: () => "the backend has newer entries than the memory of the process",
    remedy: "compare coherence, database and version of the processes: this one misses changes",
  },
  "loaded-wrong": {
    text: () => "their source had changed before they were loaded",
    remedy: "look at the process that wrote them: another database, a replica that lags, or old settings",
  },
  "not-invalidated": {
    text: () => "their source changed longer ago than verify.accepts",
    remedy: "invalidate where the source is changed, in each process that does; or let verify.accepts have more time",
  },
};

export const WRONG_VALUES: readonly Rule[] = [
  {
    name: "wrong-values",
    what: "Values that were served fresh are wrong, as `verify` finds",
    when: "one that no staleness explains",
    remedy: "by the reason: invalidate in each namespace, change the source before the delete, or complete the key",
    level: "error",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ verified = [] }, { cache }) =>
        verified.flatMap((each) =>
          each.wrong === 0 || isOfAnotherSource(each) ? [] : [wrongOf(each, namesOf(processes, cache))],
        ),
      ),
  },
  {
    name: "differing-values",
    what: "Values that were served fresh differ from their source, as `verify` finds",
    when: "three of eight or more; what `verify.accepts` does not count",
    remedy: "by how the share of differing values depends on their age: invalidate, or look at key and source",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ verified = [] }, { cache }) =>
        verified.flatMap((each) => shapeOf(each, namesOf(processes, cache))),
      ),
  },
  {
    name: "other-source",
    what: "The values of one process differ from its source far more often than those of the others, as `verify` finds",
    when: `${percentText(ODD.share)} of ${ODD.checked} or more, and at most ${percentText(ODD.elsewhere)} in each of two or more other processes`,
    remedy:
      "look at the database, the replica and the environment that this process loads from: a staging process over the Redis of production looks so; or it misses invalidations",
    level: "error",
    page: "fleet",
    find: ({ processes }) => otherSources(processes),
  },
  {
    name: "unsteady-values",
    what: "Loaders give another value each time, so `verify` cannot compare them",
    when: `${UNSTEADY} values in 15 minutes, and more than could be compared`,
    remedy: "name the fields in verify.ignore, give verify.version, or say verify: false for these calls",
    level: "warning",
    page: "keys",
    find: ({ processes }) =>
      eachProcess(processes, ({ verified = [] }) =>
        verified.flatMap((each): Case[] => {
          const { unsteady, checked, unsteadyFields } = each;
          if (unsteady < UNSTEADY || unsteady <= checked) return [];
          const fields = unsteadyFields.length === 0 ? "" : ` in ${unsteadyFields.join(", ")}`;
          const text = `${plural(unsteady, "value")}${ofOwner(each)} differ from load to load${fields}: they cannot be compared with their source`;
          return [{ subject: ownerOf(each), weight: unsteady, text }];
        }),
      ),
  },
];

/** One process among three or more, by namespace and group. */
function otherSources(processes: readonly ProcessPicture[]): readonly Found[] {
  const known = processes
    .filter(({ silentMs, everyMs }) => silentMs <= 2.5 * everyMs)
    .flatMap(({ cache, name = "this process", figures }) =>
      (figures?.verified ?? []).flatMap((group) => {
        const { checked, wrong, unclear } = group;
        return checked < ODD.checked ? [] : [{ cache, name, group, share: (wrong + unclear) / checked }];
      }),
    );
  const places = Map.groupBy(known, ({ cache, group }) => JSON.stringify([cache, group.namespace, group.group]));
  return [...places.values()].flatMap((all): readonly Found[] => {
    const [odd, ...others] = all.toSorted((one, other) => other.share - one.share) as [(typeof all)[number]];
    const most = Math.max(...others.map(({ share }) => share));
    if (others.length < 2 || odd.share < ODD.share || most > ODD.elsewhere) return [];
    const { cache, name, group, share } = odd;
    const text = `${name} has another source than the others: ${percentText(share)} of the values${ofOwner(group)} that it compared differ, at most ${percentText(most)} elsewhere`;
    return [{ cache, subject: `${name} ${ownerOf(group)}`, by: [name], weight: share, text }];
  });
}

/** Names of processes by the letters with which their ids begin. */
type Names = (writer: string) => string | undefined;

const namesOf =
  (processes: readonly ProcessPicture[], cache: string): Names =>
  (writer) =>
    processes.find((each) => each.cache === cache && each.id?.startsWith(writer) === true)?.name;

function wrongOf(group: Verified, names: Names): Case {
  const [reason] = group.reasons as readonly [Reason, ...Reason[]];
  const { text, remedy } = REASONS[reason.why];
  const others = group.reasons.length > 1 ? `; ${group.wrong - reason.count} others for another reason` : "";
  return {
    ...{ subject: `${ownerOf(group)} ${reason.why}`, weight: group.wrong, remedy },
    text: `${group.wrong} of ${plural(group.checked, "value")}${ofOwner(group)} that were compared with their source are wrong: ${text(reason)}${others}${lastText(group)}${writerText(group, names)}`,
  };
}

/**
 * A process with another source loads right after the deletes of others too. If only what others wrote differs, that is
 * the mistake, and the time of the deletes is chance.
 */
const isOfAnotherSource = ({ shape, reasons }: Verified): boolean =>
  shape === "other-writer" && reasons.every(({ why }) => why === "early-delete");

function shapeOf(group: Verified, names: Names): readonly Case[] {
  const { unclear, checked, shape, curve, isInvalidated, wrong } = group;
  const different = isOfAnotherSource(group) ? wrong + unclear : unclear;
  if (different === 0 || wrong > different) return [];
  const found = { subject: `${ownerOf(group)} ${shape}`, weight: different };
  const start = `${different} of ${plural(checked, "value")}${ofOwner(group)} differ from their source`;
  const [young, old] = [curve[0], curve.at(-1)];
  const ages =
    young === undefined || old === undefined
      ? ""
      : ` (${percentText(young.different / young.checked)} up to ${secondsText(young.upToMs)} old, ${percentText(old.different / old.checked)} up to ${secondsText(old.upToMs)})`;
  switch (shape) {
    case "none":
    case "few":
      return [];
    case "other-writer":
      return [
        {
          ...found,
          text: `${start}, where other processes wrote them, and not where this one did${writerText(group, names)}${lastText(group)}`,
          remedy: "compare the database, the settings and the release of the process that wrote them",
        },
      ];
    case "from-start":
      return [
        {
          ...found,
          text: `${start} whatever their age${ages}: they were wrong when they were stored${lastText(group)}${writerText(group, names)}`,
          remedy:
            "look for a key that callers share, a loader that depends on its caller, a delete before the write, or another source; or the source changes faster than it is cached",
        },
      ];
    case "grows": {
      const never = isInvalidated ? "" : "; this process has invalidated none of them itself";
      return [
        {
          ...found,
          text: `${start}, more of the older ones${ages}: changes at the source don't reach the cache${never}${lastText(group)}`,
          remedy: isInvalidated
            ? "invalidate in each place that changes the source, and in each namespace; or say what age is accepted by verify.accepts"
            : "invalidate where the source is changed, in this namespace too; compare the Redis, database number and name of this process with those that do; or say what age is accepted by verify.accepts",
        },
      ];
    }
  }
}

/** The process that wrote most of what differs, if it is another one. */
function writerText({ writers }: Verified, names: Names): string {
  const [first] = writers;
  if (first === undefined || first.isOwn || first.writer === "" || first.different === 0) return "";
  return `; ${first.different} were written by ${names(first.writer) ?? "a process without a record"}`;
}

function lastText({ namespace, last }: Verified): string {
  if (last === undefined) return "";
  const fields = last.fields.length === 0 ? "" : ` in ${last.fields.join(", ")}`;
  return `; the last: ${quoted(namespace, last.key)}${fields}`;
}

const ownerOf = ({ namespace, group }: Verified): string =>
  [...namespace, ...(group === undefined ? [] : [group])].join(" › ");

function ofOwner(group: Verified): string {
  const owner = ownerOf(group);
  return owner === "" ? "" : ` of ${owner}`;
}
