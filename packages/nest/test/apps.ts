// Nest without the syntax of decorators, which Node does not run: `decorate` applies them.
import "reflect-metadata";
import { HotsetInterceptor } from "@hotset/nest";
import type { Type } from "@nestjs/common";
import { Controller, Get, Inject, Injectable, Module, Param, Post, Res, Sse, UseInterceptors } from "@nestjs/common";
import type { INestApplication, ModuleMetadata } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { FastifyAdapter } from "@nestjs/platform-fastify";
import { onTestFinished } from "vitest";

export type Platform = "Express" | "Fastify";

type OfParameter = (target: object, name: string | symbol | undefined, index: number) => void;

export interface Decorated {
  readonly onClass?: readonly ClassDecorator[];
  readonly onMethods?: Readonly<Record<string, readonly MethodDecorator[]>>;
  /** By method; `constructor` for those of the class. */
  readonly onParameters?: Readonly<Record<string, readonly OfParameter[]>>;
}

export function decorate<C extends Type>(target: C, { onClass = [], onMethods = {}, onParameters = {} }: Decorated): C {
  const prototype = target.prototype as object;
  for (const [method, decorators] of Object.entries(onParameters))
    for (const [index, decorator] of decorators.entries())
      if (method === "constructor") decorator(target, undefined, index);
      else decorator(prototype, method, index);
  for (const [method, decorators] of Object.entries(onMethods)) {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, method)!;
    for (const decorator of decorators.toReversed()) decorator(prototype, method, descriptor);
    Object.defineProperty(prototype, method, descriptor);
  }
  for (const decorator of onClass.toReversed()) decorator(target);
  return target;
}

export interface Response {
  status(code: number): Response;
  header(name: string, value: string): Response;
  send(body: unknown): void;
}

const passthrough = Res({ passthrough: true });

/** An application that listens until the test ends. */
export async function start(
  metadata: ModuleMetadata,
  platform: Platform = "Express",
  prepare: (app: INestApplication) => void = () => {},
): Promise<Running> {
  class Root {}
  Module(metadata)(Root);
  const options = { logger: false, abortOnError: false } as const;
  const app =
    platform === "Express"
      ? await NestFactory.create(Root, options)
      : await NestFactory.create(Root, new FastifyAdapter(), options);
  onTestFinished(() => app.close());
  prepare(app);
  await app.listen(0, "127.0.0.1");
  const url = await app.getUrl();
  return {
    app,
    async get(path, init) {
      const response = await fetch(url + path, init);
      const text = await response.text();
      return { status: response.status, text, headers: response.headers, cache: response.headers.get("x-cache") };
    },
  };
}

export interface Running {
  readonly app: INestApplication;
  get(path: string, init?: RequestInit): Promise<Got>;
}

export interface Got {
  readonly status: number;
  readonly text: string;
  readonly headers: Headers;
  /** `X-Cache`. */
  readonly cache: string | null;
}

interface How {
  readonly interceptor?: Type;
  readonly method?: (path?: string) => MethodDecorator;
  /** Whether the handler answers by itself. */
  readonly isOwn?: boolean;
}

/** A controller of one handler, which counts its runs. */
export function handler(
  path: string,
  run: (runs: number, response: Response, id: string) => unknown,
  decorators: readonly MethodDecorator[] = [],
  { interceptor = HotsetInterceptor, method = Get, isOwn = false }: How = {},
): Type {
  let runs = 0;
  class Handler {
    handle(response: Response, id: string): unknown {
      return run((runs += 1), response, id);
    }
  }
  return decorate(Handler, {
    onClass: [Controller(path), UseInterceptors(interceptor)],
    onMethods: { handle: [method(":id"), ...decorators] },
    onParameters: { handle: [isOwn ? Res() : passthrough, Param("id")] },
  });
}

export { Inject, Injectable, Post, Sse };
