import { isRefusal, isReply, isTemporary } from "../primitives/faults.ts";
import type { ListenMode } from "./server-feed.ts";
import type { Send } from "../connection/command-queue.ts";

/**
 * Receives changes from the server, on the same connection that commands use. Redis pushes the changes of one turn of
 * its loop behind the replies of that turn, and before it sends any of them to any client: a write that was
 * acknowledged has been pushed here before any later answer here. So each answer is a barrier.
 *
 * Topics are prefixes of keys. The pushes of one turn come as one; they are handed on in the order of the wire, before
 * the continuation of any reply of the same chunk.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/#broadcasting-mode
 */
export function trackingMode(): ListenMode {
  let mayAskTrackingInfo = true;
  return {
    handlePushes(client, hub) {
      client._getQueue().addPushHandler((push) => {
        if (String(push[0]) !== "invalidate") return false;
        const keys = push[1] as readonly Buffer[] | null;
        if (keys === null) hub.everythingChanged();
        else hub.changed(keys.map(String));
        return true;
      });
    },

    async subscribe(_client, send, subscribed, wanted) {
      const missing = outermost(wanted.filter((prefix) => !subscribed.some((other) => prefix.startsWith(other))));
      if (missing.length === 0) return { topics: subscribed, hasGap: false };
      const kept = subscribed.filter((prefix) => !missing.some((other) => prefix.startsWith(other)));
      const hasGap = kept.length !== subscribed.length;
      if (hasGap) {
        // Redis takes no prefix beside one that covers it; and it forgets the changes that it has not pushed by then.
        const off = send(TRACKING_OFF);
        off.catch(ignore);
        await send(trackingOn([...kept, ...missing]));
      } else {
        await send(trackingOn(missing));
      }
      return { topics: [...kept, ...missing], hasGap };
    },

    async heartbeat(send) {
      if (mayAskTrackingInfo) {
        try {
          return isTracking(await send(["CLIENT", "TRACKINGINFO"]));
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

/** Whether the user may track, without doing so. */
export async function mayTrack(send: Send): Promise<boolean> {
  try {
    await send(TRACKING_OFF);
    return true;
  } catch (error) {
    if (!isReply(error)) throw error;
    return isTemporary(error);
  }
}

const trackingOn = (prefixes: readonly string[]): string[] => [
  "CLIENT",
  "TRACKING",
  "ON",
  "BCAST",
  "NOLOOP",
  ...prefixes.flatMap((prefix) => ["PREFIX", prefix]),
];
const TRACKING_OFF: readonly string[] = ["CLIENT", "TRACKING", "OFF"];

/** Without the prefixes that lie below another. */
const outermost = (prefixes: readonly string[]): readonly string[] =>
  prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));

/** The reply to CLIENT TRACKINGINFO: a map, and a list after a RESET. */
function isTracking(reply: unknown): boolean {
  const { flags } = reply as { readonly flags?: Iterable<unknown> };
  return flags !== undefined && Array.from(flags, String).includes("bcast");
}

const ignore = (): void => undefined;
