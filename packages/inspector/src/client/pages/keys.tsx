import type { JSX } from "preact";
import { useEffect, useState } from "preact/hooks";
import type { CacheStatus, KeyFigures, KeyOrder, KeyRow, KeysAnswer, KeysPage } from "../../data/pages.ts";
import { ask, useAsk } from "../ask.ts";
import { bytes, count, duration, ending, freshness, percent, place, plural } from "../format.ts";
import { Choice, Empty, ErrorText, KeyName, Panel, SearchField, State, Table } from "../parts/basics.tsx";
import { RangeChoice, useRange } from "../parts/range.tsx";
import { VirtualList } from "../parts/virtual-list.tsx";
import type { PageProps } from "../places.ts";
import type { KeyPlace } from "../places.ts";
import { Entry } from "./entry.tsx";

export function Keys({ live, chosen }: PageProps): JSX.Element {
  const [open, setOpen] = useState(chosen);
  useEffect(() => setOpen(chosen), [chosen]);
  const { status, keys } = live;
  if (status === undefined) return <Empty title="Waiting for the first update" />;
  if (open !== undefined)
    return <Entry key={JSON.stringify(open)} at={open} canWrite={status.canWrite} onClose={() => setOpen(undefined)} />;
  return (
    <>
      {keys !== undefined && <Groups {...keys} />}
      {keys !== undefined && <CallTimes calls={keys.calls} />}
      <List caches={status.caches} onOpen={setOpen} />
    </>
  );
}

type Group = KeyFigures["namespaces"][number] | KeyFigures["groups"][number];

/** What loads of it have cost: how many, times how long half of them took. */
const costOf = ({ loads, loadLatency }: Group): number => (loads === 0 ? 0 : loads * (loadLatency.p50Ms ?? 0));

function Groups(keys: KeysPage): JSX.Element {
  const [range, setRange] = useRange();
  const { groups, namespaces } = range === "all" ? keys : keys.recent;
  const rows = [...groups, ...namespaces].toSorted((one, other) => costOf(other) - costOf(one)).slice(0, 20);
  const nameOf = (group: Group): string =>
    "group" in group ? group.group : group.namespace.length === 0 ? "all keys" : place(group.namespace);
  return (
    <Panel title="Groups by cost" note="key groups and namespaces">
      <div class="row fields">
        <RangeChoice range={range} onChoose={setRange} />
      </div>
      <Table
        label="Groups of keys, the most expensive first"
        rows={rows}
        id={(group) => `${group.cache} ${"group" in group ? `group ${group.group}` : JSON.stringify(group.namespace)}`}
        columns={[
          {
            name: "Group",
            isMain: true,
            cell: (group: Group) => (
              <>
                <span class="key">{nameOf(group)}</span>
                {"group" in group && <span class="minor"> group</span>}
              </>
            ),
          },
          { name: "Cache", cell: ({ cache }) => cache },
          { name: "Time in loads", isFigure: true, cell: (group) => duration(costOf(group)) },
          { name: "Loads", isFigure: true, cell: ({ loads }) => count(loads) },
          { name: "95 % within", isFigure: true, cell: ({ loadLatency }) => duration(loadLatency.p95Ms) },
          { name: "Failed", isFigure: true, cell: ({ loadErrors }) => count(loadErrors) },
          { name: "Hit ratio", isFigure: true, cell: ({ hitRatio }) => percent(hitRatio) },
          { name: "Stale", isFigure: true, cell: ({ staleHits }) => count(staleHits) },
          { name: "Joined", isFigure: true, cell: ({ coalesced }) => count(coalesced) },
          { name: "Not stored", isFigure: true, cell: ({ fenced }) => count(fenced) },
        ]}
      />
      {groups.length === 0 && (
        <p class="fine">Groups by pattern: createCache({"{ keyGroups: [{ name, match }] }"}) counts keys that match.</p>
      )}
    </Panel>
  );
}

/** What callers waited, beyond the time of the loads. */
function CallTimes({ calls }: Pick<KeysPage, "calls">): JSX.Element | null {
  if (calls.length === 0) return null;
  type Row = (typeof calls)[number];
  const timed =
    (by: keyof NonNullable<Row["calls"]>) =>
    ({ calls: of }: Row): string => {
      const found = of?.[by];
      return found === undefined ? "–" : `${duration(found.p50Ms)} / ${duration(found.p99Ms)}`;
    };
  return (
    <Panel title="How long calls take" note="last minute: half of them within, and 99 %">
      <Table
        label="How long calls take"
        rows={calls}
        id={({ cache, namespace, group }) => JSON.stringify([cache, namespace, group])}
        columns={[
          {
            name: "Group",
            isMain: true,
            cell: ({ namespace, group }: Row) => (
              <span class="key">{group ?? (namespace.length === 0 ? "all keys" : place(namespace))}</span>
            ),
          },
          { name: "Cache", cell: ({ cache }) => cache },
          { name: "Hit in the backend", isFigure: true, cell: timed("hit") },
          { name: "Stale", isFigure: true, cell: timed("stale") },
          { name: "Joined a load", isFigure: true, cell: timed("joined") },
          { name: "Loaded", isFigure: true, cell: timed("loaded") },
          { name: "Failed", isFigure: true, cell: timed("failed") },
        ]}
      />
      <p class="fine after">Hits in memory are not timed: they take a tenth of a microsecond.</p>
    </Panel>
  );
}

type Source = "memory" | "backend";

const ORDERS: Readonly<Record<Source, readonly (readonly [KeyOrder, string])[]>> = {
  memory: [
    ["key", "key"],
    ["hits", "most hits"],
    ["size", "largest"],
    ["age", "oldest"],
    ["expires", "ends first"],
  ],
  backend: [
    ["key", "key"],
    ["size", "largest"],
    ["expires", "ends first"],
  ],
};

