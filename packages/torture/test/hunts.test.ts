import { expect, it } from "vitest";
import { hunt } from "../src/hunts/streams.hunt.ts";

it("C228: no entry is lost while workers and Redis are killed, and poison becomes a dead letter", async () => {
  expect(await hunt({ minutes: 0.06, seed: 16 })).toMatch(/ [1-9]\d* entries appended, 0 lost, /);
}, 60_000);
