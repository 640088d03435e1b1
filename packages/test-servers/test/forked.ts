/** Run by fork-script.integration.test.ts in processes of its own. */
import { answerCalls } from "../src/index.ts";

let calls = 0;

const handlers = {
  echo: <T>(value: T): T => value,
  where: (): { pid: number; args: string[]; execArgv: string[]; env: string | undefined } => ({
    pid: process.pid,
    args: process.argv.slice(2),
    execArgv: process.execArgv,
    env: process.env["FORKED"],
  }),
  count: (): number => ++calls,
  never: (): Promise<void> => new Promise(() => undefined),
  fail: (): never => {
    throw Object.assign(new TypeError("not like this"), { code: "ERR_SUCH" });
  },
  unclonable: (): unknown => () => undefined,
  exit: (code: number): void => {
    console.error("going down");
    process.exit(code);
  },
  stay: (): void => {
    setInterval(() => undefined, 1_000);
  },
};

export type Forked = typeof handlers;

answerCalls(handlers);
console.log("up");
