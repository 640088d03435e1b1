import type { JSX } from "preact";
import { CACHE_KINDS, type KeyGroup, type LargeKey, type RedisPage } from "../../data/pages.ts";
import { bytes, count, duration, percent, plural, rate } from "../format.ts";
import { Empty, Figure, Panel, Quiet, State, Table } from "../parts/basics.tsx";
import type { PageProps } from "../places.ts";

type One = NonNullable<RedisPage["server"]>["checks"][number];
type Server = NonNullable<RedisPage["server"]>["servers"][number];

export function RedisServer({ live }: PageProps): JSX.Element {
  const { redis } = live;
  if (redis === undefined) return <Empty title="Waiting for the first update" />;
  const { server, groups, keys, isComplete, silence } = redis;
  const isOld = silence !== null;
  const others = groups.filter(({ kind }) => !OF_CACHES.includes(kind));
  return (
    <>
      <Quiet of="Redis" silence={silence} />
      {server !== undefined && <Figures server={server} isOld={isOld} />}
      <Caches groups={groups} isOld={isOld} />
      <Panel
        title="Memory of other keys"
        note={`${plural(keys, "key")} in all${isComplete ? "" : ", until now"}; sizes from a sample`}
        isOld={isOld}
      >
        {others.length === 0 ? (
          <Empty title={isComplete ? "There are no other keys" : "Looking at the keys"} />
        ) : (
          <Table
            label="Keys by what they are for"
            rows={others.slice(0, 50)}
            id={({ kind, owner }) => `${kind} ${owner}`}
            columns={[
              {
                name: "What",
                cell: ({ kind }: KeyGroup) => (kind === "other" ? "keys of other programs" : kind),
              },
              { name: "Of", isMain: true, cell: ({ owner }) => <span class="key">{owner === "" ? "–" : owner}</span> },
              { name: "Keys", isFigure: true, cell: (group) => count(group.keys) },
              { name: "Size, about", isFigure: true, cell: (group) => bytes(group.bytes) },
            ]}
          />
        )}
      </Panel>
      <Largest rows={redis.largest} isOld={isOld} />
      {server !== undefined && (
        <Panel title="Primaries" isOld={isOld}>
          <Table
            label="Primaries"
            rows={server.servers}
            id={({ address }) => address}
            columns={[
              { name: "Address", isMain: true, cell: ({ address }: Server) => <span class="key">{address}</span> },
              { name: "State", cell: ({ error = isOld ? "not known" : "up" }) => <State>{error}</State> },
              { name: "Version", cell: ({ version = "–" }) => version },
              { name: "Memory", isFigure: true, cell: ({ usedMemory }) => bytes(usedMemory) },
              { name: "Limit", isFigure: true, cell: ({ maxMemory }) => (maxMemory === 0 ? "none" : bytes(maxMemory)) },
              { name: "When full", cell: ({ maxMemoryPolicy = "–" }) => maxMemoryPolicy },
              { name: "Fragmentation", isFigure: true, cell: ({ fragmentation }) => rate(fragmentation) },
              {
                name: "Held up, 10 min",
                isFigure: true,
                cell: ({ events: { slow } = {} }) =>
                  slow === undefined ? "–" : `${duration(slow.longestMs)}, ${slow.command}`,
              },
              { name: "Evicted, last minute", isFigure: true, cell: ({ events }) => count(events?.evicted ?? 0) },
              { name: "Blocked clients", isFigure: true, cell: ({ blockedClients }) => count(blockedClients) },
            ]}
          />
          <h3>Checks</h3>
          <Table
            label="Checks of the primaries"
            rows={server.checks}
            id={({ name }) => name}
            columns={[
              { name: "Check", cell: ({ name }: One) => CHECKS[name] ?? name },
              {
                name: "Result",
                cell: ({ isPassed }) => (
                  <State tone={isPassed ? "good" : "bad"}>{isOld ? "not known" : isPassed ? "passed" : "failed"}</State>
                ),
              },
              {
                name: "Found",
                isMain: true,
                cell: ({ name, found }) => (name === "loading" && found === "no" ? "it is loaded" : found),
              },
            ]}
          />
          <p class="fine after">
            More about rights, persistence, eviction and keys without an end: npx hotset doctor, with the URL of this
            server.
          </p>
        </Panel>
      )}
    </>
  );
}

