// pg-boss beside BullMQ: the same pages, live, and actions that the library and its worker agree with.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NARROW, alive, mark, shows, text, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { Postgres } from "../support/postgres.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

let redis, postgres, bullmq, boss, at;
before(async () => {
  [redis, postgres] = await Promise.all([Redis.start(), Postgres.start()]);
  [bullmq, boss] = await Promise.all([Oracle.start(redis), Oracle.pgboss(postgres)]);
  await bullmq.add("mail", {}, { name: "send" });
  for (const queue of ["retry-on", "retry-off", "cancel-on", "cancel-off", "live"]) await boss.ask("createQueue", queue);
  at = await direct(redis, "/admin/queues", { DROVER_POSTGRES_URL: postgres.url });
  await at.drover.knows("mail", "retry-on", "retry-off", "cancel-on", "cancel-off", "live");
});
after(endAll);

const send = async (queue, data = {}, options = {}) => (await boss.ask("send", queue, { data, options })).jobId;
const state = async (queue, jobId) => (await boss.ask("job", queue, { jobId })).state;
const work = (queue) => boss.ask("startWorker", queue, { workerId: queue });
const rest = (queue) => boss.ask("stopWorker", queue, { workerId: queue });
const button = (page, name) => page.getByRole("button", { name, exact: true });
const job = (queue, id) => `${at.boss(queue)}/jobs/${id}`;

async function failed(queue) {
  const id = await send(queue, { failTimes: 1, fail: "no such table" }, { retryLimit: 0 });
  await work(queue);
  await boss.ask("waitUntil", queue, { jobId: id, state: "failed" });
  await rest(queue);
  return id;
}

for (const javaScript of [true, false]) {
  const js = javaScript ? "on" : "off";
  const inTab = (body) => visit({ at, javaScript }, body);

  describe(`With JavaScript ${js},`, () => {
    test("a failed job says why it failed, is retried, and a worker does it", async () => {
      const queue = `retry-${js}`;
      const id = await failed(queue);
      await inTab(async (page) => {
        await page.goto(job(queue, id));
        if (javaScript) await alive(page);
        assert.match(await text(page, "main"), /no such table/);
        await button(page, "Retry").click();
        await page.waitForURL(/asked=/);
        assert.match(await text(page, ".asked"), new RegExp(`^Retried job ${id}\\.`));
        assert.equal(await state(queue, id), "retry");
        await work(queue);
        await boss.ask("waitUntil", queue, { jobId: id, state: "completed" });
        await rest(queue);
      });
    });

    test("a job that waits is cancelled, stands among the cancelled, and goes back to the line", async () => {
      const queue = `cancel-${js}`;
      const id = await send(queue, { to: "somebody" });
      await inTab(async (page) => {
        await page.goto(job(queue, id));
        if (javaScript) await alive(page);
        await page.locator("main").getByRole("link", { name: "Cancel…", exact: true }).click();
        await button(page, "Cancel the job").click();
        await page.waitForURL(/asked=/);
        await until("it to be cancelled", async () => (await state(queue, id)) === "cancelled");
        await page.goto(at.boss(queue, "?state=cancelled"));
        assert.match(await text(page, ".jobs tbody"), new RegExp(id.slice(0, 18)));
        await page.goto(job(queue, id));
        await button(page, "Resume").click();
        await page.waitForURL(/asked=/);
        await until("it to be in the line again", async () => (await state(queue, id)) === "created");
      });
    });
  });
}

test("what the library does is seen within seconds, without a reload", async () => {
  await visit({ at }, async (page) => {
    await page.goto(at.boss("live"));
    await alive(page);
    await mark(page);
    await send("live", { n: 1 });
    await shows(page, ".tabs", /waiting 1/);
    await work("live");
    await shows(page, ".tabs", /completed 1/);
    await rest("live");
    assert.ok(await untouched(page), "without a reload");
  });
});

test("both systems stand on one overview, and the page of the Postgres says how it is", async () => {
  for (const options of [{}, NARROW]) {
    await visit({ at, ...options }, async (page) => {
      await page.goto(at.overview);
      await alive(page);
      const main = await text(page, "main");
      for (const words of ["mail", "retry-on", "PostgreSQL", "Redis"]) assert.ok(main.includes(words), words);
      await page.goto(at.store("postgres"));
      const store = await text(page, "main");
      for (const words of ["Connections", "Oldest transaction", "Dead rows", "job_common"]) assert.ok(store.includes(words), words);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${wide} pixels too wide`);
    });
  }
});
