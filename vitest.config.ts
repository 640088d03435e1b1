import { availableParallelism } from "node:os";
import { defineConfig, type TestProjectInlineConfiguration } from "vitest/config";
import { BaseSequencer, type TestSpecification } from "vitest/node";

type Settings = NonNullable<TestProjectInlineConfiguration["test"]>;

/** Test files that run together, by their names. */
export interface Lane {
  readonly include: readonly string[];
  readonly exclude: readonly string[];
}

const LATER = ["**/*.all.test.ts", "**/*.alone.test.ts", "**/*.nightly.test.ts"];

/** Each is a project of vitest. `npm test` runs the first three, one after another. */
export const LANES = {
  units: { include: ["packages/*/{src,entries}/**/*.test.ts"], exclude: LATER },
  /** Without a server. */
  stories: { include: ["packages/*/test/**/*.test.ts"], exclude: ["**/*.integration.test.ts", ...LATER] },
  servers: { include: ["packages/*/test/**/*.integration.test.ts"], exclude: [] },
  all: {
    // Outside of packages all tests are of this lane, under any name.
    include: ["packages/**/*.all.test.ts", "{docs,benchmarks,.ci/checks}/**/*.test.ts"],
    exclude: ["**/*.alone.test.ts", "**/*.nightly.test.ts"],
  },
  /** Bounds of real time, and full heaps: one file after another, with no other step next to it. */
  alone: { include: ["packages/**/*.alone.test.ts"], exclude: [] },
  nightly: { include: ["{packages,docs,benchmarks}/**/*.nightly.test.ts"], exclude: [] },
} satisfies Readonly<Record<string, Lane>>;

const project = (name: keyof typeof LANES, settings: Settings): TestProjectInlineConfiguration => ({
  extends: true,
  test: {
    name,
    include: [...LANES[name].include],
    exclude: ["**/node_modules/**", "**/dist/**", ...LANES[name].exclude],
    sequence: { groupOrder: Object.keys(LANES).indexOf(name) },
    ...settings,
  },
});

const cores = Math.max(2, availableParallelism());
// A process loads the sources once, for all of its files: alone, each file takes half a second to begin.
const inProcess: Settings = {
  isolate: false,
  maxWorkers: cores,
  setupFiles: ["./packages/stories/test/support/leaves-nothing.ts"],
};
// Most of these tests wait for servers and other processes: two files at a time leave half of two cores idle.
const overServers: Settings = { globalSetup: ["./packages/test-servers/src/global-setup.ts"], maxWorkers: 2 * cores };

/** Vitest begins with the largest files. These are small, take longest, and would run last, next to idle workers. */
const LONGEST = [
  "packages/postgres/test/contract.integration",
  "packages/redis/test/backend.integration",
  "packages/redis-toolkit/test/queue.integration",
  "packages/stories/test/processes/fences-of-stores.integration",
  "packages/stories/test/processes/failed-loads.integration",
  "docs/site.integration",
  "packages/stories/test/project/contract-suites.all",
  "docs/examples/demo/demo",
  "packages/torture/test/fuzz.all",
];

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const sorted = await super.sort(files);
    const isLong = ({ moduleId }: TestSpecification): boolean =>
      LONGEST.some((name) => moduleId.includes(`/${name}.test`));
    return [...sorted.filter(isLong), ...sorted.filter((file) => !isLong(file))];
  }
}

export default defineConfig({
  ssr: { resolve: { conditions: ["@hotset/source"] } },
  resolve: { conditions: ["@hotset/source"] },
  test: {
    environment: "node",
    // Most caches of these tests have troubles on purpose.
    execArgv: ["--no-warnings"],
    // Only what hangs is to fail by time, on a busy machine too.
    testTimeout: 300_000,
    // One builds the site: half a minute of processor time.
    hookTimeout: 540_000,
    expect: { poll: { timeout: 60_000 } },
    sequence: { sequencer: LongestFirst },
    projects: [
      project("units", inProcess),
      project("stories", inProcess),
      project("servers", overServers),
      project("all", overServers),
      // Faults and heaps are measured alone on the machine.
      project("alone", { ...overServers, maxWorkers: 1 }),
      project("nightly", { ...overServers, maxWorkers: 1 }),
    ],
  },
});
