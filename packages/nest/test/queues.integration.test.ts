import { ConfigurationError } from "@hotset/core";
import { getQueueToken, HotsetQueueModule, InjectQueue, OnJob, Processor } from "@hotset/nest";
import { createRedis, type Redis } from "@hotset/redis-toolkit";
import { queue, type Job, type JobContext, type Queue } from "@hotset/redis-toolkit/queue";
import { randomPrefix, startOwnRedis, type OwnRedis } from "@hotset/test-servers";
import { gate } from "@hotset/testing";
import { Inject, Injectable, Module, Scope, type ModuleMetadata, type Type } from "@nestjs/common";
import { NestFactory } from "@nestjs/core";
import { afterAll, beforeAll, beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { decorate } from "./apps.ts";

type Email = { readonly to: string };

describe("queues in Nest", () => {
  let server: OwnRedis;
  let redis: Redis;
  let emails: Queue<Email>;
  beforeAll(async () => {
    server = await startOwnRedis();
    redis = createRedis({ env: false, url: server.url });
  });
  beforeEach(() => {
    emails = queue<Email>(redis, randomPrefix());
  });
  afterAll(async () => {
    await redis.disconnect();
    await server.stop();
  });
  const queues = (work?: boolean) => HotsetQueueModule.forRoot({ queues: { emails: () => emails }, work });
  const started = async (metadata: ModuleMetadata) => {
    class Root {}
    Module(metadata)(Root);
    const app = await NestFactory.createApplicationContext(Root, { logger: false, abortOnError: false });
    onTestFinished(() => app.close());
    return app.init();
  };
  const processor = <C extends Type>(
    target: C,
    jobs: Readonly<Record<string, string | undefined>>,
    name = "emails",
  ): C =>
    decorate(target, {
      onClass: [Processor(name, { concurrency: 2 })],
      onMethods: Object.fromEntries(Object.entries(jobs).map(([method, job]) => [method, [OnJob(job)]])),
    });

  it("jobs run by the method of their name, or by that of all others, with what the class injects", async () => {
    class Sender {
      readonly sent: string[];
      constructor(given: string[]) {
        this.sent = given;
      }
      welcome({ data }: Job<Email>): string {
        this.sent.push(`welcome ${data.to}`);
        return "welcomed";
      }
      other({ data, name }: Job<Email>, { signal }: JobContext): void {
        this.sent.push(`${name} ${data.to} ${signal.aborted}`);
      }
      untouched(): never {
        throw new Error("no job");
      }
    }
    Inject("sent")(Sender, undefined, 0);
    processor(Sender, { welcome: "welcome", other: undefined });
    const sent: string[] = [];
    await started({ imports: [queues()], providers: [{ provide: "sent", useFactory: () => sent }, Sender] });
    const one = await emails.add({ to: "ada" }, { name: "welcome" });
    expect(await emails.finished(one.id)).toEqual({ status: "completed", result: "welcomed" });
    for (const options of [{ name: "news" }, {}]) await emails.finished((await emails.add({ to: "bob" }, options)).id);
    expect(sent).toEqual(["welcome ada", "news bob false", "undefined bob false"]);
  });

  it("a queue is injected, and can be made of other providers; without work no job runs", async () => {
    class Site {
      readonly emails: Queue<Email>;
      constructor(given: Queue<Email>) {
        this.emails = given;
      }
    }
    Injectable()(Site);
    InjectQueue("emails")(Site, undefined, 0);
    class Connection {}
    decorate(Connection, {
      onClass: [Module({ providers: [{ provide: "redis", useFactory: () => redis }], exports: ["redis"] })],
    });
    const { name } = emails;
    const useFactory = (over: Redis): Queue<Email> => queue<Email>(over, name);
    class Never {
      run(): never {
        throw new Error("it has run");
      }
    }
    processor(Never, { run: undefined });
    const app = await started({
      imports: [
        HotsetQueueModule.forRoot({
          imports: [Connection],
          queues: { emails: { inject: ["redis"], useFactory } },
          work: false,
        }),
      ],
      providers: [Site, Never],
    });
    await app.get(Site).emails.add({ to: "ada" });
    expect(app.get(getQueueToken("emails"))).toBe(app.get(Site).emails);
    expect(await emails.counts()).toMatchObject({ waiting: 1, active: 0, dead: 0 });
  });

  it("a shutdown waits for the job in hand, and takes no other", async () => {
    const held = gate();
    const done: string[] = [];
    class Sender {
      async run({ data }: Job<Email>): Promise<void> {
        await held.pass();
        done.push(data.to);
      }
    }
    decorate(Sender, { onClass: [Processor("emails")], onMethods: { run: [OnJob()] } });
    const app = await started({ imports: [queues()], providers: [Sender] });
    await emails.addMany([{ data: { to: "ada" } }, { data: { to: "bob" } }]);
    await held.arrived();
    const closing = app.close();
    expect(done).toEqual([]);
    held.open();
    await closing;
    expect([done, await emails.counts()]).toMatchObject([["ada"], { waiting: 1, active: 0, completed: 1 }]);
  });

  it("a job without a method fails, by its name", async () => {
    class Sender {
      run(): void {}
    }
    processor(Sender, { run: "welcome" });
    await started({ imports: [queues()], providers: [Sender] });
    const { id } = await emails.add({ to: "ada" }, { name: "news", attempts: 1 });
    expect(await emails.finished(id)).toEqual({
      status: "dead",
      reason: 'Sender has no method with @OnJob for jobs named "news"',
    });
  });

  it("where one worker cannot start, the others stop with the application", async () => {
    class Sender {
      run(): void {}
    }
    processor(Sender, { run: undefined });
    class Other {
      run(): void {}
    }
    processor(Other, { run: undefined }, "others");
    const others = queue<Email>(createRedis({ env: false, enabled: false }), "others");
    const both = HotsetQueueModule.forRoot({ queues: { emails: () => emails, others: () => others } });
    const starting = started({ imports: [both], providers: [Sender, Other] });
    await expect(starting).rejects.toMatchObject({ code: "REDIS_DISABLED" });
    await emails.add({ to: "ada" });
    expect((await emails.counts()).waiting).toBe(1);
  });

  it("mistakes stop the start, with the name of the class, and no worker", async () => {
    class Lost {
      run(): void {}
    }
    processor(Lost, { run: undefined }, "letters");
    class Idle {}
    processor(Idle, {});
    class Twice {
      one(): void {}
      two(): void {}
    }
    processor(Twice, { one: undefined, two: undefined });
    class Each {
      run(): void {}
    }
    processor(Each, { run: undefined });
    Injectable({ scope: Scope.REQUEST })(Each);
    for (const [wrong, text] of [
      [Lost, 'Lost names the queue "letters"'],
      [Idle, "Idle has no method with @OnJob"],
      [Twice, "Twice has two methods"],
      [Each, "Each has an instance for each request"],
    ] as const) {
      const starting = started({ imports: [queues()], providers: [wrong] });
      await expect(starting).rejects.toThrow(text);
      await expect(starting).rejects.toBeInstanceOf(ConfigurationError);
    }
    await emails.add({ to: "ada" });
    expect((await emails.counts()).waiting).toBe(1);
  });
});
