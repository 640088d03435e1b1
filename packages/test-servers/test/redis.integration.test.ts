import { inject, expect, it } from "vitest";
import { RespClient } from "../src/index.ts";

it("gives every test file the Redis of the run", async () => {
  expect(await RespClient.fromUrl(inject("redisUrl")).command("PING")).toBe("PONG");
});
