import { setImmediate as turn } from "node:timers/promises";
import type { Redis } from "@hotset/redis-toolkit";
import { hostModules, moduleOf, type Module } from "@hotset/redis-toolkit/module";

/**
 * Plays the steps of several requests one at a time, in an order of its choice: commands before they are sent, and pauses
 * of handlers. The next one is chosen once nothing else can happen, so that an order depends on the choice and on nothing
 * else: not on the speed of this machine.
 */
export class Schedule {
  readonly #waiting: (() => void)[] = [];
  readonly #random: () => number;
  /** Whether the step that waits longest is preferred, or the newest one, or neither. */
  readonly #lean: number;
  #running = 0;
  #isPlaying = false;

  constructor(random: () => number) {
    this.#random = random;
    this.#lean = Math.floor(random() * 3);
  }

  /** A step on its own; none while nothing is played. */
  step(): Promise<void> {
    return this.#isPlaying ? new Promise((resolve) => this.#waiting.push(resolve)) : Promise.resolve();
  }

  /** A view of `redis` each of whose commands is a step. */
  over(redis: Redis): Redis {
    const module = moduleOf(redis);
    const inSteps = (call: unknown): unknown => {
      if (typeof call !== "function") return call;
      return async (...given: unknown[]): Promise<unknown> => {
        await this.step();
        this.#running += 1;
        try {
          return await (call as (...given: unknown[]) => Promise<unknown>).apply(module, given);
        } finally {
          this.#running -= 1;
        }
      };
    };
    const calls = new Set<PropertyKey>(["runScript", "runInside"]);
    const stepped = new Proxy<Module>(module, {
      get: (target, name): unknown => {
        const value: unknown = Reflect.get(target, name, target);
        if (calls.has(name)) return inSteps(value);
        return typeof value === "function" ? (value.bind(target) as unknown) : value;
      },
    });
    return hostModules(Object.create(redis) as Redis, () => stepped);
  }

  /** Plays all steps until `begin` has ended. */
  async play<T>(begin: () => Promise<T>): Promise<T> {
    this.#isPlaying = true;
    let isDone = false;
    const done = (): void => void (isDone = true);
    const work = begin();
    work.then(done, done);
    for (;;) {
      await this.#quiet();
      if (isDone) break;
      const [next] = this.#waiting.splice(this.#choose(), 1);
      next?.();
    }
    this.#isPlaying = false;
    return work;
  }

  #choose(): number {
    const at = this.#random() ** (this.#lean === 0 ? 1 : 4);
    return Math.floor((this.#lean === 2 ? 1 - Number.EPSILON - at : at) * this.#waiting.length);
  }

  async #quiet(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet += 1) {
      await turn();
      if (this.#running > 0) quiet = -1;
    }
  }
}

/** Turns of the loop after which a framework has nothing more to do without a further command. */
const QUIET_TURNS = 8;
