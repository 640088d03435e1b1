import type { RedisView } from "../commands/view.ts";
import { consumer, streams, type EntryId } from "./streams.ts";

type Same<A, B> = (<T>() => T extends A ? 1 : 2) extends <T>() => T extends B ? 1 : 2 ? true : false;
declare function same<A, B>(yes: Same<A, B>): void;
declare const redis: RedisView;

interface Payment {
  readonly type: string;
  readonly amount?: string;
}

export async function types(): Promise<void> {
  const payments = streams(redis).stream<Payment>("payment_events");
  const id = await payments.append({ type: "created", amount: 10n });
  same<typeof id, EntryId>(true);
  const maybe = await payments.append({ type: "created" }, { ifExists: true });
  same<typeof maybe, EntryId | undefined>(true);
  const [entry] = await payments.read();
  same<(typeof entry & object)["fields"], Payment>(true);
  const [letter] = await payments.dead.range();
  if (letter !== undefined) await payments.append(letter.pairs);
  await payments.append(new Map([["type", 1]] as const));
  // @ts-expect-error a field that the stream does not have
  await payments.append({ type: "created", amuont: 1 });
  // @ts-expect-error absent values cannot be written
  await payments.append({ type: null });
  // @ts-expect-error an id has two parts
  await payments.append({ type: "created" }, { id: "7" });
  // @ts-expect-error not a place in a stream
  await payments.group("g").ensure("*");
  // @ts-expect-error not a place in a stream
  await payments.group("g").setId(">");
  // @ts-expect-error the name is text
  await payments.group("g").ack("latest");
  // @ts-expect-error a group begins at 0 or $
  consumer(payments, "g", { onLostGroup: "1-1" }, () => undefined);
  consumer(payments, "g", {}, ({ fields, pairs }, { signal, deliveries }) => {
    same<typeof fields, Payment>(true);
    same<(typeof pairs)[number], readonly [field: "type" | "amount", value: string]>(true);
    same<typeof signal, AbortSignal>(true);
    same<typeof deliveries, number>(true);
  });

  const bytes = streams(redis).stream("bytes", { values: "bytes" });
  const [binary] = await bytes.range();
  same<(typeof binary & object)["fields"], Record<string, Buffer>>(true);
  // @ts-expect-error values of this stream are text
  streams(redis).stream<{ readonly n: number }>("numbers");
}
