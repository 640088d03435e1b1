import { join } from "node:path";
import { PackageCopy } from "./package-copy.ts";
import { Service } from "./service.ts";

await using copy = await PackageCopy.of(join(import.meta.dirname, "../../../node_modules/.pnpm"));
console.log(`${copy.names.length} packages, ${copy.files} files, ${(copy.bytes / 2 ** 20).toFixed(1)} MiB`);
const service = await Service.start({ copy, redisUrl: process.env["REDIS_URL"] });
for (const name of [copy.names[0]!, copy.names[0]!]) {
  const answer = await fetch(`${service.url}/packages/${encodeURIComponent(name)}`);
  console.log(answer.status, answer.headers.get("cache-status"), answer.headers.get("age"), await answer.text());
}
await service.close();
