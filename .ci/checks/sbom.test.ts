import { expect, it } from "vitest";
import { completed, missingFrom, sbomFile, type Component, type Manifest, type Sbom } from "./sbom.ts";

const component = (purl: string): Component => ({ purl: `pkg:npm/${purl}`, "bom-ref": `pkg:npm/${purl}` });
const sbom = (self: string, ...components: readonly string[]): Sbom => ({
  metadata: { component: component(self) },
  components: components.map(component),
  dependencies: [{ ref: `pkg:npm/${self}`, dependsOn: components.map((each) => `pkg:npm/${each}`) }],
});

const packer = {
  name: "@acme/packer",
  version: "1.2.3",
  dependencies: { left: "^6.0.0" },
  devDependencies: { "@acme/core": "workspace:*", bundle: "2.0.0", optional: "1.0.0" },
  peerDependencies: { "@acme/core": "1.2.3", optional: "1" },
  peerDependenciesMeta: { optional: { optional: true } },
};
const core = { name: "@acme/core", version: "1.2.3" };
const all = { name: "acme", version: "1.2.3", dependencies: { "@acme/packer": "1.2.3" } };

const made = new Map([
  ["@acme/packer", sbom("%40acme/packer@1.2.3", "left@6.3.1")],
  ["@acme/core", sbom("%40acme/core@1.2.3")],
  ["acme", sbom("acme@1.2.3", "%40acme/packer@1.2.3", "left@6.3.1")],
]);
const complete = (manifest: Manifest): Sbom =>
  completed(manifest, [packer, core, all], made, [component("bundle@2.0.0"), component("optional@1.0.0")]);
const purls = ({ components }: Sbom): readonly string[] => components.map(({ purl }) => purl);

it("has peers of the workspace and bundled packages, those of dependencies too", () => {
  expect(purls(complete(packer))).toEqual(
    ["left@6.3.1", "%40acme/core@1.2.3", "bundle@2.0.0"].map((each) => `pkg:npm/${each}`),
  );
  expect(complete(packer).dependencies).toEqual([
    {
      ref: "pkg:npm/%40acme/packer@1.2.3",
      dependsOn: ["pkg:npm/left@6.3.1", "pkg:npm/%40acme/core@1.2.3", "pkg:npm/bundle@2.0.0"],
    },
  ]);
  expect(purls(complete(all))).toContain("pkg:npm/bundle@2.0.0");
  expect(complete(core)).toEqual(made.get("@acme/core"));
});

it("names what an SBOM lacks: the package in its version, a dependency, a peer, a bundled package", () => {
  expect(missingFrom(complete(packer), packer)).toEqual([]);
  expect(missingFrom(made.get("@acme/packer")!, packer)).toEqual(["@acme/core", "bundle"]);
  expect(missingFrom(complete(packer), { ...packer, version: "1.2.4" })).toEqual(["@acme/packer"]);
  expect(missingFrom(made.get("@acme/core")!, { ...packer, name: "@acme/core", peerDependencies: {} })).toContain(
    "left",
  );
});

it("gives each package a file of its own", () => {
  expect(["hotset", "@hotset/redis"].map(sbomFile)).toEqual(["hotset.cdx.json", "hotset-redis.cdx.json"]);
});
