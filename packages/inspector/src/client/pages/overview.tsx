import type { JSX } from "preact";
import type { Sample } from "../../data/history.ts";
import type { Mark } from "../../data/marks.ts";
import type { CacheOverview, FleetOverview, PastFinding, TierOverview } from "../../data/pages.ts";
import { ask } from "../ask.ts";
import { ago, bytes, clock, count, duration, percent, plural, rate } from "../format.ts";
import { useNow } from "../live.ts";
import { ConfirmButton, Empty, Figure, Panel, State, Table } from "../parts/basics.tsx";
import { Chart } from "../parts/chart.tsx";
import { FindingList } from "../parts/findings.tsx";
import { RangeChoice, useRange, type Range } from "../parts/range.tsx";
import type { PageProps } from "../places.ts";

export function Overview({ live, go }: PageProps): JSX.Element {
  const { overview, findings = [], past = [], history = {}, marks = {}, status } = live;
  const [range, setRange] = useRange();
  if (overview === undefined) return <Empty title="Waiting for the first update" />;
  return (
    <>
      <Panel title="What stands out">
        {findings.length === 0 ? (
          <>
            <p class="fine">Nothing: tiers are up, loads succeed, and the last minute is like the time before.</p>
            {status?.caches.some(({ verifies }) => !verifies) === true && (
              <p class="fine">
                Whether values are right is not looked at: createCache({"{ verify: { share: 0.01 } }"}) compares some
                hits with their source.
              </p>
            )}
          </>
        ) : (
          <FindingList findings={findings} go={go} isFull />
        )}
      </Panel>
      <div class="row fields">
        <RangeChoice range={range} onChoose={setRange} />
      </div>
      {overview.map((cache) => (
        <One
          key={cache.name}
          cache={cache}
          range={range}
          samples={history[cache.name] ?? []}
          marks={marks[cache.name] ?? []}
          canWrite={status?.canWrite === true}
        />
      ))}
      {past.length > 0 && <Past past={past} />}
    </>
  );
}

/** Findings that are over: what was, and when. */
const Past = ({ past }: { readonly past: readonly PastFinding[] }): JSX.Element => {
  const now = useNow();
  return (
    <Panel title="In the last hour" note={`${plural(past.length, "finding")} that ended`}>
      <ul class="past">
        {past.slice(0, 30).map(({ id, text, since, until, times }) => (
          <li key={id}>
            <span class="past-time">
              {clock(since)} to {clock(until!)}, {ago(until!, now)}
              {times > 1 && `, ${count(times)} times`}
            </span>
            <span class="finding-text">{text}</span>
          </li>
        ))}
      </ul>
    </Panel>
  );
};

