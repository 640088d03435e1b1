import type { RunningLease } from "@hotset/core/inspect";
import type { JSX } from "preact";
import type { JoinedKey, SeenLoad } from "../../data/pages.ts";
import { ago, count, duration, plural } from "../format.ts";
import { useNow } from "../live.ts";
import { Empty, KeyName, Panel, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

export function Stampedes({ live, go }: PageProps): JSX.Element {
  const now = useNow();
  const { stampedes } = live;
  if (stampedes === undefined) return <Empty title="Waiting for the first update" />;
  const { running, runningTotal, leases, joined } = stampedes;
  return (
    <>
      <Panel title="Running now" note={plural(runningTotal, "load")}>
        {running.length === 0 ? (
          <Empty title="No call waits">A call that finds no value appears here until its load ends.</Empty>
        ) : (
          <Table
            label="Loads that run now"
            rows={running}
            id={({ cache, namespace, key }, at) => [cache, ...namespace, key, at].join(" ")}
            columns={[
              { name: "Callers", isFigure: true, cell: ({ callers }: SeenLoad) => <b>{count(callers)}</b> },
              {
                name: "Key",
                isMain: true,
                cell: (load) => <KeyName {...load} name={load.key} onOpen={() => go("keys", load)} />,
              },
              { name: "Phase", cell: ({ phase }) => <State tone="quiet">{phase}</State> },
              { name: "Longest wait", isFigure: true, cell: ({ longestWaitMs }) => duration(longestWaitMs) },
              { name: "Loader runs", isFigure: true, cell: ({ loadingForMs }) => duration(loadingForMs) },
              { name: "Why", cell: ({ reason }) => reason },
              { name: "Cache", cell: ({ cache }) => cache },
            ]}
          />
        )}
      </Panel>
      <Panel title="Most joined" note="counted while a page is open">
        {joined.length === 0 ? (
          <Empty title="No call has joined a load since this page was opened">
            Calls for a key that is being loaded join that load. They are counted while this inspector is open.
          </Empty>
        ) : (
          <Table
            label="Keys whose loads were joined most"
            rows={joined}
            id={({ cache, namespace, key }) => [cache, ...namespace, key].join(" ")}
            columns={[
              { name: "Joined", isFigure: true, cell: (each: JoinedKey) => <b>{count(each.joined)}</b> },
              {
                name: "Key",
                isMain: true,
                cell: (each) => <KeyName {...each} name={each.key} onOpen={() => go("keys", each)} />,
              },
              { name: "Last", cell: ({ lastAt }) => ago(lastAt, now) },
              { name: "Cache", cell: ({ cache }) => cache },
            ]}
          />
        )}
      </Panel>
      <Panel title="Leases" note="one process loads, the others wait">
        {leases.length === 0 ? (
          <Empty title="This process holds no lease, and waits for none" />
        ) : (
          <Table
            label="Leases of this process"
            rows={leases}
            id={({ cache, namespace, key }) => [cache, ...namespace, key].join(" ")}
            columns={[
              { name: "Held", cell: ({ state }: RunningLease) => <State>{state === "held" ? "here" : state}</State> },
              {
                name: "Key",
                isMain: true,
                cell: (lease) => <KeyName {...lease} name={lease.key} onOpen={() => go("keys", lease)} />,
              },
              { name: "For", isFigure: true, cell: ({ forMs }) => duration(forMs) },
              { name: "Callers here", isFigure: true, cell: ({ callers }) => count(callers) },
            ]}
          />
        )}
      </Panel>
    </>
  );
}
