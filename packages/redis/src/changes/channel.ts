import type { ListenMode } from "./server-feed.ts";

/**
 * Receives changes from the clients that make them: a script that changes a key publishes it in the same step, on a
 * channel. A write that does not publish is not received, nor is a change that the server makes on its own: expiry,
 * eviction, FLUSHALL.
 *
 * A message is sent to each subscriber in the same turn of the server as the acknowledgement of the write that it
 * announces, since both are one step of the server. A PING on this connection that was sent after the acknowledgement
 * is answered behind it. So each answer is a barrier, as in tracking, as long as the message was published on the very
 * server that is subscribed to: in a cluster each primary needs a separate subscription, because messages between
 * nodes take time, and are lost where their link breaks.
 *
 * @see https://redis.io/docs/latest/develop/interact/pubsub/#delivery-semantics
 */
export const channelMode = (): ListenMode => {
  let onMessage: (message: string) => void;
  return {
    handlePushes(_client, hub) {
      onMessage = (message) => {
        const change = parseChange(message);
        if (change !== undefined) hub.changed([change.key], change.sender);
      };
    },

    async subscribe(client, _send, subscribed, wanted) {
      const missing = wanted.filter((channel) => !subscribed.includes(channel));
      await Promise.all(missing.map((channel) => client.subscribe(channel, onMessage)));
      return { topics: [...subscribed, ...missing], hasGap: false };
    },

    async heartbeat(send) {
      await send(["PING"]);
      return true;
    },

    async unsubscribe(client, _send, subscribed) {
      await Promise.all(subscribed.map((channel) => client.unsubscribe(channel)));
    },
  };
};

/** `1 <sender> <key>`: version 1 of this message. Any client may publish: other messages are not for us. */
export function parseChange(message: string): { readonly sender: string; readonly key: string } | undefined {
  const end = message.indexOf(" ", 2);
  return message.startsWith("1 ") && end > 2
    ? { sender: message.slice(2, end), key: message.slice(end + 1) }
    : undefined;
}