function List(props: {
  readonly caches: readonly CacheStatus[];
  readonly onOpen: (at: KeyPlace) => void;
}): JSX.Element {
  const { caches } = props;
  const [name, setName] = useState(caches[0]!.name);
  const cache = caches.find((each) => each.name === name) ?? caches[0]!;
  const sources: readonly (readonly [Source, string])[] = [
    ...(cache.canListMemory ? [["memory", "in memory of this process"] as const] : []),
    ...(cache.canListBackend ? [["backend", `in ${cache.tiers.at(-1)}`] as const] : []),
  ];
  const [wanted, setSource] = useState<Source>("memory");
  const source = sources.some(([each]) => each === wanted) ? wanted : sources[0]?.[0];
  const [search, setSearch] = useState("");
  const [order, setOrder] = useState<KeyOrder>("key");
  if (source === undefined)
    return (
      <Panel title="Keys">
        <Empty title="No tier of this cache can list its keys">
          memory() can, and so can Redis, SQLite, PostgreSQL, and a Keyv whose store has an iterator.
        </Empty>
      </Panel>
    );
  const orders = ORDERS[source];
  const question = {
    cache: cache.name,
    source,
    search,
    order: orders.some(([each]) => each === order) ? order : "key",
  };
  return (
    <Panel title="Keys">
      <div class="row fields">
        {caches.length > 1 && (
          <Choice
            label="Cache"
            value={cache.name}
            options={caches.map((each) => [each.name, each.name])}
            onChoose={setName}
          />
        )}
        {sources.length > 1 && <Choice label="Where" value={source} options={sources} onChoose={setSource} />}
        <SearchField label="Search" value={search} onSearch={setSearch} />
        <Choice label="Order" value={question.order} options={orders} onChoose={setOrder} />
      </div>
      <Found key={JSON.stringify(question)} question={question} onOpen={props.onOpen} />
    </Panel>
  );
}

const KEY = { name: "Key" };
const FRESH = { name: "Fresh for", isFigure: true };
const SIZE = { name: "Size", isFigure: true };
const MEMORY_COLUMNS = [KEY, { name: "State" }, FRESH, { name: "Hits", isFigure: true }, SIZE, { name: "Tags" }];
const BACKEND_COLUMNS = [KEY, FRESH, { name: "Ends in", isFigure: true }, SIZE];

interface KeysQuestion {
  readonly cache: string;
  readonly source: Source;
  readonly search: string;
  readonly order: string;
}

function Found(props: { readonly question: KeysQuestion; readonly onOpen: (at: KeyPlace) => void }): JSX.Element {
  const { question, onOpen } = props;
  const asked = useAsk<KeysAnswer>("keys", question);
  const [more, setMore] = useState<KeysAnswer>();
  const [error, setError] = useState<string>();
  const [isWalking, setWalking] = useState(false);
  const answer = more ?? asked.answer;
  const failure = error ?? asked.error;
  if (failure !== undefined) return <ErrorText>{failure}</ErrorText>;
  if (answer === undefined)
    return (
      <p class="fine" role="status">
        Looking for keys …
      </p>
    );
  const walk = async (): Promise<void> => {
    setWalking(true);
    try {
      setMore(await ask<KeysAnswer>("more", { list: answer.list }));
    } catch (thrown) {
      setError((thrown as Error).message);
    } finally {
      setWalking(false);
    }
  };
  const isMemory = question.source === "memory";
  const about = answer.about === null ? "" : ` of about ${count(answer.about)}`;
  return (
    <>
      <div class="row found">
        <span role="status">
          {plural(answer.total, "key")}
          {!answer.isComplete && `, after a look at ${count(answer.looked)}${about}`}
        </span>
        {!answer.isComplete && !isMemory && (
          <button type="button" disabled={isWalking} onClick={() => void walk()}>
            {isWalking ? "Looking …" : "Look further"}
          </button>
        )}
        <button type="button" onClick={() => (setMore(undefined), setError(undefined), asked.again())}>
          Look again
        </button>
      </div>
      {answer.total === 0 ? (
        <Empty title={question.search === "" ? "No key is stored" : "No key matches"}>
          {question.search === ""
            ? "Keys appear with the first call that stores a value."
            : answer.isComplete
              ? "The search finds parts of keys and of namespaces, with the same capitals."
              : "Not all keys were looked at; look further."}
        </Empty>
      ) : (
        <>
          <VirtualList<KeyRow>
            id={answer.list}
            label="Keys"
            columns={isMemory ? MEMORY_COLUMNS : BACKEND_COLUMNS}
            total={answer.total}
            first={answer.rows}
            load={async (offset, limit) => (await ask<KeysAnswer>("rows", { list: answer.list, offset, limit })).rows}
            row={(row) => {
              const open = (): void => onOpen({ cache: question.cache, namespace: row.namespace, key: row.key });
              const name = <KeyName namespace={row.namespace} name={row.key} onOpen={open} />;
              const fresh = freshness(row.freshForMs);
              const size = bytes(row.bytes);
              return isMemory
                ? [
                    name,
                    <State key="state">{row.state ?? ""}</State>,
                    fresh,
                    count(row.hits),
                    size,
                    (row.tags ?? []).join(", "),
                  ]
                : [name, fresh, ending(row.expiresInMs), size];
            }}
          />
          {isMemory && (
            <p class="fine after">Unconfirmed copies are checked with the backend before they are served.</p>
          )}
        </>
      )}
    </>
  );
}
