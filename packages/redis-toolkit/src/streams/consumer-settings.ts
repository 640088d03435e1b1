import { randomBytes } from "node:crypto";
import { hostname } from "node:os";
import { callback, oneOf } from "@hotset/core/internal";
import { checkName, optionsOf, readBy, time, whole } from "../module/module.ts";
import type { ConsumerOptions } from "./consumer-options.ts";
import { blockMsOf, countOf } from "./limits.ts";
import type { Delivery } from "./member.ts";

const atMost = <Default extends number | undefined>(byDefault: Default, most = Number.MAX_SAFE_INTEGER) =>
  readBy((option, given: number) => countOf(option, given, most), byDefault);

const TABLE = {
  name: readBy(checkName, undefined),
  count: atMost(undefined, 1_000),
  maxReplyBytes: whole(262_144, 1_024, 67_108_864),
  concurrency: atMost(1, 1_000),
  block: readBy(blockMsOf, 2_000),
  minIdle: time(30_000, { min: 100, max: 7 * 86_400_000 }),
  maxDeliveries: atMost(5),
  onLostGroup: oneOf("0", "$"),
  maxDead: atMost(0),
  stopTimeout: time(30_000, { min: 0, max: 86_400_000 }),
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
