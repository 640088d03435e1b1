import { json } from "@hotset/core";
import {
  fromClient,
  redis,
  single,
  type RedisBackend,
  type RedisBackendBuilder,
  type RedisBackendSettings,
} from "@hotset/redis";
import {
  startAclRedis,
  startOwnRedis,
  startProxy,
  startTlsRedis,
  type FaultProxy,
  type OwnRedis,
} from "@hotset/test-servers";
import { createClient } from "@redis/client";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { RecordingListener } from "./recording-listener.ts";
import { stored } from "./stored.ts";

const MAX_STALENESS_MS = 400;
/** A heartbeat is due, its reply is waited for, and the machine may be busy. */
const LOST_WITHIN_MS = MAX_STALENESS_MS / 4 + 1_000 + 5_000;

type Patience = "1s" | "10s";

interface Scene {
  readonly server: OwnRedis;
  readonly proxy: FaultProxy;
  /** A new backend each time, through the proxy. Its patience decides when silence is a loss. */
  open(patience?: Patience): Promise<RedisBackend>;
  close(): Promise<void>;
}

const RIGHTS =
  "+ping +pttl +hmget +hget +hlen +mget +script|load +evalsha +eval +hset +hdel +hstrlen +rename +hincrby +del +pexpire +persist +set +get +getex +time +client|tracking +client|trackinginfo +client|id +client|kill +info +role +subscribe +unsubscribe +publish";

const settled = <Builder extends RedisBackendSettings>(
  builder: Builder,
  mode: "tracking" | "pubsub",
  patience: Patience,
): RedisBackend =>
  builder.valueFormat(json()).coherence(mode).maxStaleness(MAX_STALENESS_MS).responseTimeout(patience).build();
const quick = <Builder extends RedisBackendBuilder>(builder: Builder, patience: Patience): Builder =>
  builder.backoff({ base: 10, max: 50 }).connectTimeout(patience);

const WAYS: Readonly<Record<string, (mode: "tracking" | "pubsub") => Promise<Scene>>> = {
  "one server": async (mode) => {
    const server = await startOwnRedis();
    const proxy = await startProxy(server.port);
    return scene(server, proxy, (patience) =>
      Promise.resolve(settled(quick(redis(proxy.url), patience), mode, patience)),
    );
  },
  TLS: async (mode) => {
    const server = await startTlsRedis();
    const proxy = await startProxy(server.port);
    const at = single(`rediss://localhost:${proxy.port}`, { tls: { ca: server.certificates.ca } });
    return scene(server, proxy, (patience) => Promise.resolve(settled(quick(redis(at), patience), mode, patience)));
  },
  "a user with the rights of the guide": async (mode) => {
    const server = await startAclRedis({ appRules: `~hotset:* ~hotset~* &hotset~changes ${RIGHTS}` });
    const proxy = await startProxy(server.port);
    return scene(server, proxy, (patience) =>
      Promise.resolve(settled(quick(redis(`redis://app:apppass@127.0.0.1:${proxy.port}`), patience), mode, patience)),
    );
  },
  "a client of the user": async (mode) => {
    const server = await startOwnRedis();
    const proxy = await startProxy(server.port);
    const clients: { destroy(): void }[] = [];
    return scene(
      server,
      proxy,
      async (patience) => {
        const client = createClient({ url: proxy.url, socket: { reconnectStrategy: () => 20 } });
        client.on("error", () => undefined);
        clients.push(client);
        await client.connect();
        return settled(redis(fromClient(client)), mode, patience);
      },
      () => clients.forEach((client) => client.destroy()),
    );
  },
};

function scene(
  server: OwnRedis,
  proxy: FaultProxy,
  open: (patience: Patience) => Promise<RedisBackend>,
  end?: () => void,
): Scene {
  const backends: RedisBackend[] = [];
  return {
    server,
    proxy,
    open: async (patience = "1s") => {
      const backend = await open(patience);
      backends.push(backend);
      return backend;
    },
    close: async () => {
      server.resume();
      await Promise.all(backends.map((backend) => backend.close()));
      end?.();
      await proxy.close();
      await server.stop();
    },
  };
}

