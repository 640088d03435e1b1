/** Run by waits-hold.integration.test.ts in a separate process: a subscriber whose server is lost, and comes back. */
import { once } from "node:events";
import { single } from "@hotset/redis";
import { openConnection } from "@hotset/redis-toolkit/connection";

const [, , url = ""] = process.argv;
const report = (text: string): void => void process.stdout.write(`${text} `);

const connection = openConnection(single(url));
const subscriber = await connection.open({ role: "subscriber" });
await subscriber.subscribe("channel", "news", () => undefined);
subscriber.on("lost", () => report("lost"));
const gap = new AbortController();
subscriber.on("gap", () => gap.abort());
report("subscribed");
await once(gap.signal, "abort");
report("gap");
await connection.close();
report("closed");
