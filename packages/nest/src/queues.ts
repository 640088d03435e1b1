import { ConfigurationError } from "@hotset/core";
import {
  Inject,
  Injectable,
  Module,
  SetMetadata,
  type BeforeApplicationShutdown,
  type DynamicModule,
  type FactoryProvider,
  type ModuleMetadata,
  type OnApplicationBootstrap,
  type Provider,
} from "@nestjs/common";
import { ModuleRef, ModulesContainer, Reflector } from "@nestjs/core";

/** The part of a queue of `@hotset/redis-toolkit/queue` that is used. */
export interface HotsetQueue {
  /** Takes jobs from now on. */
  worker(
    handler: (job: { readonly name?: string | undefined }, context: unknown) => unknown,
    options?: object,
  ): {
    /** Takes no more jobs, and waits for handlers. */
    stop(): Promise<void>;
  };
}

/** How a queue is made: a function, or one that gets other providers. */
export type HotsetQueueFactory =
  | (() => HotsetQueue)
  | {
      /** The arguments of `useFactory`. */
      readonly inject: NonNullable<FactoryProvider["inject"]>;
      /** Gets what `inject` names. */
      readonly useFactory: (...injected: never[]) => HotsetQueue | Promise<HotsetQueue>;
    };

/** Options of `HotsetQueueModule.forRoot`. */
export interface HotsetQueueModuleOptions extends Pick<ModuleMetadata, "imports"> {
  /** Queues by the names of `@InjectQueue` and `@Processor`. */
  readonly queues: Readonly<Record<string, HotsetQueueFactory>>;
  /** `false`: this process adds jobs, and its processors run none. @default true */
  readonly work?: boolean | undefined;
}

/** The token of a queue of `HotsetQueueModule.forRoot`. Never throws. */
export const getQueueToken = (name: string): string => `hotset:queue:${name}`;

/** Injects a queue: `constructor(@InjectQueue("emails") emails: Queue<Email>)`. Nest throws where there is none. */
export const InjectQueue = (name: string): ParameterDecorator & PropertyDecorator => Inject(getQueueToken(name));

const PROCESSOR = "hotset:processor";
const JOB = "hotset:job";

interface Processing {
  readonly queue: string;
  readonly options: object | undefined;
}

/**
 * Makes a class a provider whose methods with `@OnJob` run the jobs of a queue, from the start of the application to its
 * shutdown.
 *
 * @param queue its name in `HotsetQueueModule.forRoot`
 * @param options those of its worker, such as `{ concurrency: 8 }`; an option that can never work throws at the start
 */
export const Processor =
  (queue: string, options?: object): ClassDecorator =>
  (target) => {
    Injectable()(target);
    SetMetadata(PROCESSOR, { queue, options } satisfies Processing)(target);
  };

/**
 * Runs jobs by a method, which gets `(job, { signal })` as a handler of a worker does, and fails its job where it throws.
 *
 * @param name the `name` of these jobs. @default all that no other method has
 */
export const OnJob = (name?: string): MethodDecorator => SetMetadata(JOB, { name });

/**
 * Queues of `@hotset/redis-toolkit` for all modules of an application. It is global: import it once, in the root module.
 * Its workers stop before connections are closed, in a shutdown.
 */
export class HotsetQueueModule {
  /**
   * Provides each queue by `@InjectQueue(name)`, and starts a worker for each class with `@Processor(name)`.
   *
   * @throws {ConfigurationError} at the start, for a processor whose queue is not there, which has no method with
   *   `@OnJob`, two for one name, or one instance for each request.
   */
  static forRoot({ queues, imports, work = true }: HotsetQueueModuleOptions): DynamicModule {
    const providers: Provider[] = Object.entries(queues).map(([name, made]) => ({
      provide: getQueueToken(name),
      ...(typeof made === "function"
        ? { useFactory: made }
        : { inject: made.inject, useFactory: made.useFactory as FactoryProvider["useFactory"] }),
    }));
    return {
      module: HotsetQueueModule,
      global: true,
      providers: work ? [...providers, Processors] : providers,
      exports: Object.keys(queues).map(getQueueToken),
      ...(imports !== undefined && { imports }),
    };
  }
}
Module({})(HotsetQueueModule);

