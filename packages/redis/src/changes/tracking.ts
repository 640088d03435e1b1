import { isRefusal, isReply, isTemporary } from "../primitives/faults.ts";
import type { ListenMode } from "./server-feed.ts";
import type { Send } from "../connection/command-queue.ts";

/**
 * Hears of changes from the server, on the very connection that calls use. Redis pushes what changed behind the replies
 * of one turn of its loop, and before it sends any of them to anybody: a write that was acknowledged to anyone has been
 * pushed here before whatever is answered here later. So each answer is a barrier.
 *
 * Topics are prefixes of keys. The pushes of one turn come as one; they are handed on in the order of the wire, before
 * the continuation of any reply of the same chunk.
 *
 * @see https://redis.io/docs/latest/develop/reference/client-side-caching/#broadcasting-mode
 */
export function tracking(): ListenMode {
  let isAsked = true;
  return {
    listen(client, hub) {
      client._getQueue().addPushHandler((push) => {
        if (String(push[0]) !== "invalidate") return false;
        const keys = push[1] as readonly Buffer[] | null;
        if (keys === null) hub.everythingChanged();
        else hub.changed(keys.map(String));
        return true;
      });
    },

    async cover(_client, send, heard, wanted) {
      const missing = outermost(wanted.filter((prefix) => !heard.some((other) => prefix.startsWith(other))));
      if (missing.length === 0) return { heard, hasGap: false };
      const kept = heard.filter((prefix) => !missing.some((other) => prefix.startsWith(other)));
      const hasGap = kept.length !== heard.length;
      if (hasGap) {
        // Redis takes no prefix beside one that covers it; and what it has not pushed by then it forgets.
        const off = send(OFF);
        off.catch(ignore);
        await send(on([...kept, ...missing]));
      } else {
        await send(on(missing));
      }
      return { heard: [...kept, ...missing], hasGap };
    },

    async prove(send) {
      if (isAsked) {
        try {
          return isTracking(await send(["CLIENT", "TRACKINGINFO"]));
        } catch (error) {
          if (!isRefusal(error)) throw error;
          // Not every user may ask, and Redis before 6.2 does not know the question.
          isAsked = false;
        }
      }
      await send(["PING"]);
      return true;
    },

    async end(_client, send) {
      await send(OFF);
    },
  };
}

/** Whether the user may track, without doing so. */
export async function mayTrack(send: Send): Promise<boolean> {
  try {
    await send(OFF);
    return true;
  } catch (error) {
    if (!isReply(error)) throw error;
    return isTemporary(error);
  }
}

const on = (prefixes: readonly string[]): string[] => [
  "CLIENT",
  "TRACKING",
  "ON",
  "BCAST",
  "NOLOOP",
  ...prefixes.flatMap((prefix) => ["PREFIX", prefix]),
];
const OFF: readonly string[] = ["CLIENT", "TRACKING", "OFF"];

/** Without those that lie below another. */
const outermost = (prefixes: readonly string[]): readonly string[] =>
  prefixes.filter((prefix) => !prefixes.some((other) => other !== prefix && prefix.startsWith(other)));

/** The reply to CLIENT TRACKINGINFO: a map, and a list after a RESET. */
function isTracking(reply: unknown): boolean {
  const { flags } = reply as { readonly flags?: Iterable<unknown> };
  return flags !== undefined && Array.from(flags, String).includes("bcast");
}

const ignore = (): void => undefined;
