import { SCRIPTS } from "../lua/all-scripts.ts";
import { script, type Script } from "../lua/script.ts";
import { isLoggedOut, isReply } from "../primitives/faults.ts";
import type { RawClient } from "./command-queue.ts";

/**
 * Loads the scripts, unless the server has them, before anything else is sent: a command whose script is missing would
 * be sent again, behind commands queued meanwhile. Where it may not be asked, they are loaded. A user who may only read
 * cannot load scripts, and needs none.
 */
async function load(client: RawClient, scripts: readonly Script[]): Promise<void> {
  const ask = (...args: readonly string[]): Promise<unknown> =>
    client.sendCommand(["SCRIPT", ...args]).catch((error: unknown) => {
      if (!isReply(error) || isLoggedOut(error)) throw error;
    });
  // One more, loaded last, stands for all: it is asked for, and the first one, as all may have been flushed in between.
  const all = script(`return '${scripts.map(({ sha }) => sha).join(" ")}'`);
  const known = await ask("EXISTS", all.sha, scripts[0]!.sha);
  if (Array.isArray(known) && known.every((each) => Number(each) === 1)) return;
  const loaded = await Promise.all(scripts.map(({ text }) => ask("LOAD", text)));
  if (!loaded.includes(undefined)) await ask("LOAD", all.text);
}

/** One function for all backends of a kind, since links are shared where settings are equal. */
export const LOAD_SCRIPTS: Readonly<Record<keyof typeof SCRIPTS, (client: RawClient) => Promise<void>>> = {
  hash: (client) => load(client, SCRIPTS.hash),
  string: (client) => load(client, SCRIPTS.string),
};
