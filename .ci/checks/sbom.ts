/** The parts of a `package.json` that say what an installation brings. */
export interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly private?: boolean;
  readonly dependencies?: Readonly<Record<string, string>>;
  readonly devDependencies?: Readonly<Record<string, string>>;
  readonly peerDependencies?: Readonly<Record<string, string>>;
  readonly peerDependenciesMeta?: Readonly<Record<string, { readonly optional?: boolean }>>;
}

export interface Component {
  readonly purl: string;
  readonly "bom-ref": string;
}

/** The part of a CycloneDX document that is read here; the rest stays as it is. */
export interface Sbom {
  readonly metadata: { readonly component: Component };
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

/** The file of a package's SBOM: `@hotset/redis` has `hotset-redis.cdx.json`. */
export function sbomFile(name: string): string {
  return `${name.replace("@", "").replace("/", "-")}.cdx.json`;
}

/**
 * With what pnpm leaves out of the SBOM of a workspace package: peers that are packages of the workspace, and packages
 * that the bundler makes part of ours, which npm never installs. The same for its dependencies.
 *
 * @param made the SBOM of each published package, by pnpm, without development dependencies.
 * @param development components of development dependencies.
 */
export function completed(
  manifest: Manifest,
  manifests: readonly Manifest[],
  made: ReadonlyMap<string, Sbom>,
  development: readonly Component[],
): Sbom {
  const sbom = made.get(manifest.name)!;
  const components = [...sbom.components];
  const dependencies = new Map(sbom.dependencies.map(({ ref, dependsOn }) => [ref, dependsOn]));
  const parts = [manifest, ...manifests.filter(({ name }) => named(components, name) !== undefined)];
  for (const part of parts) {
    const parent = named([sbom.metadata.component, ...components], part.name)!["bom-ref"];
    for (const name of [...requiredPeers(part), ...bundled(part)]) {
      const component = made.get(name)?.metadata.component ?? named(development, name);
      if (component === undefined) continue;
      if (named(components, name) === undefined) components.push(component);
      const dependsOn = dependencies.get(parent) ?? [];
      if (!dependsOn.includes(component["bom-ref"])) dependencies.set(parent, [...dependsOn, component["bom-ref"]]);
    }
  }
  return { ...sbom, components, dependencies: [...dependencies].map(([ref, dependsOn]) => ({ ref, dependsOn })) };
}

/** Names that the package has and the SBOM has not: itself, its dependencies, its peers, what is bundled with it. */
export function missingFrom({ metadata, components }: Sbom, manifest: Manifest): readonly string[] {
  const { name, version, dependencies = {} } = manifest;
  const wanted = [...Object.keys(dependencies), ...requiredPeers(manifest), ...bundled(manifest)];
  const lacking = wanted.filter((each) => named(components, each) === undefined);
  return metadata.component.purl === `${purlOf(name)}@${version}` ? lacking : [name, ...lacking];
}

function requiredPeers({ peerDependencies = {}, peerDependenciesMeta = {} }: Manifest): readonly string[] {
  return Object.keys(peerDependencies).filter((name) => peerDependenciesMeta[name]?.optional !== true);
}

/** As in rolldown.config.ts: development dependencies that the sources import become part of the package. */
function bundled({ dependencies = {}, devDependencies = {}, peerDependencies = {} }: Manifest): readonly string[] {
  return Object.entries(devDependencies)
    .filter(
      ([name, range]) => !range.startsWith("workspace:") && !(name in dependencies) && !(name in peerDependencies),
    )
    .map(([name]) => name);
}

const named = (components: readonly Component[], name: string): Component | undefined =>
  components.find(({ purl }) => purl.startsWith(`${purlOf(name)}@`));

const purlOf = (name: string): string => `pkg:npm/${name.replace("@", "%40")}`;
