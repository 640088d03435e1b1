import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { callback, oneOf, wholeMs, wholeNumber } from "@hotset/core/internal";
import { checkName, optionsOf, readBy } from "../module/module.ts";
import type { ConsumerOptions } from "./consumer-options.ts";
import { blockMsOf } from "./limits.ts";
import type { Delivery } from "./member.ts";

const TABLE = {
  name: readBy(checkName, undefined),
  count: wholeNumber(undefined, 1, 1_000),
  maxReplyBytes: wholeNumber(262_144, 1_024, 67_108_864),
  concurrency: wholeNumber(1, 1, 1_000),
  block: readBy(blockMsOf, 2_000),
  minIdle: wholeMs(30_000, 100, 7 * 86_400_000),
  maxDeliveries: wholeNumber(5),
  onLostGroup: oneOf("0", "$"),
  maxDead: wholeNumber(0),
  stopTimeout: wholeMs(30_000, 0, 86_400_000),
  onError: callback<(error: unknown, delivery: Delivery<never>) => unknown>(),
};

export type ConsumerSettings<T> = ReturnType<typeof resolveConsumerOptions<T>>;

/** @throws {InvalidArgumentError} for an option that is unknown, or can never work. */
export function resolveConsumerOptions<T>(options: ConsumerOptions<T>) {
  const read = optionsOf("consumer", options, TABLE, "consumer: ");
  return {
    ...read,
    name: read.name ?? `${hostname()}-${process.pid}-${randomBytes(4).toString("hex")}`,
    blockMs: read.block,
    minIdleMs: read.minIdle,
    stopTimeoutMs: read.stopTimeout,
    onError: options.onError,
  };
}
