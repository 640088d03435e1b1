/**
 * Payments, as events of a stream: a shop appends them, workers of one group handle each at least once. One payment
 * cannot be read, so it becomes a dead letter; a worker that ends in between loses nothing.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node payments-stream.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { consumer, streams, type Consumer } from "@hotset/redis-toolkit/streams";

interface PaymentEvent {
  readonly type: "payment.created" | "payment.settled";
  readonly payment: string;
  readonly amount: string;
}

const redis = createRedis();
const view = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
const payments = streams(view).stream<PaymentEvent>("payment_events", { maxLen: 100_000 });

// An entry may be delivered twice, so what a handler does must be the same the second time: a payment is booked once.
const book = async ({ payment, amount }: PaymentEvent): Promise<void> => {
  if (!/^\d+$/.test(amount)) throw new Error("the amount is not a number");
  await view.commands.hSetNX("booked", payment, amount);
};

const failures: unknown[] = [];
const options = { count: 10, concurrency: 4, minIdle: "200ms", maxDeliveries: 2 } as const;
const work = (): Consumer<PaymentEvent> =>
  consumer(
    payments,
    "processors",
    { ...options, onError: (error) => failures.push(error) },
    ({ fields }) => fields.type === "payment.created" && book(fields),
  );

const first = work();
await payments.append({ type: "payment.created", payment: "p-1", amount: 1_200 });
await payments.append({ type: "payment.created", payment: "p-2", amount: "a lot" });
await first.stop();

const second = work();
await payments.append({ type: "payment.created", payment: "p-3", amount: 80 });
while ((await payments.dead.len()) === 0 || (await view.commands.hLen("booked")) < 2)
  await new Promise((resolve) => setTimeout(resolve, 20));

const booked = await view.commands.hgetAll("booked");
console.log(
  [...booked]
    .toSorted()
    .map(([payment, amount]) => `${payment}: ${amount}`)
    .join(", "),
);
for (const { fields, error, deliveries } of await payments.dead.range())
  console.log(`${fields.payment}: ${error}, tried ${deliveries} times`);
await second.stop();
console.log(`${failures.length} failures, ${(await second.status()).pending} pending`);
await view.purge();
await redis.disconnect();
