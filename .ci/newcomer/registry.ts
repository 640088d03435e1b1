// A registry for one run: it serves the packed packages as if they were published, and sends every other request on to
// the registry that npm is configured with.

import { createHash } from "node:crypto";
import { createReadStream, readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { basename } from "node:path";

export interface Packed {
  /** The `package.json` in the tarball. */
  readonly manifest: { readonly name: string; readonly version: string };
  readonly tarball: string;
}

export interface Registry extends AsyncDisposable {
  readonly url: string;
}

/** The versions of a package by its name; none for one that is left to the registry behind this one. */
export type PackedOf = (name: string) => readonly Packed[];

/** @param upstream ends with a slash; without one, other packages do not exist. */
export async function startRegistry(packedOf: PackedOf, upstream: string | undefined): Promise<Registry> {
  const tarballs = new Map<string, string>();
  const server: Server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "/").slice(1);
    const tarball = tarballs.get(path);
    if (tarball !== undefined) return void createReadStream(tarball).pipe(response);
    const found = packedOf(path);
    if (found.length === 0)
      return void (
        upstream === undefined ? response.writeHead(404) : response.writeHead(302, { location: upstream + path })
      ).end();
    for (const each of found) tarballs.set(`tarballs/${basename(each.tarball)}`, each.tarball);
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(documentOf(found)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  const versionOf = ({ manifest, tarball }: Packed): object => ({
    ...manifest,
    dist: {
      tarball: `${url}tarballs/${basename(tarball)}`,
      integrity: `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`,
    },
  });
  const documentOf = (versions: readonly Packed[]): object => {
    const names = versions.map(({ manifest }) => manifest.version);
    return {
      name: versions[0]!.manifest.name,
      "dist-tags": { latest: names.toSorted(byVersion).at(-1) },
      // Package managers may refuse what was published an hour ago.
      time: Object.fromEntries(names.map((name) => [name, "2026-01-01T00:00:00.000Z"])),
      versions: Object.fromEntries(versions.map((each) => [each.manifest.version, versionOf(each)])),
    };
  };
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

const byVersion = (some: string, other: string): number => some.localeCompare(other, "en", { numeric: true });
