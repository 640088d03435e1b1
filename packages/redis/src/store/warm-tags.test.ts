import { describe, expect, it } from "vitest";
import { WarmTags } from "./warm-tags.ts";

describe("tags in use", () => {
  const sent: string[][] = [];
  const tags = new WarmTags((args) => {
    sent.push(args);
    return Promise.reject(new Error("connection refused"));
  });

  it("C105: are read again, those of one cache in one command; a failure is ignored", () => {
    tags.touch();
    expect(sent).toEqual([]);
    tags.noteInUse(["MGET", "hotset:{~shop}::", "hotset:{~shop}::user"]);
    tags.noteInUse([
      "EVALSHA",
      "sha",
      "3",
      "hotset~issuer:{~shop}",
      "hotset:{~shop}::",
      "hotset:{~shop}::admin",
      "nonce",
      "life",
    ]);
    tags.noteInUse(["MGET", "hotset:{~other}::"]);
    tags.touch();
    expect(sent.splice(0)).toEqual([
      ["MGET", "hotset:{~shop}::user", "hotset:{~shop}::", "hotset:{~shop}::admin"],
      ["MGET", "hotset:{~other}::"],
    ]);
  });

  it("are bounded: the most recently used stay", () => {
    for (let i = 0; i < 1_000; i++) tags.noteInUse(["MGET", `hotset:{~shop}::${i}`]);
    tags.touch();
    expect(sent.splice(0)).toEqual([["MGET", ...Array.from({ length: 128 }, (_, i) => `hotset:{~shop}::${872 + i}`)]]);
  });
});
