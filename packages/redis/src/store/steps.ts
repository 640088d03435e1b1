import { Further, type Args } from "../connection/command-queue.ts";
import type { Link } from "../connection/link.ts";
import type { Announcement, Script } from "../lua/script.ts";
import type { WriteIds } from "./entry-fields.ts";
import type { EntryLayout } from "./entry-layout.ts";
import type { RedisKeys } from "./redis-keys.ts";
import { Sender, type Operation } from "./sender.ts";
import { NOTHING_STAGED } from "./staged-entry.ts";

/** A change of an entry, and of its lease. */
export interface Step<T> {
  readonly operation: Operation;
  readonly key: string;
  readonly script: Script;
  /**
   * `entry`: the script does not get the lease, which Redis 7.0 would remember as read. `behindLease`: likewise, and a
   * DEL of the lease goes before it. What happens in between does no harm: a lease that is taken there has the
   * former version of the entry, and stores nothing. Where changes are announced, or entries have no versions, it gets
   * both. @default both
   */
  readonly over?: "entry" | "behindLease";
  readonly args: Args;
  /** May ask for the script with other arguments; then it gets both keys. */
  readonly interpret: (reply: unknown) => T | Further;
  /** Plain commands go first, and the script is asked where they settle nothing. */
  readonly plain?: Plain<T> | undefined;
}

/** Plain commands, in one trip. */
export interface Plain<T> {
  readonly commands: (entryKey: string, lease: string) => readonly Args[];
  /**
   * Reads all replies in order; one is an `Error` where it was refused, but for the last, unless that is of SET: it is
   * one of the call, except that of another type, which asks the script. May ask for it with other arguments.
   */
  readonly settled: (replies: readonly unknown[]) => T | Further;
}

/** What `call` returns; a rejection for what it throws. */
export function orRejected<T>(call: () => Promise<T>): Promise<T> {
  try {
    return call();
  } catch (error) {
    return Promise.reject(error);
  }
}

/** A command over `key`, which is its second word. */
export const over = (key: string, [name, ...more]: Args): Args => [name!, key, ...more];

/** Runs the steps of a backend: scripts, and plain commands where those settle a step. */
export abstract class Steps extends Sender {
  protected readonly keys: RedisKeys;
  protected readonly layout: EntryLayout;
  protected abstract readonly announce: Announcement;
  readonly #writeIds: WriteIds;

  constructor(label: string, link: Link, layout: EntryLayout, { keys, writeIds }: StepSettings) {
    super(label, link);
    this.layout = layout;
    this.keys = keys;
    this.#writeIds = writeIds;
  }

  /** Continues with the key in Redis. One that is refused rejects the call. */
  protected at<T>(key: string, goOn: (entryKey: string) => Promise<T>): Promise<T> {
    return orRejected(() => goOn(this.keys.entry(key)));
  }

  protected run<T>(step: Step<T>): Promise<T> {
    let entryKey: string;
    try {
      entryKey = this.keys.entry(step.key);
    } catch (error) {
      return Promise.reject(error);
    }
    return step.plain === undefined ? this.#runScript(entryKey, step) : this.#runPlain(entryKey, step, step.plain);
  }

  #runPlain<T>(entryKey: string, { operation, script, args, interpret }: Step<T>, plain: Plain<T>): Promise<T> {
    const lease = this.keys.lease(entryKey);
    const byScript = (given: Args): Further => new Further(this.scriptCommand(script, [entryKey, lease], given));
    const commands = plain.commands(entryKey, lease);
    let isPlain = true;
    const next = (reply: unknown, replies: readonly unknown[]): T | Further => {
      const result = isPlain ? plain.settled(replies) : interpret(reply);
      isPlain = false;
      return result instanceof Further ? byScript(result.args) : result;
    };
    return this.send(this.origins[operation], commands.at(-1)!, next, {
      script,
      before: commands.slice(0, -1),
      onWrongType: () => {
        isPlain = false;
        return byScript(args);
      },
    });
  }

  #runScript<T>(entryKey: string, { operation, script, over: its, args, interpret }: Step<T>): Promise<T> {
    const origin = this.origins[operation];
    const lease = this.keys.lease(entryKey);
    const both = [entryKey, lease];
    if (operation === "release") both.push(this.keys.freed(entryKey));
    const staged =
      this.link.isHttp === true
        ? undefined
        : this.layout.stage(args, () => this.keys.staged(entryKey, this.#writeIds()));
    const next = (reply: unknown): T | Further => {
      if (staged !== undefined && reply === NOTHING_STAGED) return new Further(this.scriptCommand(script, both, args));
      const result = interpret(reply);
      return result instanceof Further ? new Further(this.scriptCommand(script, both, result.args)) : result;
    };
    if (staged !== undefined) {
      const command = this.scriptCommand(script, [...both, staged.key], staged.args);
      return this.send(origin, command, next, { script, before: staged.commands });
    }
    // Without a prefix scripts know by the lease that they must spare keys of other programs.
    const isAlone = its === "entry" ? !this.keys.isBare : its === "behindLease" && this.isPlain;
    const before = isAlone && its === "behindLease" ? [["DEL", lease]] : undefined;
    return this.send(origin, this.scriptCommand(script, isAlone ? [entryKey] : both, args), next, { script, before });
  }

  /** Whether a write ends the lease by a separate command: where versions are compared, and nothing is announced. */
  protected get isPlain(): boolean {
    return this.layout.hasVersions && this.announce.channel === "" && !this.keys.isBare;
  }

  /** Name and arguments of the command that runs a script. */
  protected scriptCommand(script: Script, keys: readonly string[], args: Args): Args {
    const { channel, sender } = this.announce;
    // At its final size: spread, it would grow twice on the way.
    const command: (string | Buffer)[] = ["EVALSHA", script.sha, String(keys.length)];
    return command.concat(keys, args, [channel, sender]);
  }
}

export interface StepSettings {
  readonly keys: RedisKeys;
  readonly writeIds: WriteIds;
}
