import type { ListenMode } from "./server-feed.ts";

/**
 * Hears of changes from those who make them: a script that changes a key publishes it in the same step, on a channel.
 * Who writes without telling is not heard, nor is what the server does by itself: expiry, eviction, FLUSHALL.
 *
 * A message is written to each subscriber's connection when it is published, which is before the write it tells of is
 * acknowledged, since both are one step of the server. A PING on this connection that was sent after the acknowledgement
 * is answered behind it. So each answer is a barrier, as in tracking, as long as the message was published on the very
 * server that is subscribed to: in a cluster each primary needs a subscription of its own, for what nodes tell each
 * other takes its time, and is lost where their link breaks.
 *
 * @see https://redis.io/docs/latest/develop/interact/pubsub/#delivery-semantics
 */
export const subscription = (): ListenMode => {
  let tell: (message: string) => void;
  return {
    listen(_client, hub) {
      tell = (message) => {
        const change = parse(message);
        if (change !== undefined) hub.changed([change.key], change.sender);
      };
    },

    async cover(client, _send, heard, wanted) {
      const missing = wanted.filter((channel) => !heard.includes(channel));
      await Promise.all(missing.map((channel) => client.subscribe(channel, tell)));
      return { heard: [...heard, ...missing], hasGap: false };
    },

    async prove(send) {
      await send(["PING"]);
      return true;
    },

    async end(client, _send, heard) {
      await Promise.all(heard.map((channel) => client.unsubscribe(channel)));
    },
  };
};

/** `1 <sender> <key>`: version 1 of this message. Anybody may publish: whatever else comes is not meant for us. */
function parse(message: string): { readonly sender: string; readonly key: string } | undefined {
  const end = message.indexOf(" ", 2);
  return message.startsWith("1 ") && end > 2
    ? { sender: message.slice(2, end), key: message.slice(end + 1) }
    : undefined;
}
