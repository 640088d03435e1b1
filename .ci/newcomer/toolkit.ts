import { startCluster, startTlsRedis } from "@hotset/test-servers";
import type { Newcomer } from "./newcomer.ts";

const program = (load: string): string => `${load}
async function main() {
  const redis = createRedis();
  if (!(await redis.initialize())) throw new Error("Redis is " + redis.state);
  const tenant = redis.tenant("newcomer");
  for (let i = 0; i < 20; i += 1) await tenant.commands.set("k" + i, i, { ttl: "1m" });
  console.log((await tenant.commands.getMany(["k0", "k19"])).join(), await tenant.purge());
  await redis.disconnect();
}
main();
`;

/** The toolkit, set up by variables alone: TLS with a password and certificates, and a cluster. */
export async function toolkit(
  { project, step, check }: Newcomer,
  nodes: Readonly<Record<string, string>>,
): Promise<void> {
  const made = project("toolkit", {
    dependencies: { "@hotset/redis-toolkit": "latest", "@hotset/redis": "latest", "@hotset/core": "latest" },
  });
  await made.run("npm", ["install"]);
  made.write("program.mjs", program('import { createRedis } from "@hotset/redis-toolkit";'));
  made.write("program.cjs", program('const { createRedis } = require("@hotset/redis-toolkit");'));

  const run = async (node: string, file: string, environment: NodeJS.ProcessEnv): Promise<void> => {
    const { stdout, stderr } = await made.run(node, [file], environment);
    check(stdout === "0,19 20\n" && stderr === "", `${file}: ${stdout}${stderr}`);
  };
  for (const [name, node] of Object.entries(nodes)) {
    await step(`${name}: the toolkit by variables alone: TLS, certificates and a password`, async () => {
      await using tls = await startTlsRedis({ clientCertificates: "required", password: "s3cret" });
      const environment = {
        REDIS_HOST: "localhost",
        REDIS_PORT: new URL(tls.url).port,
        REDIS_PASSWORD: "s3cret",
        REDIS_TLS_ENABLED: "true",
        REDIS_TLS_CA_PATH: tls.files.ca,
        REDIS_TLS_CERT_PATH: tls.files.clientCert,
        REDIS_TLS_KEY_PATH: tls.files.clientKey,
      };
      for (const file of ["program.mjs", "program.cjs"]) await run(node, file, environment);
    });
  }
  await step("the toolkit by variables alone: a cluster", async () => {
    await using cluster = await startCluster({ replicas: 0 });
    const environment = { REDIS_CLUSTER_URLS: cluster.urls.slice(0, 2).join(",") };
    for (const node of Object.values(nodes)) await run(node, "program.mjs", environment);
  });
}
