import { execFile } from "node:child_process";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import type { Conditions, Figure, Trial } from "../trial.ts";

const PROCESS = fileURLToPath(new URL("../processes/garbage-process.ts", import.meta.url));

/** Bytes and promises of one call. Other processes on the machine do not change them. */
const BOUNDS = { "memory hit": 310, "backend hit": 8_192, "miss with store": 30_720 } as const;

/** How much garbage a call leaves: a process of its own, whose young generation holds it all. */
export const garbage = ({ url }: Conditions): Trial => ({
  name: "garbage of a call",
  async run() {
    const results = await garbageOf(url, "full");
    return Object.entries(BOUNDS).flatMap(([name, atMost]): readonly Figure[] => {
      const { bytes, promises } = results[name as keyof typeof BOUNDS];
      return [
        { what: `bytes of a ${name}`, value: Math.round(bytes), unit: "", atMost },
        { what: `promises of a ${name}`, value: Math.round(promises), unit: "" },
      ];
    });
  },
});

/** Bytes and promises of each kind of call. */
export async function garbageOf(
  url: string,
  layout: "full" | "string",
): Promise<Readonly<Record<keyof typeof BOUNDS, { readonly bytes: number; readonly promises: number }>>> {
  const { stdout } = await promisify(execFile)(process.execPath, [
    ...process.execArgv,
    "--expose-gc",
    "--min-semi-space-size=256",
    "--max-semi-space-size=512",
    PROCESS,
    url,
    layout,
  ]);
  return JSON.parse(stdout) as Awaited<ReturnType<typeof garbageOf>>;
}
