import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@hotset/source"] } },
  resolve: { conditions: ["@hotset/source"] },
  test: {
    environment: "node",
    // Most caches of these tests have troubles on purpose.
    execArgv: ["--no-warnings"],
    // Most of these tests wait for servers and other processes: two files at a time leave half of two cores idle.
    maxWorkers: 4,
    // Only what hangs is to fail by time, on a busy machine too.
    testTimeout: 60_000,
    hookTimeout: 60_000,
    expect: { poll: { timeout: 15_000 } },
    projects: [
      {
        extends: true,
        // One process loads the sources once, for all of its files: alone, each file takes half a second to begin.
        test: { name: "units", include: ["packages/*/src/**/*.test.ts"], isolate: false },
      },
      {
        extends: true,
        test: {
          name: "all else",
          globalSetup: ["./packages/test-servers/src/global-setup.ts"],
          include: [
            ".ci/checks/*.test.ts",
            "benchmarks/**/*.test.ts",
            "packages/*/test/**/*.test.ts",
            "docs/**/*.test.ts",
          ],
        },
      },
    ],
  },
});
