import type { Backoff, Fallback } from "@hotset/core/inspect";
import type { JSX } from "preact";
import { ago, count, duration, plural } from "../format.ts";
import { useNow } from "../live.ts";
import { Empty, KeyName, Panel, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

type Named<T> = T & { readonly cache: string };

const CAUSES: Readonly<Record<Backoff["cause"], string>> = {
  failed: "its load failed",
  background: "too many loads in the background",
  refused: "its last error must reach the caller",
  unshared: "its last value was for one caller",
};

export function Stale({ live, go }: PageProps): JSX.Element {
  const now = useNow();
  const { stale } = live;
  if (stale === undefined) return <Empty title="Waiting for the first update" />;
  return (
    <>
      <Panel title="Served stale, because loads fail" note={plural(stale.fallbacks.length, "key")}>
        {stale.fallbacks.length === 0 ? (
          <Empty title="No key is served as fallback">
            With staleIfError, a stale value is served where the load of a newer one fails. Such keys appear here, with
            the error.
          </Empty>
        ) : (
          <Table
            label="Keys served as fallback"
            rows={stale.fallbacks}
            id={({ cache, namespace, key }) => [cache, ...namespace, key].join(" ")}
            columns={[
              {
                name: "Key",
                isMain: true,
                cell: (each: Named<Fallback>) => <KeyName {...each} name={each.key} onOpen={() => go("keys", each)} />,
              },
              {
                name: "Error",
                isMain: true,
                cell: ({ error }) => (error === undefined ? "–" : `${error.name}: ${error.message}`),
              },
              { name: "Cause", cell: ({ cause }) => <State>{cause}</State> },
              { name: "Since", cell: ({ since }) => ago(since, now) },
              { name: "Served", isFigure: true, cell: ({ served }) => count(served) },
              { name: "Last", cell: ({ lastAt }) => ago(lastAt, now) },
              { name: "Cache", cell: ({ cache }) => cache },
            ]}
          />
        )}
      </Panel>
      <Panel title="Loads put off" note={plural(stale.backoffs.length, "key")}>
        {stale.backoffs.length === 0 ? (
          <Empty title="No load is put off">After a load that failed, errorBackoff puts off the next one.</Empty>
        ) : (
          <Table
            label="Keys whose loads are put off"
            rows={stale.backoffs}
            id={({ cache, namespace, key }, at) => [cache, ...namespace, key, at].join(" ")}
            columns={[
              {
                name: "Key",
                isMain: true,
                cell: (each: Named<Backoff>) => <KeyName {...each} name={each.key} onOpen={() => go("keys", each)} />,
              },
              { name: "Why", cell: ({ cause }) => CAUSES[cause] },
              {
                name: "Error",
                isMain: true,
                cell: ({ error }) => (error === undefined ? "–" : `${error.name}: ${error.message}`),
              },
              { name: "For", isFigure: true, cell: ({ forMs }) => duration(forMs) },
              { name: "Cache", cell: ({ cache }) => cache },
            ]}
          />
        )}
      </Panel>
    </>
  );
}
