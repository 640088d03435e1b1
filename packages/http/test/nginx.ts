import { execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { access, mkdir, mkdtemp, readdir, rename, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import { freePort, until } from "@hotset/test-servers";

const run = promisify(execFile);

/** nginx: that of PATH, else Debian's, downloaded and unpacked once. Needs no root, and installs nothing. */
async function nginxProgram(): Promise<string> {
  const isInstalled = await run("nginx", ["-v"]).then(
    () => true,
    () => false,
  );
  if (isInstalled) return "nginx";
  const folder = join(tmpdir(), "hotset-test-servers", "nginx");
  const program = join(folder, "usr/sbin/nginx");
  const isThere = await access(program).then(
    () => true,
    () => false,
  );
  if (isThere) return program;
  await mkdir(join(folder, ".."), { recursive: true });
  const work = await mkdtemp(`${folder}-`);
  await run("apt-get", ["download", "nginx"], { cwd: work, timeout: 180_000 });
  const file = (await readdir(work)).find((name) => name.endsWith(".deb"))!;
  await run("dpkg", ["-x", join(work, file), join(work, "root")]);
  await rename(join(work, "root"), folder).catch(() => undefined);
  await rm(work, { recursive: true, force: true });
  return program;
}

export interface Nginx extends AsyncDisposable {
  readonly url: string;
}

/** nginx in front of `ports`, in turn. */
export async function startNginx(ports: readonly number[]): Promise<Nginx> {
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
  upstream shop { ${ports.map((each) => `server 127.0.0.1:${each};`).join(" ")} keepalive 16; }
  server {
    listen 127.0.0.1:${port};
    location / {
      proxy_pass http://shop; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_next_upstream off;
    }
  }
}
`,
  );
  const child = spawn(await nginxProgram(), ["-p", folder, "-c", join(folder, "nginx.conf")], { stdio: "ignore" });
  const ended = once(child, "exit");
  const url = `http://127.0.0.1:${port}`;
  await until("an answer of nginx", async () =>
    fetch(`${url}/up`).then(
      async (answer) => (await answer.text(), true),
      () => false,
    ),
  );
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      child.kill();
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}
