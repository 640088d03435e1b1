import type { JSX } from "preact";
import type { CountedLimit } from "../../data/pages.ts";
import { count, plural } from "../format.ts";
import { Empty, Figure, Panel, Quiet, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

export function Limits({ live }: PageProps): JSX.Element {
  const { rows, silence, counts } = live.limits ?? {};
  return (
    <>
      {counts !== undefined && (
        <Panel title="This process" note="since its start">
          <dl class="figures">
            <Figure name="Allowed" value={count(counts.limitsAllowed)} />
            <Figure name="Refused" value={count(counts.limitsRefused)} />
            <Figure name="Decided without Redis" value={count(counts.limitsDegraded)} />
          </dl>
        </Panel>
      )}
      <Quiet of="Redis" silence={silence} />
      {rows === undefined ? (
        silence == null && <Empty title="Looking for limits" />
      ) : rows.length === 0 && silence != null ? (
        <Empty title="There were none" />
      ) : rows.length === 0 ? (
        <Empty title="No limit counts anyone">
          Limits of rateLimit(redis) appear here with the first call, until their windows end.
        </Empty>
      ) : (
        <Panel title="Limits" note={plural(rows.length, "limit")} isOld={silence != null}>
          <Table
            label="Rate limits"
            rows={rows}
            id={({ name }) => name}
            columns={[
              { name: "Limit", isMain: true, cell: ({ name }: CountedLimit) => <span class="key">{name}</span> },
              {
                name: "Refused here",
                isFigure: true,
                cell: ({ refused }) => <span class={(refused ?? 0) > 0 ? "loud" : undefined}>{count(refused)}</span>,
              },
              { name: "Allowed here", isFigure: true, cell: ({ allowed }) => count(allowed) },
              { name: "Callers counted", isFigure: true, cell: ({ callers }) => count(callers) },
              {
                name: "Blocked",
                isFigure: true,
                cell: ({ blocked }) => <span class={blocked > 0 ? "loud" : undefined}>{count(blocked)}</span>,
              },
            ]}
          />
        </Panel>
      )}
    </>
  );
}
