import { parseDuration, type Duration } from "@hotset/core";

/** @throws {InvalidArgumentError} unless `duration` is a valid duration. */
export const milliseconds = (duration: Duration): number =>
  typeof duration === "number" && !Number.isNaN(duration) ? duration : parseDuration(String(duration));