/** The workers of all classes with `@Processor`. */
class Processors implements OnApplicationBootstrap, BeforeApplicationShutdown {
  readonly #modules: ModulesContainer;
  readonly #reflector: Reflector;
  readonly #ref: ModuleRef;
  readonly #workers: { stop(): Promise<void> }[] = [];

  constructor(modules: ModulesContainer, reflector: Reflector, ref: ModuleRef) {
    this.#modules = modules;
    this.#reflector = reflector;
    this.#ref = ref;
  }

  /** Once all providers are there. */
  onApplicationBootstrap(): void {
    // First of all, so that a mistake starts no worker.
    const found = this.#processors().map(([instance, processing]) => {
      const { name } = (instance as { readonly constructor: { readonly name: string } }).constructor;
      const methods = this.#methodsOf(instance, name);
      return { processing, queue: this.#queueOf(processing.queue, name), run: handlerOf(name, methods) };
    });
    try {
      for (const { processing, queue, run } of found) this.#workers.push(queue.worker(run, processing.options));
    } catch (error) {
      // The application does not start, and nothing else would stop those that run.
      void this.beforeApplicationShutdown();
      throw error;
    }
  }

  /** Requests and connections are still there: handlers may need them. */
  async beforeApplicationShutdown(): Promise<void> {
    await Promise.all(this.#workers.splice(0).map((worker) => worker.stop()));
  }

  #processors(): readonly (readonly [instance: object, processing: Processing])[] {
    const found = new Map<object, Processing>();
    for (const { providers } of this.#modules.values())
      for (const wrapper of providers.values()) {
        const { metatype } = wrapper;
        if (typeof metatype !== "function") continue;
        const processing = this.#reflector.get<Processing | undefined>(PROCESSOR, metatype);
        if (processing === undefined) continue;
        if (!wrapper.isDependencyTreeStatic())
          throw new ConfigurationError(`@Processor: ${metatype.name} has an instance for each request; jobs have none`);
        found.set(wrapper.instance as object, processing);
      }
    return [...found];
  }

  #queueOf(name: string, processor: string): HotsetQueue {
    try {
      return this.#ref.get<HotsetQueue>(getQueueToken(name), { strict: false });
    } catch {
      throw new ConfigurationError(
        `@Processor: ${processor} names the queue ${JSON.stringify(name)}, which HotsetQueueModule.forRoot does not have`,
      );
    }
  }

  /** Methods by the names of jobs; `undefined` for all others. */
  #methodsOf(instance: object, processor: string): Methods {
    const methods: Methods = new Map();
    for (const method of methodsIn(instance)) {
      const given = this.#reflector.get<{ readonly name: string | undefined } | undefined>(JOB, method);
      if (given === undefined) continue;
      if (methods.has(given.name))
        throw new ConfigurationError(
          `@OnJob: ${processor} has two methods for ${JSON.stringify(given.name ?? "all jobs")}`,
        );
      methods.set(given.name, method.bind(instance) as Method);
    }
    if (methods.size === 0) throw new ConfigurationError(`@Processor: ${processor} has no method with @OnJob`);
    return methods;
  }
}
Injectable()(Processors);
Inject(ModulesContainer)(Processors, undefined, 0);
Inject(Reflector)(Processors, undefined, 1);
Inject(ModuleRef)(Processors, undefined, 2);

type Method = Parameters<HotsetQueue["worker"]>[0];
type Methods = Map<string | undefined, Method>;

const handlerOf =
  (processor: string, methods: Methods) =>
  (...[job, context]: Parameters<Method>): unknown => {
    const method = (job.name === undefined ? undefined : methods.get(job.name)) ?? methods.get(undefined);
    if (method === undefined)
      throw new Error(`${processor} has no method with @OnJob for jobs named ${JSON.stringify(job.name)}`);
    return method(job, context);
  };

/** Its own and those of its parents; one that is overridden counts once. */
function methodsIn(instance: object): readonly ((...args: unknown[]) => unknown)[] {
  const methods = new Map<string, (...args: unknown[]) => unknown>();
  let prototype: unknown = Object.getPrototypeOf(instance);
  for (; prototype !== null && prototype !== Object.prototype; prototype = Object.getPrototypeOf(prototype))
    for (const [name, { value }] of Object.entries(Object.getOwnPropertyDescriptors(prototype as object)))
      if (typeof value === "function" && name !== "constructor" && !methods.has(name))
        methods.set(name, value as (...args: unknown[]) => unknown);
  return [...methods.values()];
}
