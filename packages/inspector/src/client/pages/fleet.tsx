import type { JSX } from "preact";
import type { ProcessRecord } from "@hotset/core/inspect";
import type { PageProps } from "../app.tsx";
import { ago, count, percent } from "../format.ts";
import { useNow } from "../live.ts";
import { Empty, Panel, Quiet, State, Table } from "../parts/basics.tsx";

type Named = ProcessRecord & { readonly cache: string };
const SILENT_MS = 25_000;

export function Fleet({ live }: PageProps): JSX.Element {
  const now = useNow();
  const { fleet } = live;
  if (fleet === undefined) return <Empty title="Waiting for the first update" />;
  const versions = new Set(fleet.processes.map(({ version }) => version));
  const isQuiet = (cache: string): boolean => fleet.silences.some((each) => each.cache === cache);
  return (
    <>
      {fleet.silences.map((silence) => (
        <Quiet key={silence.cache} of={`The backend of ${silence.cache}`} silence={silence} />
      ))}
      <Panel
        title="Processes"
        note={`${count(fleet.processes.length)} with a record`}
        isOld={fleet.silences.length > 0}
      >
        {fleet.processes.length === 0 ? (
          fleet.silences.length > 0 ? (
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
                cell: ({ name, isOwn }: Named) => (
                  <>
                    <span class="key">{name}</span>
                    {isOwn && <span class="minor"> this one</span>}
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
                cell: ({ cache, at }) => (
                  <span class={now - at > SILENT_MS && !isQuiet(cache) ? "loud" : undefined}>{ago(at, now)}</span>
                ),
              },
              { name: "Hit ratio", isFigure: true, cell: ({ hitRatio }) => percent(hitRatio) },
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