function One(props: {
  readonly cache: CacheOverview;
  readonly range: Range;
  readonly samples: readonly Sample[];
  readonly marks: readonly Mark[];
  readonly canWrite: boolean;
}): JSX.Element {
  const { cache, samples, range } = props;
  const at = samples.map((sample) => sample.at);
  const marks = props.marks.filter((mark) => mark.at >= (at[0] ?? Infinity));
  const marked = marks.map((mark) => mark.at);
  const calls = cache.hits + cache.staleHits + cache.misses;
  const shown = range === "all" ? cache : cache.recent;
  const isFailing = cache.recent.lastMinute.loadErrors > 0;
  const note =
    range === "all"
      ? `${plural(calls, "call")} since its start`
      : `${plural(shown.hits + shown.staleHits + shown.misses, "call")} in ${duration(cache.recent.ms)}`;
  return (
    <Panel title={`Cache ${cache.name}`} note={`${note}${cache.fleet === null ? "" : ", in this process"}`}>
      {cache.fleet !== null && <FleetLine fleet={cache.fleet} />}
      <dl class="figures">
        <Figure name="Hit ratio" value={percent(shown.hitRatio)} about={`${count(shown.staleHits)} of them stale`} />
        <Figure
          name="Loads"
          value={count(shown.loads)}
          about={
            shown.loads === 0
              ? "none yet"
              : `half within ${duration(shown.loadP50Ms)}, 95 % within ${duration(shown.loadP95Ms)}`
          }
        />
        <Figure
          name="Failed loads"
          value={count(shown.loadErrors)}
          {...(shown.loadErrors > 0 && { about: isFailing ? "some in the last minute" : "none in the last minute" })}
          {...(isFailing && { tone: "bad" as const })}
        />
        <Figure name="Time saved" value={duration(shown.savedMs)} about="of loads that did not run" />
        <Figure name="Callers waiting" value={count(cache.waiting)} about={`${count(shown.overloaded)} refused`} />
        <Figure
          name="Pending"
          value={count(cache.pending)}
          about="invalidations"
          {...(cache.pending > 0 && { tone: "warning" as const })}
        />
      </dl>
      {calls === 0 ? (
        <p class="fine">No call yet: the plots begin with the first one.</p>
      ) : samples.length < 2 ? (
        <p class="fine">The plots begin four seconds after the inspector.</p>
      ) : (
        <div class="charts">
          <Chart
            title="Hit ratio"
            at={at}
            marks={marked}
            max={1}
            show={percent}
            series={[{ name: "hits", tone: "main", values: samples.map(({ hitRatio }) => hitRatio) }]}
          />
          <Chart
            title="Calls per second"
            at={at}
            marks={marked}
            show={rate}
            series={[
              { name: "all", tone: "main", values: samples.map((sample) => sample.calls) },
              { name: "stale", tone: "quiet", values: samples.map((sample) => sample.stale) },
            ]}
          />
          <Chart
            title="Loads per second"
            at={at}
            marks={marked}
            show={rate}
            series={[
              { name: "loads", tone: "main", values: samples.map((sample) => sample.loads) },
              { name: "failed", tone: "bad", values: samples.map((sample) => sample.loadErrors) },
            ]}
          />
        </div>
      )}
      {samples.length >= 2 && marks.length > 0 && <Marks marks={marks} />}
      <Calls cache={cache} />
      <Tiers cache={cache} range={range} canWrite={props.canWrite} />
    </Panel>
  );
}

/** The texts of the marks on the curves, the last one first. */
const Marks = ({ marks }: { readonly marks: readonly Mark[] }): JSX.Element => (
  <ul class="marks" aria-label="Marks on the curves">
    {marks.toReversed().map(({ at, text }) => (
      <li key={`${at} ${text}`}>
        <time>{clock(at)}</time> {text}
      </li>
    ))}
  </ul>
);

const ANSWERED: Readonly<Record<string, string>> = {
  memory: "Fresh, from memory",
  hit: "Fresh, from the backend",
  stale: "Stale",
  joined: "By the load of another call",
  loaded: "By its own load",
  failed: "With an error",
};

/** What callers waited, next to the time of the loads alone. */
function Calls({ cache }: { readonly cache: CacheOverview }): JSX.Element | null {
  const { calls } = cache.recent.lastMinute;
  // Those of memory alone say nothing.
  if (calls.every(({ by }) => by === "memory")) return null;
  type Row = (typeof calls)[number];
  return (
    <>
      <h3>How long calls took, last minute</h3>
      <Table
        label={`Calls of ${cache.name}`}
        rows={calls}
        id={({ by }) => by}
        columns={[
          { name: "Answered", isMain: true, cell: ({ by }: Row) => ANSWERED[by] ?? by },
          { name: "Calls", isFigure: true, cell: (row) => count(row.count) },
          {
            name: "Half within",
            isFigure: true,
            cell: ({ p50Ms }) => (p50Ms === null ? "not timed" : duration(p50Ms)),
          },
          {
            name: "99 % within",
            isFigure: true,
            cell: ({ p99Ms }) => (p99Ms === null ? "not timed" : duration(p99Ms)),
          },
        ]}
      />
    </>
  );
}

