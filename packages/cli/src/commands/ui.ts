import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { CACHE_OPTIONS, openCache } from "../caches.ts";
import type { Command, Session } from "../command.ts";
import { UsageError } from "../errors.ts";
import { entriesOf } from "../keys/entries.ts";

const PORT = { fallback: 7_117, max: 65_535, min: 0 };
const PATH = "/hotset";

export const ui: Command = {
  name: "ui",
  summary: "opens the inspector over caches, for browsers of this machine",
  words: "<cache>...",
  about: [
    "Shows what is in Redis, the processes that keep a record, queues, locks and limits. The memory of a service and",
    "its running loads are shown by the inspector that is mounted in that service. Ends with Ctrl-C.",
  ],
  options: {
    prefix: CACHE_OPTIONS["prefix"]!,
    "cache-version": CACHE_OPTIONS["cache-version"]!,
    hashed: CACHE_OPTIONS["hashed"]!,
    pubsub: CACHE_OPTIONS["pubsub"]!,
    port: { value: "<port>", text: `default: ${PORT.fallback}; 0 for any that is free` },
    write: { text: "allow changes by the page; without it nothing is written" },
  },
  check(given) {
    if (given.words.length === 0) throw new UsageError("the name of a cache is missing");
    given.count("port", PORT);
  },
  async run(session) {
    const { arguments: given, io, redis } = session;
    // Loaded here: no other command needs it.
    const [{ inspector }, { inspectorListener }] = await Promise.all([
      import("@hotset/inspector"),
      import("@hotset/inspector/node"),
    ]);
    const layouts = await Promise.all(given.words.map((name) => layoutOf(session, name)));
    const caches = given.words.map((name, i) => openCache(session, name, layouts[i]!));
    const inspect = inspector(caches, { toolkit: redis, write: given.flag("write"), path: PATH });
    const server = createServer(inspectorListener(inspect));
    try {
      await Promise.all(caches.map((cache) => cache.connect()));
      server.listen(given.count("port", PORT), "127.0.0.1");
      await once(server, "listening").catch((error: Error) => {
        throw new UsageError(`--port: ${error.message}`);
      });
      io.print(`http://localhost:${(server.address() as AddressInfo).port}${PATH}/\n`);
      const addresses = await session.connection.each(({ address }) => Promise.resolve(address));
      io.complain(`hotset: the inspector shows the Redis at ${addresses.join(", ")}; Ctrl-C ends it\n`);
      if (!io.signal.aborted) await once(io.signal, "abort");
    } finally {
      inspect.close();
      server.close();
      server.closeAllConnections();
      await Promise.all(caches.map((cache) => cache.close()));
    }
    return undefined;
  },
};

/** The layout of the entries that are there. */
async function layoutOf(session: Session, name: string): Promise<"full" | "string"> {
  const { entries } = await entriesOf(session, name, LOOKED_AT);
  return entries.some(({ known }) => known?.isStringEntry) ? "string" : "full";
}

const LOOKED_AT = 100;
