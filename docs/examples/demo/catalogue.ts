import { rmSync } from "node:fs";
import { mkdtemp, readFile, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";

/** A price as the shops return it. */
export interface Price {
  readonly product: string;
  readonly cents: number;
  /** Grows with each change. */
  readonly version: number;
}

/** The duration of a read of the catalogue: that of a query. */
export const LOOK_MS = 20;

/** The source of all prices: a folder with a file for each product. A product without a file is not sold. */
export class Catalogue {
  readonly folder: string;

  constructor(folder: string) {
    this.folder = folder;
  }

  /** @throws the reason of `signal` when it is aborted. */
  async look(product: string, signal?: AbortSignal): Promise<Price | null> {
    await sleep(LOOK_MS, undefined, { signal });
    return this.#read(product);
  }

  /** @returns the new price. */
  async change(product: string, cents: number): Promise<Price> {
    const version = ((await this.#read(product))?.version ?? 0) + 1;
    const price: Price = { product, cents, version };
    // Renamed: a reader sees either the old file or the new one, never a part of it.
    await writeFile(this.#file(`.${product}`), JSON.stringify(price));
    await rename(this.#file(`.${product}`), this.#file(product));
    return price;
  }

  async remove(product: string): Promise<void> {
    await rm(this.#file(product), { force: true });
  }

  async #read(product: string): Promise<Price | null> {
    try {
      return JSON.parse(await readFile(this.#file(product), "utf8")) as Price;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === "ENOENT") return null;
      throw error;
    }
  }

  #file(product: string): string {
    return join(this.folder, `${product}.json`);
  }
}

/**
 * A catalogue of these products in a temporary folder, which is removed when it is disposed, or when the process exits.
 */
export async function temporaryCatalogue(products: readonly string[]): Promise<Catalogue & AsyncDisposable> {
  const folder = await mkdtemp(join(tmpdir(), "hotset-demo-"));
  const removeAtExit = (): void => rmSync(folder, { recursive: true, force: true });
  process.once("exit", removeAtExit);
  const catalogue = new Catalogue(folder);
  for (const [i, product] of products.entries()) await catalogue.change(product, 100 + i);
  return Object.assign(catalogue, {
    [Symbol.asyncDispose]: async () => {
      await rm(folder, { recursive: true, force: true });
      process.off("exit", removeAtExit);
    },
  });
}
