import { Deadline } from "./deadlines.ts";

/**
 * The coming answer of a call, and its deadline. It is a promise if it is used as one; a cache takes it by callbacks,
 * which cost a tenth. A backend may return one in place of a promise.
 */
export abstract class Reply<T> extends Deadline implements Promise<T> {
  #done: ((value: T) => void) | undefined;
  #failed: ((error: unknown) => void) | undefined;
  #promise: Promise<T> | undefined;
  #state: "pending" | "done" | "failed" = "pending";
  #result: unknown;

  /**
   * Calls one of both, once, after it has returned; in the async context of now if it was answered, in any if it
   * failed.
   */
  settle(done: (value: T) => void, failed: (error: unknown) => void): void {
    // A wrapper of the backend listens too.
    if (this.#promise !== undefined) return void this.#promise.then(done, failed);
    if (this.#state !== "pending")
      return queueMicrotask(() => (this.#state === "done" ? done(this.#result as T) : failed(this.#result)));
    this.#done = done;
    this.#failed = failed;
  }

  get [Symbol.toStringTag](): string {
    return "Reply";
  }

  get promise(): Promise<T> {
    return (this.#promise ??= new Promise((resolve, reject) => {
      if (this.#state === "done") resolve(this.#result as T);
      else if (this.#state === "failed") reject(this.#result);
      else {
        const [done, failed] = [this.#done, this.#failed];
        this.#done = (value) => {
          done?.(value);
          resolve(value);
        };
        this.#failed = (error) => {
          failed?.(error);
          reject(error);
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
    this.#done?.(value);
  }

  protected reject(error: unknown): void {
    if (this.#state !== "pending") return;
    this.#state = "failed";
    this.#result = error;
    this.#failed?.(error);
  }
}

/** Calls one of both when `answer` is settled: without a promise where the backend made none. */
export function whenAnswered<T>(
  answer: PromiseLike<T>,
  done: (value: T) => void,
  failed: (error: unknown) => void,
): void {
  if (answer instanceof Reply) answer.settle(done, failed);
  else answer.then(done, failed);
}
