import type { JSX } from "preact";
import type { FleetPage } from "../../data/pages.ts";
import { ago, count, duration, percent } from "../format.ts";
import { useNow } from "../live.ts";
import { Empty, Panel, Quiet, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

type Named = FleetPage["processes"][number];
const EVERY_MS = 10_000;

export function Fleet({ live }: PageProps): JSX.Element {
  const now = useNow();
  const { fleet } = live;
  if (fleet === undefined) return <Empty title="Waiting for the first update" />;
  const versions = new Set(fleet.processes.map(({ version }) => version));
  const isQuiet = (cache: string): boolean =>
    [...fleet.silences, ...fleet.refusals].some((each) => each.cache === cache);
  const oldClass = (each: Named): string | undefined => (each.isOld ? "old-row" : undefined);
  return (
    <>
      {fleet.silences.map((silence) => (
        <Quiet key={silence.cache} of={`The backend of ${silence.cache}`} silence={silence} />
      ))}
      {fleet.refusals.map(({ cache, since, error }) => (
        <div key={cache} class="quiet-notice" role="note">
          <p>
            <b>
              The backend of {cache} has refused records for {duration(now - since)}.
            </b>{" "}
            What is shown is the last that it took.
          </p>
          <p class="minor">{error}</p>
        </div>
      ))}
      <Panel
        title="Processes"
        note={`${count(fleet.processes.length)} with a record`}
        isOld={fleet.silences.length + fleet.refusals.length > 0}
      >
        {fleet.processes.length === 0 ? (
          fleet.silences.length + fleet.refusals.length > 0 ? (
            <Empty title="No record is known yet" />
          ) : (
            <Empty title="No process keeps a record">
              Call heartbeat(cache) of hotset/inspect in each service: every ten seconds it writes one small record into
              the backend.
            </Empty>
          )
        ) : (
          <Table
            label="Processes"
            rows={fleet.processes}
            id={({ cache, id }) => `${cache} ${id}`}
            columns={[
              {
                name: "Process",
                isMain: true,
                cell: (each: Named) => (
                  <>
                    <span class={`key ${oldClass(each) ?? ""}`}>{each.name}</span>
                    {each.isOwn && <span class="minor"> this one</span>}
                    {each.isOld && <span class="minor"> no record any more</span>}
                  </>
                ),
              },
              { name: "Cache", cell: ({ cache }) => cache },
              { name: "State", cell: ({ state }) => <State>{state}</State> },
              { name: "Changes by", cell: ({ coherence }) => (coherence === "none" ? "nothing" : coherence) },
              {
                name: "Trusts copies",
                cell: ({ trust }) => <State tone={trust === "always" ? "quiet" : TRUST[trust]}>{trust}</State>,
              },
              {
                name: "Last record",
                cell: ({ cache, at, everyMs = EVERY_MS }) => (
                  <span class={now - at > 2.5 * everyMs && !isQuiet(cache) ? "loud" : undefined}>{ago(at, now)}</span>
                ),
              },
              { name: "Hit ratio", isFigure: true, cell: ({ hitRatio }) => percent(hitRatio) },
              { name: "of late", isFigure: true, cell: ({ recentHitRatio }) => percent(recentHitRatio) },
              { name: "Waiting", isFigure: true, cell: ({ waiting }) => count(waiting) },
              { name: "Pending", isFigure: true, cell: ({ pending }) => count(pending) },
              { name: "Entries", isFigure: true, cell: ({ entries }) => count(entries) },
              {
                name: "Version",
                cell: ({ version }) => <span class={versions.size > 1 ? "loud" : undefined}>{version}</span>,
              },
              { name: "Started", cell: ({ startedAt }) => ago(startedAt, now) },
            ]}
          />
        )}
      </Panel>
    </>
  );
}

const TRUST = { all: "good", some: "warning", none: "bad" } as const;
