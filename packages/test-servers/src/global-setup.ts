/**
 * Vitest's `globalSetup`: one Redis for the whole run, available to tests as `inject("redisUrl")`. It is never flushed:
 * tests write below a `randomPrefix()`.
 */
import type { TestProject } from "vitest/node";
import { startRedis } from "./redis.ts";

declare module "vitest" {
  export interface ProvidedContext {
    /** A Redis that all test files of the run share. */
    redisUrl: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const redis = await startRedis();
  project.provide("redisUrl", redis.url);
  return () => redis.stop();
}
