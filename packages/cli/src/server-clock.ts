import type { Session } from "./command.ts";

/** Milliseconds since 1970. Instants of jobs and of leases are those of the server. */
export async function serverNow({ connection, timeoutMs }: Session): Promise<number> {
  const reply = await connection.call(["TIME"], { isReadOnly: true, deadlineMs: timeoutMs });
  const [seconds, micros] = (reply as readonly unknown[]).map(Number) as [number, number];
  return seconds * 1_000 + Math.floor(micros / 1_000);
}