const CHECKS: Readonly<Record<string, string>> = {
  ping: "Answers",
  role: "Takes writes",
  loading: "Has its data",
  memory: "Has memory",
};

interface CacheMemory {
  readonly name: string;
  /** By kind: entries, versions, leases. */
  readonly of: Readonly<Record<string, KeyGroup>>;
  readonly bytes: number;
}

const OF_CACHES: readonly string[] = Object.values(CACHE_KINDS);

function cachesOf(groups: readonly KeyGroup[]): readonly CacheMemory[] {
  const ofCaches = groups.filter(({ kind }) => OF_CACHES.includes(kind));
  return [...new Set(ofCaches.map(({ owner }) => owner))]
    .map((name) => {
      const own = ofCaches.filter(({ owner }) => owner === name);
      const of = Object.fromEntries(own.map((group) => [group.kind, group]));
      return { name, of, bytes: own.reduce((sum, { bytes: size }) => sum + (size ?? 0), 0) };
    })
    .toSorted((one, other) => other.bytes - one.bytes);
}

function Caches({
  groups,
  isOld,
}: {
  readonly groups: readonly KeyGroup[];
  readonly isOld: boolean;
}): JSX.Element | null {
  const caches = cachesOf(groups);
  if (caches.length === 0) return null;
  const keysOf =
    (kind: string) =>
    ({ of }: CacheMemory) =>
      count(of[kind]?.keys ?? 0);
  const sizeOf =
    (kind: string) =>
    ({ of }: CacheMemory) =>
      bytes(of[kind] === undefined ? 0 : of[kind].bytes);
  return (
    <Panel title="Memory by cache" note="sizes from a sample" isOld={isOld}>
      <Table
        label="Memory by cache"
        rows={caches}
        id={({ name }) => name}
        columns={[
          { name: "Cache", isMain: true, cell: ({ name }: CacheMemory) => <span class="key">{name}</span> },
          { name: "Size, about", isFigure: true, cell: (cache) => bytes(cache.bytes) },
          { name: "Entries", isFigure: true, cell: keysOf(CACHE_KINDS.entries) },
          { name: "Size of entries", isFigure: true, cell: sizeOf(CACHE_KINDS.entries) },
          { name: "Tag versions", isFigure: true, cell: keysOf(CACHE_KINDS.versions) },
          { name: "Size of versions", isFigure: true, cell: sizeOf(CACHE_KINDS.versions) },
          { name: "Leases", isFigure: true, cell: keysOf(CACHE_KINDS.leases) },
        ]}
      />
    </Panel>
  );
}

function Largest(props: {
  readonly rows: readonly LargeKey[] | undefined;
  readonly isOld: boolean;
}): JSX.Element | null {
  const { rows, isOld } = props;
  if (rows === undefined || rows.length === 0) return null;
  return (
    <Panel title="Largest keys" note="of a sample of 10,000, each minute" isOld={isOld}>
      <Table
        label="Largest keys"
        rows={rows}
        id={({ key = "" }, at) => `${key} ${at}`}
        columns={[
          { name: "Size", isFigure: true, cell: (each: LargeKey) => bytes(each.bytes) },
          {
            name: "Key",
            isMain: true,
            cell: ({ key, owner }) => <span class="key">{key ?? `[redacted], of ${owner}`}</span>,
          },
          { name: "What", cell: ({ kind }) => kind },
          { name: "Type", cell: ({ type }) => type },
        ]}
      />
    </Panel>
  );
}

function Figures(props: { readonly server: NonNullable<RedisPage["server"]>; readonly isOld: boolean }): JSX.Element {
  const { server, isOld } = props;
  return (
    <Panel title="Server" isOld={isOld}>
      <dl class="figures">
        <Figure
          name="Memory"
          value={bytes(server.usedMemory)}
          about={server.maxMemory === 0 ? "no limit" : `of ${bytes(server.maxMemory)}`}
        />
        <Figure name="Keys" value={count(server.keys)} />
        <Figure name="Commands/s" value={rate(server.commandsPerSecond)} />
        <Figure name="Clients" value={count(server.connectedClients)} />
        <Figure name="Evicted" value={count(server.evictedKeys)} about={`${count(server.expiredKeys)} expired`} />
        <Figure name="Hit ratio" value={percent(server.hitRatio)} about="of all reads of the server" />
      </dl>
    </Panel>
  );
}
