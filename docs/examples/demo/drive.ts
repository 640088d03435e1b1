import type { DemoArguments } from "./arguments.ts";
import type { DemoRedis } from "./demo-redis.ts";
import { Draft } from "./draft.ts";
import { causeIncidents } from "./incidents.ts";
import { Ledger } from "./ledger.ts";
import type { PackageCopy } from "./package-copy.ts";
import { Progress } from "./progress.ts";
import { percent, seconds, whole, type Run } from "./report.ts";
import { Service } from "./service.ts";
import { Traffic, uniformFrom } from "./traffic.ts";

const SEED = 20_250;
const CONNECTIONS = 8;

/**
 * Starts the service over `copy`, sends it requests, and causes incidents meanwhile.
 *
 * @throws the reason of `signal` when it is aborted; then the service is closed.
 */
export async function drive(
  args: Pick<DemoArguments, "seconds" | "requests">,
  {
    copy,
    redis,
    signal,
  }: { readonly copy: PackageCopy; readonly redis: DemoRedis | undefined; readonly signal: AbortSignal },
): Promise<Run> {
  const names = shuffled(
    copy.names.filter((name) => name !== copy.smallest),
    SEED,
  );
  const ledger = new Ledger();
  const startedAt = performance.now();
  const since = (): string => seconds(performance.now() - startedAt).padStart(7);
  using progress = new Progress(process.stdout, () => `${since()}  ${soFar(ledger, redis)}`);
  const say = (text: string): void => progress.say(`${since()}  ${text}`);
  await using draft = await Draft.of(copy, copy.smallest, say);

  const open = (): Promise<Service> => openService({ copy, redis }, { ledger, draft });
  let service = await open();
  try {
    const traffic = trafficTo(service.url, names, args, { ledger, draft });
    const deploy = async (): Promise<string> => {
      await endService(service, ledger);
      service = await open();
      return service.url;
    };
    say(
      `requesting ${whole(names.length + 1)} packages from ${service.url}, ${whole(Math.round(args.requests / args.seconds))} times a second over ${CONNECTIONS} connections`,
    );
    let isOver = false;
    const incidents = causeIncidents({
      traffic,
      draft,
      say,
      signal,
      ...args,
      redis: redis?.own,
      deploy,
      store: redis === undefined ? "the file" : "Redis",
    }).finally(() => (isOver = true));
    const [restarts] = await Promise.allSettled([incidents, traffic.run(() => isOver)]);
    if (restarts.status === "rejected") throw restarts.reason;
    return {
      ledger,
      leastRequests: args.requests,
      tookMs: performance.now() - startedAt,
      changes: draft.changes.length,
      slowestChangeMs: draft.slowestMs,
      store: redis === undefined ? "file" : "redis",
      restarts: redis?.own && restarts.value,
    };
  } finally {
    await endService(service, ledger);
  }
}

interface Books {
  readonly ledger: Ledger;
  readonly draft: Draft;
}

/** Requests, failures and the state of Redis until now. */
function soFar(ledger: Ledger, redis: DemoRedis | undefined): string {
  const redisState = redis?.own === undefined ? "" : `, Redis is ${redis.own.state === "running" ? "up" : "down"}`;
  const failures = ledger.failed === 0 ? "" : `, ${whole(ledger.failed)} FAILED (${ledger.failures[0]})`;
  return `${whole(ledger.requests)} requests, ${percent(ledger.hitRatio)} hits, ${ledger.loadsSoFar} loads${redisState}${failures}`;
}

async function openService(
  { copy, redis }: { readonly copy: PackageCopy; readonly redis: DemoRedis | undefined },
  { ledger, draft }: Books,
): Promise<Service> {
  const service = await Service.start({ copy, redisUrl: redis?.url, keyPrefix: redis?.keyPrefix });
  service.cache.on("load", ({ key, durationMs }) => {
    ledger.loaded(key, durationMs);
    if (key === draft.name) draft.loaded();
  });
  return service;
}

async function endService(service: Service, ledger: Ledger): Promise<void> {
  await service.cache.drain();
  ledger.closed(service.cache.stats());
  await service.close();
}

function trafficTo(
  url: string,
  names: readonly string[],
  args: Pick<DemoArguments, "seconds" | "requests">,
  { ledger, draft }: Books,
): Traffic {
  return new Traffic(url, {
    names,
    ledger,
    seed: SEED,
    connections: CONNECTIONS,
    perSecond: args.requests / args.seconds,
    onAnswer: (name, { version }) => {
      if (name === draft.name) draft.seen(version);
    },
  });
}

function shuffled(names: readonly string[], seed: number): readonly string[] {
  const uniform = uniformFrom(seed);
  const order = [...names];
  for (let last = order.length - 1; last > 0; last -= 1) {
    const other = Math.floor(uniform() * (last + 1));
    [order[last], order[other]] = [order[other]!, order[last]!];
  }
  return order;
}
