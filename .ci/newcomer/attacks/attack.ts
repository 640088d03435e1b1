/**
 * Runs in a project that has installed hotset. Without arguments it prints the names of the attacks.
 *
 *     attack.ts <name> <urls as JSON>    ends with 0 if that attack is refused
 */
import { inspect } from "node:util";
import { BYTES } from "./bytes.ts";
import { CALLS } from "./calls.ts";
import { HTTP } from "./http.ts";
import { attacked, type Urls } from "./victim.ts";

const ATTACKS = { ...BYTES, ...CALLS, ...HTTP };
const [name, urls = "{}"] = process.argv.slice(2);
try {
  if (name === undefined) console.log(Object.keys(ATTACKS).join("\n"));
  else await attacked(ATTACKS[name]!, JSON.parse(urls) as Urls);
  // An attack that waits for an answer keeps nothing else from ending.
  process.exit(0);
} catch (error) {
  console.error(inspect(error).split("\n").slice(0, 4).join("\n"));
  process.exit(1);
}
