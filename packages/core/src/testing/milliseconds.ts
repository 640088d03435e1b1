import { parseDuration, type Duration } from "../index.ts";

/** @throws {InvalidArgumentError} for what is no duration. */
export const milliseconds = (duration: Duration): number =>
  typeof duration === "number" && !Number.isNaN(duration) ? duration : parseDuration(String(duration));
