import type { JSX } from "preact";
import type { HeldLock } from "../../data/pages.ts";
import type { PageProps } from "../app.tsx";
import { count, duration, plural } from "../format.ts";
import { Empty, ErrorText, Figure, Panel, Table } from "../parts/basics.tsx";

export function Locks({ live }: PageProps): JSX.Element {
  const { rows, error, counts } = live.locks ?? {};
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
      {error !== undefined && <ErrorText>{error}</ErrorText>}
      {rows === undefined ? (
        <Empty title="Looking for locks" />
      ) : rows.length === 0 && error !== undefined ? null : rows.length === 0 ? (
        <Empty title="No lock is held">Locks of locks(redis) appear here while a process holds them.</Empty>
      ) : (
        <Panel title="Held now" note={plural(rows.length, "lock")}>
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
