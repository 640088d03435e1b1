/** Programs that await the cache, and have nothing else that keeps them alive: no socket, no timer. */
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { createTestCache, flush, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { describe, expect, it } from "vitest";

const sqlite = new URL("../../../../docs/examples/sqlite-backend/sqlite-backend.ts", import.meta.url).href;
const script = fileURLToPath(new URL("../support/waiting-process.ts", import.meta.url));

interface Program {
  readonly started: Promise<unknown>;
  readonly ended: Promise<readonly [code: unknown, output: string]>;
}

function run(...args: readonly string[]): Program {
  const flags = ["--conditions=@hotset/source", "--no-warnings"];
  const child = spawn(process.execPath, [...flags, script, ...args], { stdio: ["ignore", "pipe", "inherit"] });
  let output = "";
  child.stdout.on("data", (chunk: Buffer) => (output += chunk.toString()));
  const ended = once(child, "close").then(([code]) => [code, output] as const);
  return { started: once(child.stdout, "data"), ended };
}

it("C52 a program that waits for the load of another process gets its value", async () => {
  const folder = await mkdtemp(join(tmpdir(), "hotset-held-"));
  const file = join(folder, "cache.db");
  const first = run("load", file, sqlite);
  await first.started;
  const second = run("getOrSet while another process loads", file, sqlite);
  expect(await Promise.all([first.ended, second.ended])).toEqual([
    [0, "loading loaded once\n"],
    [0, "loaded once\n"],
  ]);
  await rm(folder, { recursive: true, force: true });
});

it.for([
  ["getOrSet of a loader that hangs", "LoadTimeoutError"],
  ["get of a backend that hangs", "undefined"],
  ["set of a backend that hangs", "pending"],
  ["drain of a load that hangs", "drained"],
  ["close of a load that hangs", "closed"],
] as const)("%s ends at its limit, and not with the process", async ([how, output]) => {
  expect(await run(how).ended).toEqual([0, `${output}\n`]);
});

describe("C116 the process is held while a caller waits, and no longer:", () => {
  const opened = () => {
    let held = 0;
    const clock = Object.assign(new TestClock(), {
      hold: () => {
        held += 1;
        return () => void (held -= 1);
      },
    });
    const backend = scriptedBackend({ clock, deadlineMs: 1_000 });
    return {
      clock,
      backend,
      held: () => held,
      ofMemory: createTestCache({ clock, ttl: 100, staleWhileRevalidate: "1h" }),
    };
  };

  it("two calls for loads", async () => {
    const { ofMemory, held } = opened();
    const [one, two] = [gate<number>(), gate<number>()];
    const calls = [ofMemory.getOrSet("one", () => one.pass()), ofMemory.getOrSet("two", () => two.pass())];
    await Promise.all([one.arrived(), two.arrived()]);
    expect(held()).toBe(1);
    one.open(1);
    await calls[0];
    expect(held()).toBe(1);
    two.open(2);
    await calls[1];
    expect(held()).toBe(0);
  });

  it("a refresh in the background holds nothing, but drain does", async () => {
    const { ofMemory, held, clock } = opened();
    const refresh = gate<number>();
    await ofMemory.set("k", 1);
    clock.advance(100);
    expect(await ofMemory.getOrSet("k", () => refresh.pass())).toBe(1);
    await refresh.arrived();
    expect(held()).toBe(0);
    const draining = ofMemory.drain();
    expect(held()).toBe(1);
    refresh.open(2);
    await draining;
    expect(held()).toBe(0);
  });

  it("a backend that does not answer, until the deadline", async () => {
    const { clock, backend, held } = opened();
    const cache = createTestCache({ clock, backend, local: false });
    backend.script("read", { before: gate() });
    const read = cache.get("k");
    await flush();
    expect(held()).toBe(1);
    clock.advance(1_000);
    expect([await read, held()]).toEqual([undefined, 0]);
    await cache.set("k", 1);
    expect(held()).toBe(0);
  });
});
