import { defineConfig } from "vitest/config";
import workspace from "../../../vitest.config.ts";

/** Only the subjects with planted mistakes: tests of these fail on purpose, so no other run includes them. */
export default defineConfig({
  ssr: workspace.ssr!,
  resolve: workspace.resolve!,
  test: {
    dir: import.meta.dirname,
    include: ["subjects.ts"],
    // The parts of the suites that the mistakes are about.
    testNamePattern: "returns a written entry|coherence, if it has it|maxBytes|SwapStore|where processes meet",
    testTimeout: 60_000,
  },
});
