import { forkScript, randomPrefix } from "@hotset/test-servers";
import { expect, inject, it } from "vitest";
import type { HttpService } from "../support/http-service.ts";

it("an HTTP service under load that closes its cache on SIGTERM fails no request until close has resolved", async () => {
  await using service = forkScript<HttpService>(new URL("../support/http-service.ts", import.meta.url), {
    env: { REDIS_URL: inject("redisUrl"), KEY_PREFIX: randomPrefix() },
  });
  const port = await service.call("listen");
  const answers: { readonly status: number; readonly isAfterSignal: boolean }[] = [];
  let isSignalled = false;
  let isOver = false;
  // Its load began before the signal: while it runs, close waits, and the service serves.
  const slow = fetch(`http://127.0.0.1:${port}/slow`).then(async (response) => {
    const body = await response.text();
    isOver = true;
    return `${response.status} ${body}`;
  });
  const client = async (number: number): Promise<void> => {
    for (let i = 0; !isOver; i += 1) {
      const isAfterSignal = isSignalled;
      const { status } = await fetch(`http://127.0.0.1:${port}/${number}/${i % 20}`);
      if (!isOver) answers.push({ status, isAfterSignal });
    }
  };
  const clients = Promise.allSettled(Array.from({ length: 10 }, (_, number) => client(number)));
  await expect.poll(() => service.call("hasSlowLoad"), { interval: 10 }).toBe(true);
  await expect.poll(() => answers.length, { interval: 10 }).toBeGreaterThan(20);
  isSignalled = true;
  const exited = service.kill("SIGTERM");
  const later = () => answers.filter(({ isAfterSignal }) => isAfterSignal).length;
  await expect.poll(later, { interval: 10 }).toBeGreaterThan(20);
  await service.call("endSlowLoad");
  expect(await slow).toBe("200 Ada");
  await clients;
  expect(answers.filter(({ status }) => status !== 200)).toEqual([]);
  expect(await exited).toEqual({ code: 0, signal: null });
});
