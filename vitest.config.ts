import { defineConfig } from "vitest/config";

export default defineConfig({
  ssr: { resolve: { conditions: ["@hotset/source"] } },
  resolve: { conditions: ["@hotset/source"] },
  test: {
    include: [".ci/checks/*.test.ts", "packages/*/{src,test}/**/*.test.ts", "docs/**/*.test.ts"],
    environment: "node",
    globalSetup: ["./packages/test-servers/src/global-setup.ts"],
  },
});
