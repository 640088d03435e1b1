import { createHash } from "node:crypto";
import { expect, it } from "vitest";
import { sha256 } from "./sha-256.ts";

it("hashes messages of each length around the ends of blocks as node:crypto does", () => {
  for (const length of [...Array(260).keys(), 1_000, 65_536]) {
    const message = Uint8Array.from({ length }, (_, i) => (i * 31 + length) % 256);
    expect(Buffer.from(sha256(message)).toString("hex"), `${length} bytes`).toBe(
      createHash("sha256").update(message).digest("hex"),
    );
  }
});
