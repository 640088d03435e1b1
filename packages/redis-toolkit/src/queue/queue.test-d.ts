import type { RedisView } from "../commands/view.ts";
import { queue, type Finished, type QueueOptions } from "./queue.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;
declare const redis: RedisView;

export async function types(): Promise<void> {
  const typed = queue<{ to: string }, number>(redis, "emails");
  const end = await typed.finished("1");
  same<typeof end, Finished<number>>(true);
  const job = await typed.get("1");
  same<(typeof job & object)["result"], number | undefined>(true);
  typed.worker(({ data }) => data.to.length);
  // @ts-expect-error a result of another type
  typed.worker(({ data }) => data.to);
  const plain = queue<{ to: string }>(redis, "emails");
  plain.worker(({ data }) => data.to);
  const any = await plain.finished("1");
  same<typeof any, Finished>(true);
  // Options that several queues share.
  const shared: QueueOptions = { attempts: 5, keep: { completed: "1d" } };
  queue<{ to: string }>(redis, "emails", shared);
  await queue(redis, "emails", shared).add({ to: "ada" });
}
