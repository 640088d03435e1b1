import { spawn } from "node:child_process";
import { mkdtemp, readFile, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { freePort, until } from "@hotset/test-servers";
import { endOf, unpackedPackages } from "./debian.ts";

/** Debian's Varnish with vmod xkey. It compiles its configuration, so it needs a C compiler. */
const PACKAGES = ["varnish", "varnish-modules", "libvarnishapi3", "libjemalloc2"];

export interface Varnish extends AsyncDisposable {
  readonly url: string;
}

/** Varnish with the configuration of the guide, in front of `ports` in turn. */
export async function startVarnish(ports: readonly number[]): Promise<Varnish> {
  const root = await unpackedPackages("varnish", PACKAGES);
  const libraries = join(root, "usr/lib/x86_64-linux-gnu");
  const folder = await mkdtemp(join(tmpdir(), "hotset-varnish-"));
  const port = await freePort();
  const page = await readFile(new URL("../../../docs/guide/cdn.md", import.meta.url), "utf8");
  const [, vcl] = /```text\n(vcl .*?)```/s.exec(page)!;
  const backends = ports.map((each, i) => `backend app${i} { .host = "127.0.0.1"; .port = "${each}"; }`).join("\n");
  const add = ports.map((_, i) => `apps.add_backend(app${i});`).join(" ");
  const own = vcl!
    .replace(/backend app \{[^}]*\}/, `import directors;\n${backends}`)
    .replace(
      "sub vcl_recv {",
      `sub vcl_init { new apps = directors.round_robin(); ${add} }\nsub vcl_recv {\n  set req.backend_hint = apps.backend();`,
    );
  await writeFile(join(folder, "hotset.vcl"), own);
  const vmods = join(libraries, "varnish/vmods");
  const args = ["-F", "-j", "none", "-n", join(folder, "work"), "-a", `127.0.0.1:${port}`, "-T", "none"];
  args.push("-s", "malloc,16m", "-p", `vmod_path=${vmods}`, "-f", join(folder, "hotset.vcl"));
  const env = { ...process.env, LD_LIBRARY_PATH: `${libraries}:${join(libraries, "varnish")}` };
  const child = spawn(join(root, "usr/sbin/varnishd"), args, { env, stdio: ["ignore", "ignore", "pipe"] });
  let said = "";
  child.stderr.on("data", (chunk: Buffer) => (said += chunk.toString()));
  const end = endOf(child, folder);
  const url = `http://127.0.0.1:${port}`;
  await until("an answer of Varnish", async () => {
    if (child.exitCode !== null) throw new Error(`Varnish did not start: ${said}`);
    return fetch(`${url}/up`, { method: "PURGE", headers: { "xkey-purge": "none" } }).then(
      ({ status }) => status === 200,
      () => false,
    );
  });
  return { url, [Symbol.asyncDispose]: end };
}
