import type { JSX } from "preact";
import type { HttpPage } from "../../data/pages.ts";
import { bytes, count, percent } from "../format.ts";
import { Empty, Figure, Panel, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

type One = HttpPage["caches"][number];

export function Http({ live }: PageProps): JSX.Element {
  if (live.http === undefined) return <Empty title="Waiting for the first update" />;
  return (
    <>
      {live.http.caches.map((cache) => (
        <HttpCache key={cache.name} {...cache} />
      ))}
    </>
  );
}

function HttpCache(cache: One): JSX.Element {
  const { hits, stale, revalidated, misses, collapsed } = cache;
  const passed = Object.entries(cache.passed).toSorted(([, one], [, other]) => other - one);
  const passes = passed.reduce((sum, [, times]) => sum + times, 0);
  const all = hits + stale + revalidated + misses + collapsed + passes;
  const outcomes: readonly (readonly [string, number, string])[] = [
    ["hit", hits, "from the cache, fresh"],
    ["stale", stale, "from the cache, stale"],
    ["revalidated", revalidated, "from the cache, after the origin confirmed it"],
    ["collapsed", collapsed, "shared the load of another request"],
    ["miss", misses, "from the origin"],
    ["passed", passes, "from the origin, not stored: see below"],
  ];
  return (
    <Panel title={`HTTP cache ${cache.name}`}>
      <dl class="figures">
        <Figure name="Without the origin" value={percent(all === 0 ? null : (hits + stale + collapsed) / all)} />
        <Figure name="Bytes from the cache" value={bytes(cache.bytesFromCache)} />
        <Figure name="Bytes stored from the origin" value={bytes(cache.bytesFromOrigin)} />
      </dl>
      <Table
        label={`Outcomes of ${cache.name}`}
        rows={outcomes}
        id={([name]) => name}
        columns={[
          { name: "Outcome", cell: ([name]) => name },
          { name: "Requests", isFigure: true, cell: ([, requests]) => count(requests) },
          { name: "Share", isFigure: true, cell: ([, requests]) => percent(all === 0 ? null : requests / all) },
          { name: "Meaning", isMain: true, cell: ([, , meaning]) => meaning },
        ]}
      />
      <h3>Not stored</h3>
      {passed.length === 0 ? (
        <p class="fine">Every response could be stored.</p>
      ) : (
        <Table
          label={`Why ${cache.name} did not store responses`}
          rows={passed}
          id={([reason]) => reason}
          columns={[
            { name: "Reason", isMain: true, cell: ([reason]) => <span class="key">{reason}</span> },
            { name: "Responses", isFigure: true, cell: ([, responses]) => count(responses) },
          ]}
        />
      )}
    </Panel>
  );
}
