import { json } from "@hotset/core";
import type { SwapStore } from "@hotset/core/stores";
import { expect, it } from "vitest";
import { fromSwap } from "./from-swap.ts";

const store: SwapStore<string> = {
  get: () => Promise.resolve(undefined),
  swap: () => Promise.resolve(undefined),
  delete: () => Promise.resolve(false),
  close: () => undefined,
};

it("writes msgpack without compression by default, and reads what the others of hotset write", () => {
  const backend = fromSwap(store, { label: "mine" });
  expect([backend.format.id, backend.compressor.id]).toEqual(["msgpack", "none"]);
  expect(backend.alsoReads!.map(({ id }) => id).toSorted()).toEqual(["brotli", "gzip", "json", "msgpack", "zstd"]);
});

it("leaves formats that are given", () => {
  const backend = fromSwap(store, { label: "mine", format: json(), alsoReads: [] });
  expect([backend.format.id, backend.alsoReads]).toEqual(["json", []]);
});

it("refuses an option that can never work", () => {
  expect(() => fromSwap(store, { label: "mine", log: { busyMs: 0 } })).toThrow(
    "fromSwap: log.busyMs must be a number of milliseconds of at least 1, got 0",
  );
});
