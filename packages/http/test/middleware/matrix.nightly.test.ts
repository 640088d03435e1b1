import { execFileSync } from "node:child_process";
import { cpSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll } from "vitest";
import { describeCells, describeNode, type Make } from "./cells.ts";
import { STEPS, UNCHANGED } from "./client.ts";
import { FASTIFY_PARTS, fastifyApp } from "./fastify.ts";
import { HONO_PARTS, honoApp } from "./hono.ts";
import { kitOf, PARTS } from "./parts.ts";

// In a folder of their own: the workspace needs none of them.
const folder = mkdtempSync(join(tmpdir(), "hotset-middleware-"));
beforeAll(() => {
  cpSync(join(import.meta.dirname, "packages"), folder, { recursive: true });
  const words = ["--yes", "pnpm@12.21.0", "install", "--frozen-lockfile", "--ignore-workspace"];
  execFileSync("npx", words, { cwd: folder, stdio: "ignore" });
});
afterAll(() => rmSync(folder, { recursive: true }));

const without = <T>(all: readonly T[], one: T): readonly T[] => all.filter((each) => each !== one);
const kit = (): ReturnType<typeof kitOf> => kitOf(join(folder, "package.json"));
describeNode(kit, Object.keys(PARTS));
describeCells("Fastify", Object.keys(FASTIFY_PARTS), (name, place, cache, surroundings) =>
  fastifyApp((app) => FASTIFY_PARTS[name]!(app, kit(), surroundings), place, cache),
);
const inHono: Make = (name, place, cache, surroundings) =>
  honoApp(HONO_PARTS[name]!(kit(), surroundings), place, cache, kit());
describeCells("Hono", without(Object.keys(HONO_PARTS), "static"), inHono);
// It answers no conditions, as the cache does.
describeCells("Hono", ["static"], inHono, without(STEPS, UNCHANGED));
