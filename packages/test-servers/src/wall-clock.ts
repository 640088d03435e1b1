import { access, readdir, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { PATIENCE_MS } from "./until.ts";

/**
 * The wall clock of one server process, which a test sets while it runs. Its monotonic clock, and so its timers,
 * continue as they are.
 *
 * @see https://github.com/wolfcw/libfaketime
 */
export class WallClock {
  /** For the environment of the process. */
  readonly env: Readonly<Record<string, string>>;
  readonly #file: string;
  #aheadMs = 0;

  private constructor(library: string, file: string) {
    this.#file = file;
    this.env = {
      // The allocator of Redis asks for the time before libfaketime is ready, which in turn allocates: both wait for
      // ever. With the C library in front, the server allocates there.
      LD_PRELOAD: `${library} libc.so.6`,
      FAKETIME_TIMESTAMP_FILE: file,
      FAKETIME_NO_CACHE: "1",
      FAKETIME_DONT_FAKE_MONOTONIC: "1",
    };
  }

  /**
   * @param directory for its file.
   * @throws {Error} that names the package to install, where libfaketime is missing.
   */
  static async in(directory: string): Promise<WallClock> {
    const clock = new WallClock(await faketimeLibrary(), join(directory, "wall-clock"));
    await clock.#write();
    return clock;
  }

  /**
   * Moves it ahead, or back, from where it is.
   *
   * @param ask the time of the server, epoch milliseconds.
   * @throws {Error} if the server never shows it.
   */
  async jump(byMs: number, ask: () => Promise<number>): Promise<void> {
    this.#aheadMs += byMs;
    await this.#write();
    const deadline = performance.now() + PATIENCE_MS;
    for (;;) {
      const wrongMs = (await ask()) - Date.now() - this.#aheadMs;
      if (Math.abs(wrongMs) < TOLERANCE_MS) return;
      if (performance.now() > deadline)
        throw new Error(`The clock of the server was set ${this.#aheadMs} ms ahead, and is wrong by ${wrongMs} ms`);
      await sleep(5);
    }
  }

  /** In one step: the server reads it at any instant. */
  async #write(): Promise<void> {
    const written = `${this.#file}.new`;
    await writeFile(written, `${this.#aheadMs < 0 ? "-" : "+"}${(Math.abs(this.#aheadMs) / 1_000).toFixed(3)}\n`);
    await rename(written, this.#file);
  }
}

/** A busy server answers this late. Shorter jumps cannot be seen. */
const TOLERANCE_MS = 250;

/** Below these, directly or in a folder for the architecture. */
const LIBRARY_FOLDERS: readonly string[] = ["/usr/lib", "/usr/lib64", "/usr/local/lib"];

async function faketimeLibrary(): Promise<string> {
  for (const folder of LIBRARY_FOLDERS) {
    const below = await readdir(folder).catch(() => []);
    for (const name of ["", ...below.filter((each) => each.endsWith("-linux-gnu"))]) {
      const path = join(folder, name, "faketime", "libfaketime.so.1");
      if (
        await access(path).then(
          () => true,
          () => false,
        )
      )
        return path;
    }
  }
  throw new Error(
    "A server whose clock can be set needs libfaketime, which this machine has not: apt-get install libfaketime",
  );
}
