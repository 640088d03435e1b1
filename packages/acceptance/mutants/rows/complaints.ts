import type { BrokenRule } from "../mutant.ts";

const SINGLE_LINK = "packages/redis/src/connection/single-link.ts";
const COMMAND_QUEUE = "packages/redis/src/connection/command-queue.ts";
const CALLS = "packages/redis/src/client/calls.ts";
const LIMITER = "packages/redis-toolkit/src/limits/limiter.ts";

export const MUTANTS: readonly BrokenRule[] = [
  {
    name: "R6-01 commands in flight on a lost connection stay open",
    file: SINGLE_LINK,
    rule: "if (this.#session === session) this.#onLost(error);",
    broken: "void error;",
  },
  {
    name: "R6-02 commands are queued while Redis is away",
    file: SINGLE_LINK,
    rule: "if (this.#down !== undefined && this.#settings.clock.now() < this.#down.until)\n        return command.fail(",
    broken: "if (this.#down !== undefined && this.#settings.clock.now() < 0)\n        return command.fail(",
  },
  {
    name: "R6-03 a command has no deadline",
    file: COMMAND_QUEUE,
    rule: "    this.#deadlines.start(command, deadlineMs);\n",
    broken: "",
  },
  {
    name: "R6-04 any number of commands may wait",
    file: COMMAND_QUEUE,
    rule: "    if (this.#waiting >= this.#maxWaiting) return command.fail(this.#overload(command.origin));\n",
    broken: "",
  },
  {
    name: "R6-05 each call leaves its listener on the signal",
    file: CALLS,
    rule: '  const end = (): void => signal.removeEventListener("abort", abort);',
    broken: "  const end = (): void => undefined;",
  },
  {
    name: "R6-06 a signal ends no call",
    file: CALLS,
    rule: "return signal === undefined ? command.promise : this.#abortable(command, signal);",
    broken: "return command.promise;",
  },
  {
    name: "R6-07 callers of a pool wait for an hour",
    file: "packages/redis/src/client/pool.ts",
    rule: "#admission({ signal, waitMs = this.#settings.waitMs }: UseOptions)",
    broken: "#admission({ signal, waitMs = 3_600_000 }: UseOptions)",
  },
  {
    name: "R6-08 close waits for what is in flight without end",
    file: SINGLE_LINK,
    rule: "await whenDrained(queue, this.#settings);",
    broken: "await whenDrained(queue, { ...this.#settings, responseTimeoutMs: 3_600_000 });",
  },
  {
    name: "R6-10 a lock is given to all who ask",
    file: "packages/redis-toolkit/src/locks/lock-scripts.ts",
    rule: "  if holder and holder ~= ARGV[1] then return {0, redis.call('PTTL', KEYS[i])} end",
    broken: "  if holder and holder ~= ARGV[1] then redis.call('DEL', KEYS[i]) end",
  },
  {
    name: "R6-11 an error of a server without memory has no code",
    file: "packages/redis-toolkit/src/errors/reply-error.ts",
    rule: '  OOM: "OUT_OF_MEMORY",\n',
    broken: "",
  },
  {
    name: "R6-20 a refusal rejects",
    file: LIMITER,
    rule: "    const { operation, key, cost, lease } = call;\n",
    broken:
      "    const { operation, key, cost, lease } = call;\n    if (!verdict.isAllowed) return " +
      "Promise.reject(this.#result(verdict) as unknown as Error);\n",
  },
  {
    name: "R6-22 a script is sent as text",
    file: "packages/redis-toolkit/src/commands/command-builder.ts",
    rule: 'args: ["EVALSHA", sha1(text), String(keys.length), ...inside, ...args],',
    broken: 'args: ["EVAL", text, String(keys.length), ...inside, ...args],',
  },
  {
    name: "R6-23 commands of a limit are sent once Redis is back",
    file: "packages/redis-toolkit/src/limits/breaker.ts",
    rule: "    if (error instanceof BackendUnavailableError) breaker.open();\n    throw error;",
    broken: `    if (error instanceof BackendUnavailableError) breaker.open();
    void (async () => {
      for (let i = 0; i < 100; i += 1) {
        await new Promise((resolve) => setTimeout(resolve, 50));
        if (await call().then(() => true, () => false)) return;
      }
    })();
    throw error;`,
  },
  {
    name: "R6-26 refusals are not remembered",
    file: LIMITER,
    rule: "const known = this.#listed(key) ?? this.#remembered(key, cost);",
    broken: "const known = this.#listed(key);",
  },
  {
    name: "R6-27 a closed limit is open without Redis",
    file: LIMITER,
    rule: 'const isAllowed = whenAway === "open";',
    broken: 'const isAllowed = whenAway !== "memory";',
  },
  {
    name: "R6-32 a number is seconds",
    file: "packages/redis-toolkit/src/module/arguments.ts",
    rule: 'const ms = typeof given === "string" ? parsed(option, given) : given;',
    broken: 'const ms = typeof given === "string" ? parsed(option, given) : Number(given) * 1_000;',
  },
  {
    name: "R6-34 a job without its data is handled",
    file: "packages/redis-toolkit/src/queue/delivery.ts",
    rule: 'if (payload === null) throw new UnrecoverableError("the data of the job is missing");',
    broken: "if (payload === null) return undefined as T;",
  },
  {
    name: "R6-35 a worker ends when Redis is away",
    file: "packages/redis-toolkit/src/queue/worker.ts",
    rule: "      return this.#backOff(error);\n",
    broken: '      this.#phase = "stopped";\n      return undefined;\n',
  },
  {
    name: "R6-38 a new group begins at the first entry",
    file: "packages/redis-toolkit/src/streams/consumer.ts",
    rule: "await this.#member.join(this.#settings.onLostGroup);",
    broken: 'await this.#member.join("0");',
  },
  {
    name: "R6-39 a replica that refuses writes is kept",
    file: SINGLE_LINK,
    rule: "    this.#leftReplicaAt = now;\n    this.#onLost(error);",
    broken: "    this.#leftReplicaAt = now;\n    void error;",
  },
  {
    name: "R6-40 pauses of waiters are equal",
    file: "packages/redis-toolkit/src/locks/acquisition.ts",
    rule: "const jittered = PAUSE_MS + random *",
    broken: "const jittered = PAUSE_MS + 0.5 *",
  },
];
