import type { JSX } from "preact";
import type { HeldLock } from "../../data/pages.ts";
import type { PageProps } from "../app.tsx";
import { duration, plural } from "../format.ts";
import { Empty, ErrorText, Panel, Table } from "../parts/basics.tsx";

export function Locks({ live }: PageProps): JSX.Element {
  const { rows, error } = live.locks ?? {};
  return (
    <>
      {error !== undefined && <ErrorText>{error}</ErrorText>}
      {rows === undefined ? (
        <Empty title="Looking for locks" />
      ) : rows.length === 0 ? (
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
