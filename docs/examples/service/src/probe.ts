// The health check of the image, without a shell or another program: exits 0 while /ready answers 200.
//
//     node src/probe.ts

import { PATHS, READY_DEADLINE_MS, readSettings } from "./settings.ts";

const { port } = readSettings(process.env);
try {
  const url = `http://127.0.0.1:${port}${PATHS.ready}`;
  const { status } = await fetch(url, { signal: AbortSignal.timeout(4 * READY_DEADLINE_MS) });
  process.exitCode = status === 200 ? 0 : 1;
} catch {
  process.exitCode = 1;
}
