/** Services that no test can reach, each imitated by its documentation: what hotset does there, and what it says. */
import { until } from "@hotset/test-servers";
import { cluster, createCache, json, memory, redis, single } from "hotset";
import { describe, expect, it } from "vitest";
import { SERVICES, startManaged, type ManagedServer, type Service } from "./managed.ts";

/** One process: its cache, and the warnings and errors of its log. */
function start({ connect }: Service, { url, ca }: ManagedServer) {
  const said: string[] = [];
  const say = (message: string): void => void said.push(message);
  const options = ca === undefined ? undefined : { tls: { ca } };
  const at = connect === "cluster" ? cluster([url], options) : single(url, options);
  const cache = createCache({ name: "shop", logger: { error: say, warn: say, info: () => undefined } })
    .tier(memory({ maxEntries: 100 }))
    .tier(redis(at).valueFormat(json()).responseTimeout("15s").build())
    .defaults({ ttl: "1h" })
    .build();
  return { cache, said, [Symbol.asyncDispose]: () => cache.close() };
}

/** How many connections receive the changes of the server. */
async function tracked({ server }: ManagedServer): Promise<number> {
  const clients = String(await server.command("CLIENT", "LIST"));
  return [...clients.matchAll(/ flags=\S*t/g)].length;
}

const works = ({ hotset }: Service): boolean => hotset === "tracking" || hotset === "confirms";

describe.concurrent("a managed service", { timeout: 60_000 }, () => {
  it.for(SERVICES.services.filter(works))("$service: what one process changes, another sees", async (profile) => {
    await using managed = await startManaged(profile);
    await using one = start(profile, managed);
    await using other = start(profile, managed);
    await one.cache.connect();
    const sees = (value: string | undefined): Promise<boolean> =>
      until(`the other cache to see ${value}`, async () => (await other.cache.get("k")) === value, 30_000);

    expect(await one.cache.getOrSet("k", () => "first", { tags: ["t"] })).toBe("first");
    expect(await other.cache.getOrSet("k", () => "not loaded", { tags: ["t"] })).toBe("first");
    expect(await one.cache.set("k", "second", { tags: ["t"] })).toEqual({ status: "stored" });
    await sees("second");
    await one.cache.invalidateTags("t");
    await sees(undefined);
    await one.cache.set("k", "third");
    await sees("third");
    expect(await one.cache.delete("k")).toEqual({ status: "deleted" });
    await sees(undefined);
    await one.cache.set("k", "fourth");
    await sees("fourth");
    await one.cache.clear();
    await sees(undefined);

    expect(await tracked(managed)).toBe(profile.hotset === "tracking" ? 2 : 0);
    const refusals =
      profile.hotset === "tracking"
        ? []
        : [
            expect.stringMatching(
              /^hotset: cache "shop": redis: \S+(?: server)? refuses tracking: ERR unknown subcommand 'tracking'\. Try CLIENT HELP\.; grant the user \+client\|tracking, over RESP3, or set coherence\("pubsub"\) in all processes, or \("none"\)$/,
            ),
            'hotset: cache "shop": redis is detached',
          ];
    expect(other.said).toEqual(refusals);

    await one.cache.set("k", "fifth");
    managed.cut();
    // A server that hides which one it is may be another one: what was changed lately is invalidated again.
    await sees(profile.hidden === undefined ? "fifth" : undefined);
  });

  it.for(SERVICES.services.filter((profile) => works(profile) && profile.idleMs !== undefined))(
    "$service: connections that are ended while idle lose nothing",
    async (profile) => {
      await using managed = await startManaged(profile);
      await using one = start(profile, managed);
      await one.cache.connect();
      expect(await one.cache.set("k", "first")).toEqual({ status: "stored" });
      // Minutes pass in an instant here, but not before the version that the set issued is read, in the background.
      await until("its version to be known", async () => one.cache.peek("k") === "first", 10_000);
      expect(await managed.passTime(profile.idleMs! - 1)).toBe(0);
      expect(await managed.passTime(1)).toBe(1);
      expect(await one.cache.getOrSet("k", () => "not loaded")).toBe("first");
    },
  );

  it.for(SERVICES.services.filter(({ failover }) => failover === "name"))(
    "$service: a copy from the former primary is not served after a failover",
    async (profile) => {
      await using managed = await startManaged(profile);
      await using one = start(profile, managed);
      expect(await one.cache.getOrSet("k", () => "first")).toBe("first");
      await managed.failOver();
      await until("its loss", async () => (await one.cache.getOrSet("k", () => "second")) === "second", 30_000);
      expect(await one.cache.get("k")).toBe("second");
    },
  );

  it("Aiven for Caching: without scripts each call loads, and the log says why", async () => {
    const profile = SERVICES.services.find(({ hotset }) => hotset === "caches nothing")!;
    await using managed = await startManaged(profile);
    await using one = start(profile, managed);
    expect(await one.cache.getOrSet("k", () => "first")).toBe("first");
    expect(await one.cache.getOrSet("k", () => "second")).toBe("second");
    expect(one.said).toContain(`hotset: cache "shop": redis: lease was refused: ERR unknown command 'evalsha'`);
  });

  it("Azure Cache for Redis: it is too old, which connect() says", async () => {
    const profile = SERVICES.services.find(({ hotset }) => hotset === "refused")!;
    await using managed = await startManaged(profile);
    await using one = start(profile, managed);
    await expect(one.cache.connect()).rejects.toMatchObject({
      message: "Redis 6.0.14 is too old: hotset needs Redis 7.0 or later, or Valkey; update the server",
      retryable: false,
    });
    expect(await one.cache.getOrSet("k", () => "first")).toBe("first");
  });
});
