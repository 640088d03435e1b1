/**
 * Sessions of a shop: a visitor logs in and gets a new id, uses two devices, ends one of them, and logs out everywhere.
 * "No such session" and "Redis is away" are different answers.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node sessions.ts
 */
import assert from "node:assert/strict";
import { createRedis } from "@hotset/redis-toolkit";
import { sessions, SessionConflictError } from "@hotset/redis-toolkit/sessions";

interface Shopping {
  readonly cart: readonly string[];
  readonly theme: "light" | "dark";
}

await using redis = createRedis();
const shop = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await shop.purge(); // what an earlier run may have left

// Redis holds hashes of ids: a dump of Redis does not give access to a session.
const auth = sessions<Shopping>(shop, { idle: "24h", absolute: "30d", secret: "keep it in your vault" });

// A visitor without an account, who then logs in: the cart stays, and the id from before is worth nothing.
const visit = await auth.create({ data: { cart: ["book"] } });
const phone = await auth.regenerate(visit.id, { userId: "123" });
assert.ok(phone !== undefined);
console.log(await auth.read(visit.id), phone.userId, phone.data);

// Each request begins with this: it reads the session, and moves its end once a minute.
const request = await auth.touch(phone.id);
assert.ok(request !== undefined);

// Two requests beside each other change different fields, and both changes stay.
await Promise.all([auth.update(phone.id, { cart: ["book", "pen"] }), auth.update(phone.id, { theme: "dark" })]);
console.log((await auth.read(phone.id))?.data);

// Where a change depends on what was read, it says so, and is refused if it comes too late.
const late = await auth.update(phone.id, { cart: [] }, { ifVersion: request.version }).catch((error: unknown) => error);
console.log(late instanceof SessionConflictError, (await auth.read(phone.id))?.data.cart);

// A page "your devices": handles name sessions, and give no access.
const laptop = await auth.create({ userId: "123" });
const devices = await auth.list("123");
console.log(`${devices.length} devices, ids shown: ${JSON.stringify(devices).includes(laptop.id)}`);
await auth.revoke(laptop.handle);
console.log(`${(await auth.list("123")).length} device`);

// The password was changed. A session that has ended stays so: a request that is late cannot bring it back.
console.log(`${await auth.destroyAll("123")} session ended`, await auth.update(phone.id, { theme: "light" }));

// No server listens on this port. The answer is an error, so show 503 and not a page for the login.
await using away = createRedis({ url: "redis://localhost:1", commandTimeout: "200ms" });
const outage = await sessions(away)
  .read(phone.id)
  .catch((error: unknown) => error);
console.log((outage as Error).name);
await shop.purge();
