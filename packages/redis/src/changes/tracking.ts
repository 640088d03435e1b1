import { isRefusal } from "../primitives/faults.ts";
import { ignore } from "../primitives/ignore.ts";
import type { ListenMode } from "./server-feed.ts";

/**
 * Which changes the server pushes to this connection.
 *
 * - `keys-read`: of each key that was read over this very connection since its last push. Reads inside scripts count,
 *   and so do reads of keys that are missing. The server forgets a key when it pushes it, and when its table is full,
 *   which it pushes too.
 * - `prefixes`: of all keys below the topics. For a connection that only receives.
 */
export type Tracked = "keys-read" | "prefixes";

/**
 * Receives changes from the server. Redis sends the push of a change to each connection in the same turn as the reply
 * to the client that made it: a write that was acknowledged has been pushed here before any later answer here. So each
 * answer is a barrier. Without one, the acknowledgement may arrive first.
 *
 * Pushes are handed on in the order of the wire, before the continuation of any reply of the same chunk.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/
 */
export function trackingMode(tracked: Tracked): ListenMode {
  let mayAskTrackingInfo = true;
  return {
    handlePushes(client, hub) {
      client._getQueue().addPushHandler((push) => {
        if (!INVALIDATE.equals(push[0] as Buffer)) return false;
        const keys = push[1] as readonly Buffer[] | null;
        if (keys === null) hub.everythingChanged();
        else hub.changed(keys.map(String));
        return true;
      });
    },

    subscribe: tracked === "prefixes" ? trackPrefixes : trackReads,

    async heartbeat(send) {
      if (mayAskTrackingInfo) {
        try {
          return isTracking(await send(["CLIENT", "TRACKINGINFO"]), tracked);
        } catch (error) {
          if (!isRefusal(error)) throw error;
          // Not every user may ask, and Redis before 6.2 does not know the command.
          mayAskTrackingInfo = false;
        }
      }
      await send(["PING"]);
      return true;
    },

    async unsubscribe(_client, send) {
      await send(TRACKING_OFF);
    },
  };
}

const INVALIDATE = Buffer.from("invalidate");

/** Once for a connection: the keys that are read decide, not the topics. */
const trackReads: ListenMode["subscribe"] = async (_client, send, subscribed, wanted) => {
  if (subscribed.length === 0) await send(TRACKING_ON);
  return { topics: [...new Set([...subscribed, ...wanted])], hasGap: false };
};

const trackPrefixes: ListenMode["subscribe"] = async (_client, send, subscribed, wanted) => {
  const missing = outermost(wanted.filter((prefix) => !subscribed.some((other) => prefix.startsWith(other))));
  if (missing.length === 0) return { topics: subscribed, hasGap: false };
  const kept = subscribed.filter((prefix) => !missing.some((other) => prefix.startsWith(other)));
  const hasGap = kept.length !== subscribed.length;
  if (hasGap) {
    // Redis takes no prefix next to one that covers it; and it forgets the changes that it has not pushed by then.
    const off = send(TRACKING_OFF);
    off.catch(ignore);
    await send(trackingPrefixes([...kept, ...missing]));
  } else {
    await send(trackingPrefixes(missing));
  }
  return { topics: [...kept, ...missing], hasGap };
};

const trackingPrefixes = (prefixes: readonly string[]): string[] => [
  ...TRACKING_ON,
  "BCAST",
  "NOLOOP",
  ...prefixes.flatMap((prefix) => ["PREFIX", prefix]),
];
/** Without NOLOOP: other caches of this process use this connection as well, and have to see its changes. */
const TRACKING_ON: readonly string[] = ["CLIENT", "TRACKING", "ON"];
const TRACKING_OFF: readonly string[] = ["CLIENT", "TRACKING", "OFF"];

/** Without the prefixes that lie below another. */
const outermost = (prefixes: readonly string[]): readonly string[] =>
  prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));

/** The reply to CLIENT TRACKINGINFO: a map, and a list after a RESET. */
function isTracking(reply: unknown, tracked: Tracked): boolean {
  const { flags } = reply as { readonly flags?: Iterable<unknown> };
  const names = flags === undefined ? [] : Array.from(flags, String);
  return names.includes("on") && names.includes("bcast") === (tracked === "prefixes");
}
