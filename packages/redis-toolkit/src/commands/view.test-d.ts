import type { Rule } from "../limits/rate-limit.ts";
import type { Consumer, Stream } from "../streams/streams.ts";
import type { RedisView } from "./view.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;

/** Users reach nothing of a view, a rule, a stream or a consumer but what its page names. */
export function members(): void {
  same<
    keyof RedisView,
    "commands" | "bytes" | "lenient" | "tenant" | "within" | "purge" | "pipeline" | "transaction" | "pool"
  >(true);
  same<keyof Rule, "kind" | "capacity" | "periodMs" | "id">(true);
  // @ts-expect-error what a stream sends is its own
  same<keyof Stream<object> & "place", "place">(true);
  same<keyof Consumer<object> & ("place" | "group"), never>(true);
}

interface User {
  readonly name: string;
  readonly age: number;
}

/** Text in replies comes as bytes, in commands of this package and of node-redis. */
export async function bytes(redis: RedisView): Promise<void> {
  same<Awaited<ReturnType<typeof redis.bytes.hget>>, Buffer | undefined>(true);
  const popped: Buffer | undefined = await redis.bytes.lPop("k");
  const count: number = await redis.bytes.rPush("k", popped ?? Buffer.of(0));
  void count;
}

/** Fields of a hash may be an interface, which has no index signature. */
export function hashes(redis: RedisView, user: User): void {
  void redis.commands.hset("k", user);
  void redis.commands.hset("k", new Map([["a", 1]]), { ttl: "1m" });
  void redis.commands.hset("k", { a: 1, b: "text", c: 1n });
  void redis.lenient.hset("k", user);
  void redis.pipeline((all) => [all.hset("k", user), all.hset("k", { a: 1 })]);
  // @ts-expect-error a date is not what Redis can keep
  void redis.commands.hset("k", { at: new Date() });
}
