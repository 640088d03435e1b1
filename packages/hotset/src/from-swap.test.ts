import { json } from "@hotset/core";
import type { SwapStore } from "@hotset/core/stores";
import { expect, it } from "vitest";
import { fromSwap } from "./from-swap.ts";

const store = {} as SwapStore<string>;

it("writes msgpack without compression by default, and reads what the others of hotset write", () => {
  const backend = fromSwap(store, { label: "mine" });
  expect([backend.format.id, backend.compressor.id]).toEqual(["msgpack", "none"]);
  expect(backend.alsoReads!.map(({ id }) => id).toSorted()).toEqual(["brotli", "gzip", "json", "msgpack", "zstd"]);
});

it("leaves formats that are given", () => {
  const backend = fromSwap(store, { label: "mine", format: json(), alsoReads: [] });
  expect([backend.format.id, backend.alsoReads]).toEqual(["json", []]);
});
