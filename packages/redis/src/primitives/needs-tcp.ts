import { ConfigurationError } from "@hotset/core";

/** For what waits inside Redis, subscribes, or changes a connection. @param what the call, as it was given */
export const needsTcp = (what: string): ConfigurationError =>
  new ConfigurationError(
    `${what} needs a connection to itself, and Redis over HTTP has none; connect over TCP, with a redis: or rediss: URL`,
  );
