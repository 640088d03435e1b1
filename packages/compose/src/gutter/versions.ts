import type { TagVersions } from "@hotset/core";
import type { Side } from "../side.ts";
import type { Phases } from "./phases.ts";

/**
 * Tag versions of the backend that answers. They are never issued twice, so what was stored under those of one backend
 * is gone under those of the other.
 */
export function versionsOf(main: Side, small: Side, phases: Phases, renew: TagVersions["renew"]): TagVersions {
  const issuer = (side: Side, mark: string): Omit<TagVersions, "renew"> => {
    const versions = side.backend.tagVersions!;
    const call = <T>(tags: readonly string[], run: () => Promise<T>): Promise<T> => side.call("tags", tags[0], run);
    return {
      read: (tags) => side.readVersions(() => versions.read(tags)),
      async pin(tags) {
        const { at, versions: pinned } = await call(tags, () => versions.pin(tags));
        return { at: mark + at, versions: pinned };
      },
      unchangedSince(at, tags) {
        // A position of the other one says nothing here.
        if (!at.startsWith(mark)) return Promise.resolve(tags.map(() => undefined));
        return call(tags, () => versions.unchangedSince(at.slice(mark.length), tags));
      },
    };
  };
  const [inMain, inSmall] = [issuer(main, "m"), issuer(small, "s")];
  return {
    read: (tags) =>
      phases.ask(
        () => inMain.read(tags),
        () => inSmall.read(tags),
      ),
    pin: (tags) =>
      phases.ask(
        () => inMain.pin(tags),
        () => inSmall.pin(tags),
      ),
    unchangedSince: (at, tags) =>
      phases.ask(
        () => inMain.unchangedSince(at, tags),
        () => inSmall.unchangedSince(at, tags),
      ),
    renew,
  };
}