for (const [name, start] of Object.entries(WAYS)) {
  for (const mode of ["tracking", "pubsub"] as const) {
    describe(`${name}, coherence by ${mode}`, () => {
      let on: Scene;
      let backend: RedisBackend;
      let listener: RecordingListener;
      beforeEach(async () => {
        on = await start(mode);
        backend = await on.open();
        listener = new RecordingListener();
        await backend.coherence!.attach(listener);
      });
      afterEach(() => on.close());

      const receives = async (key: string): Promise<void> => {
        const other = await on.open("10s");
        // A change is pushed to a connection that has read the key.
        await backend.read(key);
        await other.write(key, stored());
        await expect.poll(() => listener.received).toContain(`changed ${key}`);
      };
      /**
       * Waits for the loss; resolves with the number of signs of life after it, within a time in which four are due.
       */
      const signsAfterLoss = async (): Promise<number> => {
        await expect.poll(() => listener.losses.length, { timeout: LOST_WITHIN_MS, interval: 10 }).toBe(1);
        const { length } = listener.signs;
        await new Promise((resolve) => setTimeout(resolve, MAX_STALENESS_MS));
        return listener.signs.length - length;
      };
      const attachesAgain = async (): Promise<void> => {
        listener.signs.splice(0);
        await backend.coherence!.attach(listener);
        // A client of the user's connects again by itself, later.
        await expect.poll(() => backend.read("shop::again").then(() => "answered", String)).toBe("answered");
        await receives("shop::again");
        expect(listener.losses).toHaveLength(1);
        expect(listener.signs.length).toBeGreaterThan(0);
      };

      it("C81: reports changes by others, and gives signs of life by itself", async () => {
        const startedAt = performance.now();
        await receives("shop::1");
        await expect.poll(() => listener.signs.length).toBeGreaterThanOrEqual(3);
        const signs = [...listener.signs];
        expect(signs.toSorted((one, other) => one - other)).toEqual(signs);
        expect(signs.at(-1)!).toBeGreaterThan(startedAt);
        expect(listener.losses).toEqual([]);
        expect(backend.coherenceMode).toBe(mode);
      });

      it("C86: reports a cut connection as lost at once", async () => {
        on.proxy.cut();
        expect(await signsAfterLoss()).toBe(0);
        await attachesAgain();
        expect(listener.received).not.toContain("replaced");
      });

      it("C86: reports a connection that the server closes as lost", async () => {
        await on.server.command("CLIENT", "KILL", "TYPE", mode === "tracking" ? "normal" : "pubsub", "SKIPME", "yes");
        expect(await signsAfterLoss()).toBe(0);
        await attachesAgain();
      });

      // These wait for heartbeats, which are the same for a channel over every kind of connection.
      const isSlow = name !== "one server" && mode === "pubsub";
      const directions = name === "one server" ? (["both", "toServer", "toClient"] as const) : (["both"] as const);
      it.each(isSlow ? [] : directions)(
        "C86: reports a connection that swallows packets as lost when a heartbeat is not answered: %s",
        async (direction) => {
          on.proxy.swallow(direction);
          expect(await signsAfterLoss()).toBe(0);
          await on.proxy.pass();
          // An attempt to connect that began meanwhile, which jitter decides, would stay silent for connectTimeout.
          on.proxy.cut();
          await attachesAgain();
        },
      );

      it.each(isSlow ? [] : ["SIGSTOP"])("C86: gives no signs of life while the server is frozen: %s", async () => {
        on.server.pause();
        expect(await signsAfterLoss()).toBe(0);
        on.server.resume();
        await attachesAgain();
      });

      it("C86: reports a replacement after a restart of the server", async () => {
        await on.server.kill();
        expect(await signsAfterLoss()).toBe(0);
        const attached = backend.coherence!.attach(listener);
        await on.server.start();
        await attached;
        // The replacement is reported before queued commands are sent.
        expect(listener.received).toContain("replaced");
        // A client of the user's may lose its first connection to a server that is starting, and makes another.
        await expect.poll(() => backend.read("shop::again").then(() => "answered", String)).toBe("answered");
        await receives("shop::again");
      });
    });
  }
}
