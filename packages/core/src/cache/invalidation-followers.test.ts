import { createTestCache, gate, scriptedBackend, TestClock } from "@hotset/testing";
import { expect, it } from "vitest";
import type { FollowedInvalidation, InvalidationFollower } from "./invalidation-followers.ts";
import type { NamespacePlace } from "./namespace-view.ts";

const PLACE: unique symbol = Symbol.for("hotset.place");
const placeOf = (cache: object): NamespacePlace => (cache as { readonly [PLACE]: () => NamespacePlace })[PLACE]();

/** A follower that writes down what it receives. */
class Notes implements InvalidationFollower {
  readonly heard: unknown[] = [];
  status: FollowedInvalidation["status"] | undefined;

  called(path: readonly string[], tags: readonly string[]): void {
    this.heard.push(["called", path, tags]);
  }

  async acknowledged({ path, tags, mode, status }: FollowedInvalidation): Promise<FollowedInvalidation["status"]> {
    this.heard.push([status, path, tags, mode]);
    return this.status ?? status;
  }

  replayed(isAll: boolean): void {
    this.heard.push(["replayed", isAll]);
  }

  async close(): Promise<void> {
    this.heard.push("closed");
  }
}

function open() {
  const clock = new TestClock();
  const backend = scriptedBackend({ clock, tagVersions: true });
  const cache = createTestCache({ clock, backend });
  const notes = new Notes();
  return { clock, backend, cache, notes, ...placeOf(cache).follow(notes) };
}

it("a follower receives each invalidation when it is called, and again once the backend has acknowledged it", async () => {
  const { backend, cache, notes } = open();
  const renewing = gate();
  backend.script("tags.renew", { before: renewing });
  const call = cache.namespace("a").invalidateTags("t", "u");
  await renewing.arrived();
  expect(notes.heard.splice(0)).toEqual([["called", ["a"], ["t", "u"]]]);
  renewing.open();
  expect(await call).toEqual({ status: "done" });
  expect(notes.heard.splice(0)).toEqual([["done", ["a"], ["t", "u"], "hard"]]);
  await cache.markTagsStale("t");
  await cache.clear();
  await cache.delete("k");
  expect(notes.heard).toEqual([
    ["called", [], ["t"]],
    ["done", [], ["t"], "soft"],
    ["called", [], []],
    ["done", [], [], "hard"],
  ]);
});

it("a call is pending while a follower is, or the backend", async () => {
  const { backend, cache, notes, clock } = open();
  notes.status = "pending";
  expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
  notes.status = undefined;
  expect(await cache.invalidateTags("t")).toEqual({ status: "done" });
  backend.down();
  expect(await cache.invalidateTags("t")).toEqual({ status: "pending" });
  notes.heard.length = 0;
  backend.up();
  for (let i = 0; i < 40 && notes.heard.length === 0; i += 1) {
    clock.advance("500ms");
    await new Promise(setImmediate);
  }
  expect(notes.heard).toEqual([["replayed", true]]);
});

it("close of the cache waits for a follower; one that is stopped receives nothing more", async () => {
  const { cache, notes, stop } = open();
  const other = new Notes();
  placeOf(cache).follow(other);
  stop();
  await cache.invalidateTags("t");
  await cache.close();
  expect([notes.heard, other.heard.at(-1)]).toEqual([[], "closed"]);
});
