import { InvalidArgumentError, type CacheLogger, type Clock } from "@hotset/core";
import type { RedisConnection } from "@hotset/redis/connection";
import { KeySpace, type RedisArgument } from "../keys/key-space.ts";
import { CommandBuilder } from "./command-builder.ts";
import { commandsOf } from "./commands.ts";
import { withFallback, type FallbackOptions } from "./fallback.ts";
import type { Invocation } from "./invocation.ts";
import { lenientOf, type LenientCommands } from "./lenient.ts";
import type { Commands } from "./own-commands.ts";
import { runPipeline, type Recorder, type ResultsOf } from "./pipeline.ts";
import { ConnectionRunner } from "./run.ts";

export interface ViewSettings {
  readonly connection: RedisConnection;
  readonly isEnabled: boolean;
  readonly defaultTtlMs: number | undefined;
  readonly defaultHashTtlMs: number | undefined;
  readonly logger: CacheLogger | undefined;
  readonly clock: Clock;
}

/** Redis as one tenant sees it, or as a whole. A cheap object over shared sockets: make one for each request. */
export class RedisView {
  readonly commands: Commands;
  /** The same commands where Redis is an extra: what fails is answered with a default, and counted. */
  readonly lenient: LenientCommands;
  readonly #settings: ViewSettings;
  readonly #space: KeySpace;
  readonly #builder: CommandBuilder;
  readonly #runner: ConnectionRunner;

  constructor(settings: ViewSettings, space: KeySpace = KeySpace.root, options: FallbackOptions = {}) {
    this.#settings = settings;
    this.#space = space;
    this.#builder = new CommandBuilder({ ...settings, space });
    this.#runner = new ConnectionRunner(settings.connection, settings.isEnabled);
    const own = commandsOf({ ...settings, space });
    this.commands = options.fallback === undefined ? own : this.#lookingOutside(own, options.fallback);
    this.lenient = lenientOf(this.commands, settings.logger, settings.clock);
  }

  /**
   * The keys and channels below `<id>:`, with the same connection. Characters of `id` other than letters, digits, `_`,
   * `.` and `-` are written as `%XX`, so no id leads into the keys of another.
   *
   * @throws {InvalidArgumentError} for an id that is not text of 1 to 256 characters, and for unknown options.
   */
  tenant(id: string, options: FallbackOptions = {}): RedisView {
    for (const name of Object.keys(options))
      if (name !== "fallback")
        throw new InvalidArgumentError(`tenant(id): unknown option ${JSON.stringify(name)}; known: fallback`);
    if (options.fallback !== undefined && !["read", "migrate"].includes(options.fallback))
      throw new InvalidArgumentError('tenant(id): fallback must be "read" or "migrate"');
    return new RedisView(this.#settings, this.#space.tenant(id), options);
  }

  /** Removes every key of a tenant, by `SCAN` and `UNLINK`. @returns how many keys */
  async purge(): Promise<number> {
    if (!this.#space.isTenant)
      throw new InvalidArgumentError("purge: only the keys of a tenant can be purged; commands.flushDb() removes all");
    const own = commandsOf({ ...this.#settings, space: this.#space });
    let removed = 0;
    let batch: string[] = [];
    for await (const key of own.scan()) {
      batch.push(key);
      if (batch.length < PURGED_AT_ONCE) continue;
      removed += await own.delete(...batch);
      batch = [];
    }
    return batch.length === 0 ? removed : removed + (await own.delete(...batch));
  }

  /**
   * Sends the commands that `describe` returns at once, without waiting in between. Each has its own result. They are
   * not a transaction.
   *
   * @throws {InvalidArgumentError} for arguments that cannot be sent; then nothing was sent.
   */
  pipeline<const Described extends readonly Invocation<unknown>[]>(
    describe: (commands: Recorder) => Described,
  ): Promise<ResultsOf<Described>> {
    const place = { space: this.#space, replies: "text", protocol: this.#settings.connection.protocol } as const;
    return runPipeline(describe, this.#builder, place, this.#runner);
  }

  /** For modules of this package: runs a command over the keys of this view. @internal */
  async runInside<T>(describe: (space: KeySpace) => Invocation<T>): Promise<T> {
    return this.#runner.run(describe(this.#space));
  }

  #lookingOutside(own: Commands, mode: "read" | "migrate"): Commands {
    const root = KeySpace.root;
    const outside = commandsOf({ ...this.#settings, space: root });
    return withFallback(own, outside, mode === "read" ? stays : (key) => this.#move(key, root));
  }

  /** Any type of value, with the life that is left. The two keys may lie on different nodes, so it is not one step. */
  async #move(key: RedisArgument, from: KeySpace): Promise<void> {
    const [older, newer] = [from.inside(key), this.#space.inside(key)];
    const dump = this.#runner.run(plain<Buffer | null>(["DUMP", older], older, { isReadOnly: true, replies: "bytes" }));
    const life = this.#runner.run(plain<number>(["PTTL", older], older, { isReadOnly: true, replies: "text" }));
    const [bytes, leftMs] = await Promise.all([dump, life]);
    if (bytes === null || leftMs === -2) return;
    const restore = ["RESTORE", newer, String(Math.max(0, leftMs)), bytes] as const;
    try {
      await this.#runner.run(plain(restore, newer, { isReadOnly: false, replies: "text" }));
    } catch (error) {
      // BUSYKEY: the tenant has a value meanwhile, which is newer.
      if (!(error instanceof Error) || !error.message.includes("BUSYKEY")) throw error;
      return;
    }
    await this.#runner.run(plain(["UNLINK", older], older, { isReadOnly: false, replies: "text" }));
  }
}

const PURGED_AT_ONCE = 1_000;

const stays = (): Promise<void> => Promise.resolve();

const plain = <T>(
  args: readonly RedisArgument[],
  key: RedisArgument,
  how: Pick<Invocation<T>, "isReadOnly" | "replies">,
): Invocation<T> => ({ args, keys: [key], ...how, decode: (reply) => reply as T });
