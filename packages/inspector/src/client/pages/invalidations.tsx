import type { JSX } from "preact";
import { useState } from "preact/hooks";
import type { Burst, SeenInvalidation } from "../../data/invalidations.ts";
import { ago, clock, count, place } from "../format.ts";
import { useNow } from "../live.ts";
import { Choice, Empty, KeyName, Panel, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

const MANY = 30;

export function Invalidations({ live, go }: PageProps): JSX.Element {
  const now = useNow();
  const [shown, setShown] = useState<"all" | "tags" | "key">("all");
  const { invalidations } = live;
  if (invalidations === undefined) return <Empty title="Waiting for the first update" />;
  const { recent, bursts } = invalidations;
  const listed = recent.filter(({ scope }) => shown === "all" || (scope === "key") === (shown === "key"));
  if (recent.length === 0)
    return (
      <Empty title="No invalidation yet">
        Calls of delete, markStale, invalidateTags and clear appear here, of this process and of others, from the moment
        the inspector was made.
      </Empty>
    );
  return (
    <>
      <Panel title="Most frequent" note="in the last minute">
        {bursts.length === 0 ? (
          <p class="fine">None in the last minute.</p>
        ) : (
          <Table
            label="Most frequent invalidations"
            rows={bursts.slice(0, 10)}
            id={({ cache, namespace, scope, what }) => JSON.stringify([cache, namespace, scope, what])}
            columns={[
              {
                name: "Times",
                isFigure: true,
                cell: (burst: Burst) => (
                  <span
                    class={burst.count >= MANY ? "loud" : undefined}
                  >{`${burst.isAtLeast ? "≥ " : ""}${count(burst.count)}`}</span>
                ),
              },
              { name: "What", isMain: true, cell: (burst) => <What {...burst} text={burst.what} /> },
              { name: "By", cell: (burst) => (burst.by.length === 0 ? "another process" : burst.by.join(", ")) },
              { name: "Cache", cell: ({ cache }) => cache },
              { name: "Last", cell: ({ lastAt }) => ago(lastAt, now) },
            ]}
          />
        )}
      </Panel>
      <Panel title="Stream" note="newest first; of other processes, the last 50 of each record">
        <div class="row fields">
          <Choice
            label="Show"
            value={shown}
            onChoose={setShown}
            options={[
              ["all", "everything"],
              ["tags", "tags and namespaces"],
              ["key", "keys"],
            ]}
          />
        </div>
        <Table
          label="Invalidations, newest first"
          rows={listed}
          id={(each, at) => `${each.at} ${each.scope} ${each.key ?? ""} ${listed.length - at}`}
          columns={[
            { name: "Time", cell: ({ at }: SeenInvalidation) => clock(at) },
            {
              name: "Times",
              isFigure: true,
              cell: ({ times }) => <span class={times > 1 ? undefined : "minor"}>{count(times)}</span>,
            },
            {
              name: "What",
              isMain: true,
              cell: (each) =>
                each.scope === "key" ? (
                  <KeyName
                    namespace={each.namespace}
                    name={each.key ?? ""}
                    onOpen={() => go("keys", { cache: each.cache, namespace: each.namespace, key: each.key ?? "" })}
                  />
                ) : (
                  <What {...each} text={(each.tags ?? []).join(", ")} />
                ),
            },
            {
              name: "How",
              cell: ({ mode, scope }) => (
                <State tone="quiet">
                  {mode === "stale" ? "marked stale" : scope === "key" ? "replaced or removed" : "removed"}
                </State>
              ),
            },
            { name: "By", cell: (each) => by(each) },
            { name: "Cache", cell: ({ cache }) => cache },
          ]}
        />
      </Panel>
    </>
  );
}

function What(props: {
  readonly scope: "key" | "tags" | "namespace";
  readonly namespace: readonly string[];
  readonly text: string;
}): JSX.Element {
  const inside = props.namespace.length === 0 ? "" : ` in ${place(props.namespace)}`;
  if (props.scope === "namespace") return <span>everything{inside}</span>;
  return (
    <span>
      {props.scope === "tags" ? "tag " : "key "}
      <span class="key">{props.text}</span>
      {inside}
    </span>
  );
}

const by = ({ origin, process }: SeenInvalidation): string =>
  process ?? (origin === "here" ? "this process" : "another process");
