// A worker of the hunt for sessions: calls them as it is asked to. The oracle is in the process that asks.
import { createRedis } from "@hotset/redis-toolkit";
import { sessions, type Sessions } from "@hotset/redis-toolkit/sessions";
import { answerCalls } from "@hotset/test-servers";

export type Counters = Readonly<Record<string, number>>;

export interface Found {
  readonly id: string;
  readonly data: Counters;
}

let auth: Sessions<Counters>;

const found = (session: Awaited<ReturnType<typeof auth.read>>): Found | undefined =>
  session && { id: session.id, data: session.data as Counters };

const handlers = {
  open: (cluster: readonly string[]): void => {
    const redis = createRedis({ env: false, cluster, commandTimeout: "1s", backoff: { base: 20, max: 200 } });
    auth = sessions(redis, { secret: "of the hunt for sessions" });
  },
  create: async (userId: string) => found(await auth.create({ userId })),
  read: async (id: string) => found(await auth.read(id)),
  touch: async (id: string) => found(await auth.touch(id)),
  update: async (id: string, changes: Counters) => found(await auth.update(id, changes)),
  regenerate: async (id: string) => found(await auth.regenerate(id)),
  destroy: (id: string) => auth.destroy(id),
  destroyAll: (userId: string) => auth.destroyAll(userId),
};

export type SessionWorker = typeof handlers;
answerCalls(handlers);
