import type { Redis, RedisOptions } from "@hotset/redis-toolkit";
import type { RedisConnection } from "@hotset/redis-toolkit/connection";
import type { Arguments, OptionSpec } from "./arguments.ts";
import type { ExitCode, Io } from "./io.ts";

/** A connected run. */
export interface Session {
  readonly io: Io;
  readonly arguments: Arguments;
  readonly redis: Redis;
  readonly connection: RedisConnection;
  /** Options that `redis` was made with: for caches over the same server. */
  readonly settings: RedisOptions;
  /** RESP3 was refused, and RESP2 is spoken instead. */
  readonly isResp3Refused: boolean;
  /** Bound on each question to Redis, in milliseconds. */
  readonly timeoutMs: number;
}

/** Result of a command: the same as text and as JSON. */
export interface Answer {
  readonly exitCode: ExitCode;
  /** Lines for people, without a newline at the end. */
  readonly text: string;
  /** For programs: `--json` prints it. */
  readonly json: object;
}

export interface Command {
  readonly name: string;
  /** One line of the help. */
  readonly summary: string;
  /** Words behind the name, as the help shows them. */
  readonly words: string;
  /** More about it, in lines for the help. */
  readonly about: readonly string[];
  readonly options: Readonly<Record<string, OptionSpec>>;
  /** Before anything is connected. @throws {UsageError} */
  check(given: Arguments): void;
  /** Where these words need no Redis: the run without one, which `io.signal` ends. */
  elsewhere?(given: Arguments, io: Io): Promise<Answer> | undefined;
  /** @returns `undefined` where everything was printed already. */
  run(session: Session): Promise<Answer | undefined>;
}
