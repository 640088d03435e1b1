import type { JSX } from "preact";
import type { KeyGroup, RedisPage } from "../../data/pages.ts";
import type { PageProps } from "../app.tsx";
import { bytes, count, percent, plural, rate } from "../format.ts";
import { Empty, Figure, Panel, Quiet, State, Table } from "../parts/basics.tsx";

type Server = NonNullable<RedisPage["server"]>["servers"][number];

export function RedisServer({ live }: PageProps): JSX.Element {
  const { redis } = live;
  if (redis === undefined) return <Empty title="Waiting for the first update" />;
  const { server, groups, keys, isComplete, silence } = redis;
  const isOld = silence !== null;
  return (
    <>
      <Quiet of="Redis" silence={silence} />
      {server !== undefined && <Figures server={server} isOld={isOld} />}
      <Panel
        title="Memory by what it is for"
        note={`${plural(keys, "key")}${isComplete ? "" : " until now"}; sizes from a sample`}
        isOld={isOld}
      >
        {groups.length === 0 ? (
          <Empty title={isComplete ? "There are no keys" : "Looking at the keys"} />
        ) : (
          <Table
            label="Keys by what they are for"
            rows={groups.slice(0, 50)}
            id={({ kind, owner }) => `${kind} ${owner}`}
            columns={[
              { name: "What", cell: ({ kind }: KeyGroup) => kind },
              { name: "Of", isMain: true, cell: ({ owner }) => <span class="key">{owner === "" ? "–" : owner}</span> },
              { name: "Keys", isFigure: true, cell: (group) => count(group.keys) },
              { name: "Size, about", isFigure: true, cell: (group) => bytes(group.bytes) },
            ]}
          />
        )}
      </Panel>
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
              { name: "Blocked clients", isFigure: true, cell: ({ blockedClients }) => count(blockedClients) },
            ]}
          />
          <p class="fine after">
            For findings about rights, persistence and keys without an end: npx hotset doctor, with the URL of this
            server.
          </p>
        </Panel>
      )}
    </>
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
        <Figure name="Commands per second" value={rate(server.commandsPerSecond)} />
        <Figure name="Clients" value={count(server.connectedClients)} />
        <Figure name="Evicted" value={count(server.evictedKeys)} about={`${count(server.expiredKeys)} expired`} />
        <Figure name="Hit ratio" value={percent(server.hitRatio)} about="of all reads of the server" />
      </dl>
    </Panel>
  );
}
