// The slow source that stands behind each program: a table of products, 50 ms away, and the users.

import { setTimeout as sleep } from "node:timers/promises";

export interface Product {
  readonly sku: string;
  readonly name: string;
  readonly cents: number;
}

const table = new Map<string, Product>();
for (let number = 1; number <= 1_000; number += 1) {
  table.set(`p${number}`, { sku: `p${number}`, name: `Product ${number}`, cents: number * 100 });
}

export async function findProduct(sku: string, signal?: AbortSignal): Promise<Product | null> {
  await sleep(50, undefined, signal === undefined ? {} : { signal });
  return table.get(sku) ?? null;
}

export async function setPrice(sku: string, cents: number): Promise<void> {
  await sleep(50);
  const product = table.get(sku);
  if (product !== undefined) table.set(sku, { ...product, cents });
}

/** Stands for your users. */
export const hasPassword = (name = "", password = ""): boolean => name === "ada" && password === "correct horse";
