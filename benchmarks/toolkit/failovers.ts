import { setTimeout as sleep } from "node:timers/promises";
import { forkScript, startOwnRedis, startSentinel, type OwnRedis } from "@hotset/test-servers";
import { shown } from "../peers/shown.ts";
import { CLIENTS, GUARDS, type Place } from "./clients.ts";
import type { Table } from "./table.ts";
import type { ClientWorker } from "./worker.ts";

const WORKER = new URL("worker.ts", import.meta.url);
const FAULT_AT_MS = 1_000;
const FOR_MS = 8_000;
const PATIENCE_MS = 8_000;
const WHOLE = { forMs: FOR_MS, patienceMs: PATIENCE_MS };
const SHORT = { forMs: 3_500, patienceMs: 500 };

interface Lost {
  readonly name: string;
  readonly what: string;
  act(server: OwnRedis): Promise<unknown>;
}

const LOSSES: readonly Lost[] = [
  {
    name: "kill -9, started after 2 s",
    what: "with `appendfsync always`: what was acknowledged is on disk",
    act: async (server) => {
      await server.kill();
      await sleep(2_000);
      await server.start();
    },
  },
  {
    name: "SIGSTOP for 2 s",
    what: "the server stands still and goes on",
    act: async (server) => {
      server.pause();
      await sleep(2_000);
      server.resume();
    },
  },
  {
    name: "CLIENT PAUSE for 2 s",
    what: "the server lives, and answers nothing",
    act: (server) => server.command("CLIENT", "PAUSE", "2000", "ALL"),
  },
  { name: "restart", what: "stopped and started at once", act: (server) => server.restart() },
];
const MEASURED = ["hotset toolkit", "node-redis", "ioredis", ...Object.keys(GUARDS)] as const;

/** Each client with a Redis of its own, all at the same time: they wait more than they work. */
export async function failovers(isShort: boolean): Promise<readonly Table[]> {
  const tables: Table[] = [];
  for (const loss of isShort ? LOSSES.slice(0, 1) : LOSSES) {
    const rows = await Promise.all(
      MEASURED.map(async (kind) => {
        await using server = await startOwnRedis({ config: ["appendonly yes", "appendfsync always"] });
        // Awaited here, since the server stops at the end of this block.
        return await sufferedRow(
          kind,
          { url: server.url },
          () => loss.act(server),
          () => server,
          isShort ? SHORT : WHOLE,
        );
      }),
    );
    tables.push(tableOf(loss.name, loss.what, rows));
  }
  if (!isShort) tables.push(await promoted());
  return tables;
}

/** The primary is killed, and sentinels make a replica the primary. */
async function promoted(): Promise<Table> {
  const rows: (readonly string[])[] = [];
  for (const kind of Object.keys(CLIENTS).filter((name) => !name.includes(","))) {
    await using sentinel = await startSentinel();
    const primary = await sentinel.primary();
    const place: Place = {
      url: primary.url,
      name: sentinel.name,
      sentinels: sentinel.sentinels.map(({ host, port }) => ({ host, port })),
    };
    let promotedTo = primary;
    const act = async (): Promise<void> => {
      await primary.kill();
      promotedTo = await sentinel.waitForPrimary(primary);
    };
    rows.push(await sufferedRow(kind, place, act, () => promotedTo, WHOLE));
  }
  return tableOf(
    "failover by sentinels",
    "the primary is killed, a replica is promoted after about 1 s of silence; writes that had not reached it are " +
      "lost by Redis",
    rows,
  );
}

async function sufferedRow(
  kind: string,
  place: Place,
  act: () => Promise<unknown>,
  survivor: () => OwnRedis,
  { forMs, patienceMs }: typeof WHOLE,
): Promise<readonly string[]> {
  await using worker = forkScript<ClientWorker>(WORKER, { execArgv: ["--no-warnings"] });
  await worker.call("open", kind, place, 1);
  const suffering = worker.call("suffer", forMs, FAULT_AT_MS, patienceMs);
  suffering.catch(() => undefined);
  await sleep(FAULT_AT_MS);
  await act();
  const { calls, failed, firstErrorMs, longestMs, gapMs, acknowledged, neverAnswered } = await suffering;
  const ms = (value: number | undefined, otherwise: string): string =>
    value === undefined ? otherwise : `${shown(value)} ms`;
  const cells = [kind, shown(calls), shown(failed), shown(neverAnswered)];
  const times = [ms(firstErrorMs, "none"), ms(longestMs, ""), ms(gapMs, "")];
  if (kind in GUARDS) return [...cells, ...times, "", ""];
  const stored = ((await survivor().command("LRANGE", "figures", "0", "-1")) as readonly string[]) ?? [];
  const distinct = new Set(stored);
  const lost = acknowledged.filter((value) => !distinct.has(value)).length;
  return [...cells, ...times, shown(lost), shown(stored.length - distinct.size)];
}

function tableOf(name: string, what: string, rows: readonly (readonly string[])[]): Table {
  return {
    name: `toolkit: ${name}`,
    what: `${what}; 100 writes a second`,
    columns: [
      "",
      "calls",
      "failed",
      "never answered",
      "first error",
      "longest wait",
      "longest without success",
      "lost",
      "twice",
    ],
    rows,
  };
}
