import { readdirSync, readFileSync } from "node:fs";

/** Process ids of all that this process has started, and of what those have started. Linux only; none elsewhere. */
export function descendants(): readonly number[] {
  const children = new Map<number, number[]>();
  for (const name of processes()) {
    const parent = parentOf(name);
    if (parent !== undefined) children.set(parent, [...(children.get(parent) ?? []), Number(name)]);
  }
  const below = (pid: number): readonly number[] =>
    (children.get(pid) ?? []).flatMap((child) => [child, ...below(child)]);
  return below(process.pid);
}

function processes(): readonly string[] {
  try {
    return readdirSync("/proc").filter((name) => /^\d+$/.test(name));
  } catch {
    return [];
  }
}

function parentOf(pid: string): number | undefined {
  try {
    return Number(readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)!.split(" ")[1]);
  } catch {
    // It has ended meanwhile.
    return undefined;
  }
}
