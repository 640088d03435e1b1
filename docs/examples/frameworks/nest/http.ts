/** Nest behind the HTTP cache: one line before it listens, on Express or on Fastify. */
import "reflect-metadata";
import type { HttpCache } from "@hotset/http";
import { expressCache, fastifyCache } from "@hotset/http/node";
import {
  Body,
  Controller,
  Get,
  Header,
  type INestApplication,
  Module,
  NotFoundException,
  Param,
  Put,
} from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import type { NestExpressApplication } from "@nestjs/platform-express";
import { FastifyAdapter, type NestFastifyApplication } from "@nestjs/platform-fastify";

const prices = new Map([["p1", 100]]);
let loads = 0;

@Controller("prices")
class Prices {
  @Get(":sku")
  @Header("Cache-Control", "max-age=60")
  find(@Param("sku") sku: string): object {
    const cents = prices.get(sku);
    if (cents === undefined) throw new NotFoundException();
    loads += 1;
    return { sku, cents, loads };
  }

  /** The answer to a PUT that succeeds ends what is stored of its URL, before it is sent. */
  @Put(":sku")
  set(@Param("sku") sku: string, @Body() { cents }: { readonly cents: number }): object {
    prices.set(sku, cents);
    return { sku, cents };
  }
}

@Module({ controllers: [Prices] })
class Application {}

export async function onExpress(pages: HttpCache): Promise<INestApplication> {
  const app = await NestFactory.create<NestExpressApplication>(Application, { logger: ["error", "warn"] });
  app.use(expressCache(pages));
  return app;
}

export async function onFastify(pages: HttpCache): Promise<INestApplication> {
  const adapter = new FastifyAdapter();
  fastifyCache(adapter.getInstance(), pages);
  return NestFactory.create<NestFastifyApplication>(Application, adapter, { logger: ["error", "warn"] });
}
