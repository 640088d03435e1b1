/**
 * Live updates of a booking: its state is in Redis, changes are messages. A page subscribes first and reads the state
 * then, so it misses nothing; after a lost connection it reads the state again. Pages do not take messages from each
 * other, and one that is closed leaves nothing behind.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node booking-updates.ts
 */
import { createRedis, type RedisView } from "@hotset/redis-toolkit";
import { pubsub } from "@hotset/redis-toolkit/pubsub";

interface BookingUpdate {
  readonly type: "booking_update";
  readonly bookingId: string;
  readonly status: string;
  /** Grows with each change of this booking. */
  readonly version: number;
  readonly timestamp: string;
}

const channelOf = (redis: RedisView, id: string) => pubsub(redis).channel<BookingUpdate>(`bookings:${id}`);

const keyOf = (id: string): string => `booking:${id}`;

/** One step stores status and version, so of two changes at once the later one stays. Then pages are notified. */
async function setStatus(redis: RedisView, bookingId: string, status: string): Promise<void> {
  const timestamp = new Date().toISOString();
  const outcome = await redis.transaction({}, ({ queue }) => [
    queue.hincrMany(keyOf(bookingId), { version: 1 }),
    queue.hset(keyOf(bookingId), { status, timestamp }, { ttl: "30d" }),
  ]);
  if (outcome.status !== "committed") throw new Error(`booking ${bookingId} was not changed`);
  const [counted, stored] = outcome.results;
  if (!counted.ok) throw counted.error;
  if (!stored.ok) throw stored.error;
  const version = Number(counted.value.get("version"));
  await channelOf(redis, bookingId).publish({ type: "booking_update", bookingId, status, version, timestamp });
}

async function read(redis: RedisView, bookingId: string): Promise<BookingUpdate | undefined> {
  const fields = await redis.commands.hgetAll(keyOf(bookingId));
  const [status, timestamp] = [fields.get("status"), fields.get("timestamp")];
  if (status === undefined || timestamp === undefined) return undefined;
  return { type: "booking_update", bookingId, status, version: Number(fields.get("version")), timestamp };
}

/** The state, then each change, in order and once, until the caller leaves the loop or `signal` is aborted. */
async function* watch(redis: RedisView, bookingId: string, signal?: AbortSignal): AsyncGenerator<BookingUpdate> {
  const subscription = await channelOf(redis, bookingId).subscribe(signal === undefined ? {} : { signal });
  try {
    let shown = 0;
    const state = await read(redis, bookingId);
    if (state !== undefined) {
      shown = state.version;
      yield state;
    }
    for await (const event of subscription) {
      const update = event.kind === "gap" ? await read(redis, bookingId) : event.message;
      if (update === undefined || update.version <= shown) continue;
      shown = update.version;
      yield update;
    }
  } finally {
    await subscription.close();
  }
}

await using redis = createRedis();
const bookings = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await bookings.purge(); // what an earlier run may have left
await setStatus(bookings, "42", "requested");

/** A page that shows a booking until it is confirmed. */
async function page(isOpen: () => void, signal?: AbortSignal): Promise<string> {
  const shown: string[] = [];
  for await (const { status } of watch(bookings, "42", signal)) {
    shown.push(status);
    if (shown.length === 1) isOpen();
    if (status === "confirmed") break;
  }
  return shown.join(" > ");
}

const closing = new AbortController();
const { promise: allAreOpen, resolve } = Promise.withResolvers<void>();
let open = 0;
const count = (): void => void ((open += 1) === 3 && resolve());
const pages = [page(count), page(count), page(count, closing.signal)];
await allAreOpen;
closing.abort(); // the third visitor leaves
console.log("the page that was left:", await pages[2]);

await setStatus(bookings, "42", "paid");
await setStatus(bookings, "43", "requested"); // another booking: another channel
await setStatus(bookings, "42", "confirmed");
for (const shown of await Promise.all(pages.slice(0, 2))) console.log("a page:", shown);
console.log(`${await channelOf(bookings, "42").publish({} as BookingUpdate)} still listen`);
await bookings.purge();
