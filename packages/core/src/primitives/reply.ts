import { Deadline } from "./deadlines.ts";
import type { Settlers } from "./settlers.ts";

/**
 * The coming answer of a call, and its deadline. It is a promise if it is used as one; a cache takes it by callbacks,
 * which cost a tenth. A backend may return one in place of a promise.
 */
export abstract class Reply<T> extends Deadline implements Promise<T> {
  #ends: Settlers<T> | undefined;
  #promise: Promise<T> | undefined;
  #state: "pending" | "done" | "failed" = "pending";
  #result: unknown;

  /**
   * Calls one of both of `ends`, once, after it has returned; in the async context of now if it was answered, in any if
   * it failed.
   */
  settle(ends: Settlers<T>): void {
    // A wrapper of the backend listens too.
    if (this.#promise !== undefined) return void this.#promise.then(...asCallbacks(ends));
    if (this.#state === "pending") this.#ends = ends;
    else queueMicrotask(() => (this.#state === "done" ? ends.resolve(this.#result as T) : ends.reject(this.#result)));
  }

  get [Symbol.toStringTag](): string {
    return "Reply";
  }

  get promise(): Promise<T> {
    return (this.#promise ??= new Promise((resolve, reject) => {
      if (this.#state === "done") resolve(this.#result as T);
      else if (this.#state === "failed") reject(this.#result);
      else {
        const before = this.#ends;
        this.#ends = {
          resolve: (value) => {
            before?.resolve(value);
            resolve(value);
          },
          reject: (error) => {
            before?.reject(error);
            reject(error);
          },
        };
      }
    }));
  }

  then<A = T, B = never>(
    done?: ((value: T) => A | PromiseLike<A>) | null,
    failed?: ((reason: unknown) => B | PromiseLike<B>) | null,
  ): Promise<A | B> {
    return this.promise.then(done, failed);
  }

  catch<B = never>(failed?: ((reason: unknown) => B | PromiseLike<B>) | null): Promise<T | B> {
    return this.promise.catch(failed);
  }

  finally(ended?: (() => void) | null): Promise<T> {
    return this.promise.finally(ended);
  }

  protected resolve(value: T): void {
    if (this.#state !== "pending") return;
    this.#state = "done";
    this.#result = value;
    this.#ends?.resolve(value);
  }

  protected reject(error: unknown): void {
    if (this.#state !== "pending") return;
    this.#state = "failed";
    this.#result = error;
    this.#ends?.reject(error);
  }
}

/** Calls one of both of `ends` when `answer` is settled: without a promise where the backend made none. */
export function whenAnswered<T>(answer: PromiseLike<T>, ends: Settlers<T>): void {
  if (answer instanceof Reply) answer.settle(ends);
  else answer.then(...asCallbacks(ends));
}

const asCallbacks = <T>(ends: Settlers<T>): [done: (value: T) => void, failed: (error: unknown) => void] => [
  (value) => ends.resolve(value),
  (error) => ends.reject(error),
];
