import { VersioningType, type ExecutionContext, type VersioningOptions } from "@nestjs/common";
import type { AbstractHttpAdapter, ModuleRef, Reflector } from "@nestjs/core";

/** The part of a request that is used. */
export interface Request {
  readonly method: string;
  readonly headers: Readonly<Record<string, string | readonly string[] | undefined>>;
}

export interface Router {
  readonly reflector: Reflector;
  readonly adapter: AbstractHttpAdapter;
  /** Absent where Nest did not make the interceptor. */
  readonly moduleRef: ModuleRef | undefined;
}

/** Metadata of `@Version()`, and of `version` in `@Controller()`. */
const VERSION_METADATA = "__version__";

/**
 * The key of an answer over HTTP: everything by which Nest chooses a handler, and the URL. `undefined` where the version
 * of the request cannot be known.
 */
export function routeKey(context: ExecutionContext, router: Router): string | undefined {
  const { adapter } = router;
  const request = context.switchToHttp().getRequest<Request>();
  const version = versionOf(context, request, router);
  if (version === undefined) return undefined;
  const route = `${context.getClass().name}.${context.getHandler().name}`;
  // The platform matches hosts by name, perhaps by that of a trusted proxy; a handler may read `Host` itself.
  const hosts = [adapter.getRequestHostname(request) as string | undefined, String(request.headers["host"] ?? "")];
  const host = [...new Set(hosts.map((each = "") => each.toLowerCase()))].join(",");
  const parts = [route, request.method, host, adapter.getRequestUrl(request) as string, version];
  // Clients choose some of them: no space of one part is the end of it.
  return parts.map((part) => part.replaceAll(/[% ]/g, encodeURIComponent)).join(" ");
}

function versionOf(context: ExecutionContext, { headers }: Request, router: Router): string | undefined {
  const { reflector, moduleRef } = router;
  const places = [context.getHandler(), context.getClass()];
  const named: unknown = reflector.getAllAndOverride(VERSION_METADATA, places);
  // Then no other version comes here.
  if (typeof named === "string") return named;
  // Nest gives the options of `app.enableVersioning()` to no provider.
  const config = (moduleRef as { container?: ModuleRef["container"] } | undefined)?.container?.applicationConfig;
  if (config === undefined) return named === undefined ? "" : undefined;
  const versioning: VersioningOptions | undefined = config.getVersioning();
  switch (versioning?.type) {
    case VersioningType.HEADER:
      return String(headers[versioning.header.toLowerCase()] ?? "");
    case VersioningType.MEDIA_TYPE:
      return String(headers["accept"] ?? "");
    case VersioningType.CUSTOM:
      return JSON.stringify(versioning.extractor(context.switchToHttp().getRequest())) ?? "";
    default:
      // In the URL.
      return "";
  }
}
