import type { JSX } from "preact";
import type { HeldLock } from "../../data/pages.ts";
import { count, duration, plural } from "../format.ts";
import { Empty, Figure, Panel, Quiet, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

export function Locks({ live }: PageProps): JSX.Element {
  const { rows, silence, counts } = live.locks ?? {};
  return (
    <>
      {counts !== undefined && (
        <Panel title="This process" note="since its start">
          <dl class="figures">
            <Figure name="Acquired" value={count(counts.locksAcquired)} />
            <Figure name="Gave up" value={count(counts.locksUnavailable)} about="others held the lock" />
            <Figure
              name="Lost"
              value={count(counts.locksLost)}
              about="ended before their release"
              {...(counts.locksLost > 0 && { tone: "bad" as const })}
            />
            <Figure name="Time waited" value={duration(counts.lockWaitMs)} />
          </dl>
        </Panel>
      )}
      <Quiet of="Redis" silence={silence} />
      {rows === undefined ? (
        silence == null && <Empty title="Looking for locks" />
      ) : rows.length === 0 && silence != null ? (
        <Empty title="There were none" />
      ) : rows.length === 0 ? (
        <Empty title="No lock is held">Locks of locks(redis) appear here while a process holds them.</Empty>
      ) : (
        <Panel title="Held now" note={plural(rows.length, "lock")} isOld={silence != null}>
          <Table
            label="Locks that are held"
            rows={rows}
            id={({ kind, name }) => `${kind} ${name}`}
            columns={[
              { name: "Lock", isMain: true, cell: ({ name }: HeldLock) => <span class="key">{name}</span> },
              { name: "Kind", cell: ({ kind }) => kind },
              { name: "Holder", cell: ({ holder }) => <span class="key">{holder}</span> },
              {
                name: "Ends in",
                isFigure: true,
                cell: ({ lifeMs }) => (lifeMs === null ? "no end" : duration(lifeMs)),
              },
              { name: "Fence", isFigure: true, cell: ({ fence }) => fence ?? "–" },
            ]}
          />
        </Panel>
      )}
    </>
  );
}