/** The sum of all processes, and the worst of them. */
function FleetLine({ fleet }: { readonly fleet: FleetOverview }): JSX.Element {
  const { processes, callsPerSecond, hitRatio, loadErrors, errors, worst } = fleet;
  const trouble = (of: typeof worst | FleetOverview): string =>
    `hit ratio ${percent(of.hitRatio)}, ${plural(of.loadErrors, "failed load")}, ${plural(of.errors, "error")} of tiers`;
  return (
    <p class="fleet-line">
      <b>All {count(processes)} processes</b>, last minute: {rate(callsPerSecond)} calls a second,{" "}
      {trouble({ ...fleet, hitRatio, loadErrors, errors })}. Worst: <span class="key">{worst.name}</span> with{" "}
      {trouble(worst)}. <a href="#/fleet">Fleet</a>
    </p>
  );
}

function Tiers(props: {
  readonly cache: CacheOverview;
  readonly range: Range;
  readonly canWrite: boolean;
}): JSX.Element {
  const now = useNow();
  const { cache, range, canWrite } = props;
  const { lastMinute, tiers: recent } = cache.recent;
  const countsOf = (tier: TierOverview): Pick<TierOverview, "hits" | "misses" | "errors"> =>
    range === "all" ? tier : (recent.find(({ label }) => label === tier.label) ?? tier);
  const bypassed = cache.tiers.filter(({ state }) => state === "bypassed").map(({ label }) => label);
  const change = async (label: string, isBypassed: boolean): Promise<string> => {
    const tiers = isBypassed ? bypassed.filter((each) => each !== label) : [...bypassed, label];
    await ask("bypass", { cache: cache.name, tiers });
    return isBypassed ? "used again" : "bypassed";
  };
  const columns = [
    { name: "Tier", cell: ({ label }: TierOverview) => <span class="key">{label}</span>, isMain: true },
    {
      name: "State",
      cell: ({ state, since }: TierOverview) => (
        <>
          <State>{state}</State>
          {since !== null && <span class="minor"> for {duration(Math.max(0, now - since))}</span>}
        </>
      ),
    },
    {
      name: "Errors",
      cell: (tier: TierOverview) => (
        <span class={(lastMinute.errors[tier.label] ?? 0) > 0 ? "loud" : undefined}>
          {count(countsOf(tier).errors)}
        </span>
      ),
      isFigure: true,
    },
    { name: "Hits", cell: (tier: TierOverview) => count(countsOf(tier).hits), isFigure: true },
    { name: "Misses", cell: (tier: TierOverview) => count(countsOf(tier).misses), isFigure: true },
    {
      name: "Entries",
      cell: ({ entries, maxEntries }: TierOverview) =>
        maxEntries === null ? count(entries) : `${count(entries)} of ${count(maxEntries)}`,
      isFigure: true,
    },
    { name: "Evicted, last minute", cell: ({ evicted }: TierOverview) => count(evicted), isFigure: true },
    { name: "Size", cell: ({ bytes: size }: TierOverview) => bytes(size), isFigure: true },
    { name: "Read, 95 %", cell: ({ readP95Ms }: TierOverview) => duration(readP95Ms), isFigure: true },
  ];
  const action = {
    name: "Change",
    cell: ({ label, state }: TierOverview) => (
      <ConfirmButton
        question={
          state === "bypassed"
            ? `Use ${label} again in this process?`
            : `Bypass ${label} in this process, until it is used again or the process ends?`
        }
        onConfirm={() => change(label, state === "bypassed")}
      >
        {state === "bypassed" ? "Use again" : "Bypass"}
      </ConfirmButton>
    ),
  };
  return (
    <>
      <h3>Tiers</h3>
      <Table
        label={`Tiers of ${cache.name}`}
        columns={canWrite ? [...columns, action] : columns}
        rows={cache.tiers}
        id={({ label }) => label}
      />
    </>
  );
}
