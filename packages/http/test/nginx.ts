import { execFile, spawn } from "node:child_process";
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, until } from "@hotset/test-servers";
import { endOf, unpackedPackages } from "./debian.ts";

const run = promisify(execFile);

/** nginx: that of PATH, else Debian's. */
async function nginxProgram(): Promise<string> {
  const isInstalled = await run("nginx", ["-v"]).then(
    () => true,
    () => false,
  );
  return isInstalled ? "nginx" : join(await unpackedPackages("nginx", ["nginx"]), "usr/sbin/nginx");
}

export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

/** nginx in front of `ports`, in turn; with `keeps`, as a cache. */
export async function startNginx(ports: readonly number[], keeps = false): Promise<Nginx> {
  const folder = await mkdtemp(join(tmpdir(), "hotset-nginx-"));
  const port = await freePort();
  const temporary = ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"]
    .map((name) => `${name}_temp_path ${folder}/${name};`)
    .join(" ");
  await writeFile(
    join(folder, "nginx.conf"),
    `daemon off; master_process off; pid ${folder}/pid; error_log ${folder}/error.log;
events { worker_connections 512; }
http {
  access_log off; ${temporary}
  ${keeps ? `proxy_cache_path ${folder}/cache keys_zone=pages:1m;` : ""}
  upstream shop { ${ports.map((each) => `server 127.0.0.1:${each};`).join(" ")} keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_next_upstream off;
      ${keeps ? "proxy_cache pages; add_header x-nginx $upstream_cache_status;" : ""}
    }
  }
}
`,
  );
  const child = spawn(await nginxProgram(), ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: "ignore" });
  const end = endOf(child, folder);
  const url = `http://127.0.0.1:${port}`;
  await until("an answer of nginx", async () =>
    fetch(`${url}/up`).then(
      async (answer) => (await answer.text(), true),
      () => false,
    ),
  );
  return { url, [Symbol.asyncDispose]: end };
}
