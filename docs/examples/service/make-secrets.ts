// Passwords for all users of an ACL file, each in a file of its own, and the ACL file with their digests alone.
//
//     node docs/examples/service/make-secrets.ts docs/operations/users.acl docs/examples/service/secrets

import { createHash, randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";

const [users, folder] = process.argv.slice(2);
if (users === undefined || folder === undefined) {
  console.error("usage: node make-secrets.ts <ACL file with CHANGE-ME for passwords> <new folder>");
  process.exit(2);
}
const lines = readFileSync(users, "utf8").split("\n");
// Fails where the folder exists: its passwords may be in use.
mkdirSync(folder, { mode: 0o700 });

/** Other users of this machine do not get into the folder; processes of containers have other ids, and must read. */
function write(name: string, text: string): void {
  writeFileSync(join(folder!, name), text);
  chmodSync(join(folder!, name), 0o444);
}

const changed = lines.map((line) => {
  const name = /^user (\S+) .*>CHANGE-ME/.exec(line)?.[1];
  if (name === undefined) return line;
  const password = randomBytes(32).toString("hex");
  write(name, password);
  return line.replace(">CHANGE-ME", `#${createHash("sha256").update(password).digest("hex")}`);
});
write("users.acl", changed.join("\n"));
