import type { Parts } from "../contracts/backend.ts";

/** The parts of a backend, not known where it throws: it is asked far from any call that could reject. */
export function steadyParts(parts: Parts, threw: (error: unknown) => void = () => undefined): Parts {
  return {
    names() {
      try {
        return parts.names();
      } catch (error) {
        threw(error);
        return [];
      }
    },
    of(key) {
      try {
        return parts.of(key);
      } catch (error) {
        threw(error);
        return "";
      }
    },
  };
}
