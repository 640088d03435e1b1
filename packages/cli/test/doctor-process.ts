// `hotset doctor`, in a process that has loaded it before there is a hurry. Driven by tests of the inspector, too.

import { answerCalls } from "@hotset/test-servers";
import { inProcess } from "./hotset.ts";

export const handlers = {
  /** @returns the printed text */
  async doctor(redisUrl: string): Promise<string> {
    const { stdout, stderr } = await inProcess(["doctor"], { REDIS_URL: redisUrl });
    return stdout + stderr;
  },
};

answerCalls(handlers);
