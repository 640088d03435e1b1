import type { Newcomer } from "./newcomer.ts";

/** `npx hotset doctor` as the guide has it: with hotset alone it says what to install, and with that it runs. */
export async function commandLine({ project, step, check }: Newcomer, redisUrl: string): Promise<void> {
  for (const [installer, add, exec] of [
    ["npm", "install", ["npx", "--no-install"]],
    ["pnpm", "add", ["pnpm", "exec"]],
  ] as const)
    await step(`${installer}: hotset doctor`, async () => {
      const made = project("command-line");
      const [program, ...words] = exec;
      const doctor = async (): Promise<string> => {
        const { stdout, stderr } = await made.run(program, [...words, "hotset", "doctor"], { REDIS_URL: redisUrl });
        return stdout + stderr;
      };
      await made.run(installer, [add, "hotset"]);
      const alone = await doctor().catch((error: Error) => error.message);
      check(alone.includes("npm install --save-dev @hotset/cli"), alone);
      await made.run(installer, [add, "@hotset/cli"]);
      const found = await doctor();
      check(/^server +127\.0\.0\.1:\d+ +\w+ [\d.]+$/m.test(found), found);
      check(/^errors: \d+, warnings: \d+, not looked at: \d+$/m.test(found), found);
    });
}
