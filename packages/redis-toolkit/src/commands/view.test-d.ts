import type { Consumer, Stream } from "../streams/streams.ts";
import type { Rule } from "../limits/rate-limit.ts";
import type { RedisView } from "./view.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;

/** Users reach nothing of a view, a rule, a stream or a consumer but what its page names. */
export function members(): void {
  same<keyof RedisView, "commands" | "lenient" | "tenant" | "within" | "purge" | "pipeline" | "transaction" | "pool">(
    true,
  );
  same<keyof Rule, "kind" | "capacity" | "periodMs" | "id">(true);
  // @ts-expect-error what a stream sends is its own
  same<keyof Stream<object> & "place", "place">(true);
  same<keyof Consumer<object> & ("place" | "group"), never>(true);
}
