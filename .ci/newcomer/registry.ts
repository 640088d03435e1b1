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

/** @param upstream ends with a slash. */
export async function startRegistry(packages: readonly Packed[], upstream: string): Promise<Registry> {
  const server: Server = createServer((request, response) => {
    const path = decodeURIComponent(request.url ?? "/").slice(1);
    const tarball = packages.find((each) => path === `tarballs/${basename(each.tarball)}`)?.tarball;
    if (tarball !== undefined) return void createReadStream(tarball).pipe(response);
    const found = packages.find(({ manifest }) => manifest.name === path);
    if (found === undefined) return void response.writeHead(302, { location: upstream + path }).end();
    response.writeHead(200, { "content-type": "application/json" }).end(JSON.stringify(documentOf(found)));
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;

  const documentOf = ({ manifest, tarball }: Packed): object => ({
    name: manifest.name,
    "dist-tags": { latest: manifest.version },
    // Package managers may refuse what was published an hour ago.
    time: { [manifest.version]: "2026-01-01T00:00:00.000Z" },
    versions: {
      [manifest.version]: {
        ...manifest,
        dist: {
          tarball: `${url}tarballs/${basename(tarball)}`,
          integrity: `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`,
        },
      },
    },
  });
  return {
    url,
    [Symbol.asyncDispose]: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
