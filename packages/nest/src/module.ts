import { ConfigurationError, type Cache, type NamespaceOptions } from "@hotset/core";
import { checkBuild, checkCache, checkNames } from "@hotset/core/adapter";
import {
  Module,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type OnApplicationShutdown,
  type Provider,
} from "@nestjs/common";
import { HotsetHealthIndicator } from "./health.ts";
import { getCacheToken } from "./tokens.ts";

/** Options of `HotsetModule.forRoot`: one of the two. */
export type HotsetModuleOptions =
  | {
      /** Builds the cache, once. The module closes it after the last request of a shutdown. */
      readonly build: () => Cache;
      readonly cache?: undefined;
    }
  | {
      /** A cache that the program closes itself. */
      readonly cache: Cache;
      readonly build?: undefined;
    };

/** Options of `HotsetModule.forRootAsync`. */
export interface HotsetModuleAsyncOptions extends Pick<ModuleMetadata, "imports"> {
  /** The arguments of `useFactory`. */
  readonly inject?: FactoryProvider["inject"];
  /** Gets what `inject` names. A rejection stops the start of the application. */
  readonly useFactory: (...injected: never[]) => HotsetModuleOptions | Promise<HotsetModuleOptions>;
}

/**
 * Provides a cache to all modules of an application, by `@InjectCache()`, to `HotsetInterceptor` and to
 * `HotsetHealthIndicator`. It is global: import it once, in the root module.
 */
export class HotsetModule {
  /** @throws {ConfigurationError} unless there is one of `build` and `cache`. */
  static forRoot(options: HotsetModuleOptions): DynamicModule {
    // A factory: Nest 10 makes text of a value, with all that it holds.
    return rootModule({ provide: OPTIONS, useFactory: () => options });
  }

  /**
   * As `forRoot`, with options that need other providers: those of `inject`, out of `imports`.
   *
   * @throws {ConfigurationError} at the start, for options that the factory gives, as {@link HotsetModule.forRoot}.
   */
  static forRootAsync({ imports, inject = [], useFactory }: HotsetModuleAsyncOptions): DynamicModule {
    const options = { provide: OPTIONS, inject, useFactory: useFactory as FactoryProvider["useFactory"] };
    return { ...rootModule(options), ...(imports !== undefined && { imports }) };
  }

  /**
   * Provides `cache.namespace(namespace, policy)`, by `@InjectCache(namespace)`, to the module that imports it.
   *
   * @throws {InvalidArgumentError} at the start, for a bad policy.
   */
  static forFeature<V>({ namespace, ...policy }: NamespaceOptions<V> & { readonly namespace: string }): DynamicModule {
    const token = getCacheToken(namespace);
    // Nest 10 distinguishes modules by the text of their values, and functions by their source.
    const policyToken = `${token}:policy`;
    const providers: Provider[] = [
      { provide: policyToken, useValue: policy },
      {
        provide: token,
        inject: [getCacheToken(), policyToken],
        useFactory: (cache: Cache, given: NamespaceOptions<V>) => cache.namespace(namespace, given),
      },
    ];
    return { module: HotsetModule, providers, exports: [token] };
  }
}
Module({})(HotsetModule);

const OPTIONS = "hotset:options";
const OWNER = "hotset:owner";

function rootModule(options: Provider): DynamicModule {
  const providers: Provider[] = [
    options,
    { provide: OWNER, inject: [OPTIONS], useFactory: (given: HotsetModuleOptions) => new Owner(given) },
    { provide: getCacheToken(), inject: [OWNER], useFactory: (owner: Owner) => owner.cache },
    HotsetHealthIndicator,
  ];
  return { module: HotsetModule, global: true, providers, exports: [getCacheToken(), HotsetHealthIndicator] };
}

/** Closes what it built; not in `onModuleDestroy`, while requests still run. */
class Owner implements OnApplicationShutdown {
  readonly cache: Cache;
  readonly #isOwn: boolean;

  constructor(given: HotsetModuleOptions) {
    checkNames(given ?? null, ["build", "cache"], { place: "HotsetModule.forRoot" });
    const { build, cache } = given;
    if ((build === undefined) === (cache === undefined))
      throw new ConfigurationError("HotsetModule.forRoot takes { build: () => Cache } or { cache }, and not both");
    if (build !== undefined) checkBuild(build, "HotsetModule.forRoot");
    this.#isOwn = build !== undefined;
    this.cache = cache ?? build();
    checkCache(this.cache, "HotsetModule.forRoot");
  }

  async onApplicationShutdown(): Promise<void> {
    if (this.#isOwn) await this.cache.close();
  }
}
