/**
 * A queue of emails: urgent ones first, no welcome twice, a mail server that is busy now and then, and an address that
 * never works. A job whose worker dies is delivered again: at least once, so a handler must bear a second time.
 *
 *     npm install @hotset/redis-toolkit
 *     REDIS_URL=redis://localhost:6379 node task-queue.ts
 */
import { createRedis } from "@hotset/redis-toolkit";
import { queue, UnrecoverableError, type Job } from "@hotset/redis-toolkit/queue";

interface Email {
  readonly to: string;
  readonly template: "welcome" | "invoice" | "alarm";
}

await using redis = createRedis();
const app = redis.tenant(process.env["KEY_PREFIX"] ?? "hotset-examples");
await app.purge(); // what an earlier run may have left

const emails = queue<Email>(app, "emails", {
  attempts: 3,
  backoff: { type: "exponential", base: "100ms", max: "1h" },
  keep: { completed: 100, failed: "7d" },
});

/** Stands for a mail server that is busy at the first call. */
const sent: string[] = [];
let calls = 0;
async function send(job: Job<Email>): Promise<{ readonly message: string }> {
  const { to, template } = job.data;
  if (!to.includes("@")) throw new UnrecoverableError("not an address"); // trying again helps nothing
  if ((calls += 1) === 1) throw new Error("450 busy");
  // Give `job.id` to the mail server, so that it recognises a mail that is sent again.
  sent.push(`${template} to ${to}, attempt ${job.attempt}`);
  return { message: `${template} is on its way` };
}

const invoice = await emails.add({ to: "ada@example.org", template: "invoice" });
const twice = await Promise.all([
  emails.add({ to: "bob@example.org", template: "welcome" }, { dedupId: "welcome:bob", dedupFor: "1d" }),
  emails.add({ to: "bob@example.org", template: "welcome" }, { dedupId: "welcome:bob", dedupFor: "1d" }),
]);
console.log(twice.map(({ status }) => status).join(", "), twice[0].id === twice[1].id);
await emails.add({ to: "operators@example.org", template: "alarm" }, { priority: 10 });
const wrong = await emails.add({ to: "nobody", template: "invoice" });
console.log((await emails.counts()).waiting, "wait");

const worker = emails.worker(send, {
  concurrency: 1,
  visibility: "30s",
  onError: () => undefined, // the reasons are in the dead letters below
});
console.log(await emails.finished(invoice.id));
console.log(await emails.finished(wrong.id));
while ((await emails.counts()).completed < 3) await new Promise((resolve) => setTimeout(resolve, 20));
await worker.stop(); // takes no more jobs, and waits for those that run
// The alarm went first, met the busy server, and was tried again.
console.log(sent.toSorted().join("\n"));

// The address is known by now: dead letters are kept with their reason, and can be tried again.
for (const { data, reason } of await emails.deadLetters().list()) console.log(`${data?.to}: ${reason}`);
const corrected = emails.worker(async ({ data }) => data.to === "nobody" && "sent by post");
console.log("replayed:", await emails.deadLetters().replay());
console.log(await emails.finished(wrong.id));
await corrected.stop();
const { waiting, active, completed, dead } = await emails.counts();
console.log({ waiting, active, completed, dead });
await app.purge();
