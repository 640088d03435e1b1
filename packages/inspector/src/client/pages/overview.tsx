import type { JSX } from "preact";
import type { CacheOverview, TierOverview } from "../../data/pages.ts";
import type { Sample } from "../../data/history.ts";
import { FindingList, type PageProps } from "../app.tsx";
import { ask } from "../ask.ts";
import { bytes, count, duration, percent, rate } from "../format.ts";
import { useNow } from "../live.ts";
import { ConfirmButton, Empty, Figure, Panel, State, Table } from "../parts/basics.tsx";
import { Chart } from "../parts/chart.tsx";

export function Overview({ live, go }: PageProps): JSX.Element {
  const { overview, findings = [], history = {}, status } = live;
  if (overview === undefined) return <Empty title="Waiting for the first update" />;
  return (
    <>
      <Panel title="What stands out">
        {findings.length === 0 ? (
          <p class="fine">Nothing: tiers are up, loads succeed, and no queue has dead jobs.</p>
        ) : (
          <FindingList findings={findings} go={go} />
        )}
      </Panel>
      {overview.map((cache) => (
        <One key={cache.name} cache={cache} samples={history[cache.name] ?? []} canWrite={status?.canWrite === true} />
      ))}
    </>
  );
}

function One(props: {
  readonly cache: CacheOverview;
  readonly samples: readonly Sample[];
  readonly canWrite: boolean;
}): JSX.Element {
  const { cache, samples } = props;
  const at = samples.map((sample) => sample.at);
  const calls = cache.hits + cache.staleHits + cache.misses;
  return (
    <Panel title={`Cache ${cache.name}`} note={`${count(calls)} calls since its start`}>
      <dl class="figures">
        <Figure name="Hit ratio" value={percent(cache.hitRatio)} about={`${count(cache.staleHits)} of them stale`} />
        <Figure
          name="Loads"
          value={count(cache.loads)}
          about={
            cache.loads === 0
              ? "none yet"
              : `half within ${duration(cache.loadP50Ms)}, 95 % within ${duration(cache.loadP95Ms)}`
          }
        />
        <Figure
          name="Failed loads"
          value={count(cache.loadErrors)}
          {...(cache.loadErrors > 0 && { tone: "bad" as const })}
        />
        <Figure name="Time saved" value={duration(cache.savedMs)} about="of loads that did not run" />
        <Figure name="Callers waiting" value={count(cache.waiting)} about={`${count(cache.overloaded)} refused`} />
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
            max={1}
            show={percent}
            series={[{ name: "hits", tone: "main", values: samples.map(({ hitRatio }) => hitRatio) }]}
          />
          <Chart
            title="Calls per second"
            at={at}
            show={rate}
            series={[
              { name: "all", tone: "main", values: samples.map((sample) => sample.calls) },
              { name: "stale", tone: "quiet", values: samples.map((sample) => sample.stale) },
            ]}
          />
          <Chart
            title="Loads per second"
            at={at}
            show={rate}
            series={[
              { name: "loads", tone: "main", values: samples.map((sample) => sample.loads) },
              { name: "failed", tone: "bad", values: samples.map((sample) => sample.loadErrors) },
            ]}
          />
        </div>
      )}
      <Tiers cache={cache} canWrite={props.canWrite} />
    </Panel>
  );
}

function Tiers({ cache, canWrite }: { readonly cache: CacheOverview; readonly canWrite: boolean }): JSX.Element {
  const now = useNow();
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
      cell: ({ errors }: TierOverview) => <span class={errors > 0 ? "loud" : undefined}>{count(errors)}</span>,
      isFigure: true,
    },
    { name: "Hits", cell: ({ hits }: TierOverview) => count(hits), isFigure: true },
    { name: "Misses", cell: ({ misses }: TierOverview) => count(misses), isFigure: true },
    { name: "Entries", cell: ({ entries }: TierOverview) => count(entries), isFigure: true },
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
    <Table
      label={`Tiers of ${cache.name}`}
      columns={canWrite ? [...columns, action] : columns}
      rows={cache.tiers}
      id={({ label }) => label}
    />
  );
}
