// Finished jobs that are kept: archived from a page and from a list, found again, looked at and put back, with and without
// JavaScript.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findings } from "../support/axe.mjs";
import { NARROW, alive, text, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { Postgres } from "../support/postgres.mjs";
import { endAll, folder, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const POLICY = (queue) => `
[[archive.policy]]
id = "${queue}"
queues = "bull:${queue}"
states = ["failed"]
older_than = "1s"
every = "day at 02:00"
`;

let redis, postgres, oracle, at;
before(async () => {
  [redis, postgres] = await Promise.all([Redis.start(), Postgres.start()]);
  oracle = await Oracle.start(redis);
  for (const queue of ["one-on", "one-off", "many-on", "many-off", "planned-on", "planned-off", "narrow"]) await failed(queue, "a", "b", "c");
  const config = join(folder(), "Leptos.toml");
  const keep = `[[archive.keep]]\nqueues = "bull:planned-*"\nfor = "90d"\n`;
  writeFileSync(config, POLICY("planned-on") + POLICY("planned-off") + keep);
  at = await direct(redis, "/admin/queues", { DROVER_POSTGRES_URL: postgres.url, DROVER_CONFIG: config });
  await at.drover.knows("one-on", "one-off", "many-on", "many-off", "planned-on", "planned-off", "narrow");
  await until("the archive", async () => (await postgres.ask("SELECT to_regclass('drover.archive') AS there"))[0].there);
});
after(endAll);

async function failed(queue, ...ids) {
  await oracle.ask("startWorker", queue, { workerId: queue });
  for (const jobId of ids) {
    await oracle.add(queue, { failTimes: 1, fail: "no route to host", to: `${jobId}@${queue}.example` }, { name: "send", opts: { jobId } });
  }
  await oracle.ask("waitUntil", queue, { state: "failed", count: ids.length });
  await oracle.ask("stopWorker", queue, { workerId: queue });
}

const ids = (queue, state) => oracle.ask("ids", queue, { state });
const kept = async (queue) => {
  const rows = await postgres.ask("SELECT job_id FROM drover.archive WHERE queue = $1 ORDER BY job_id", [`bull:${queue}`]);
  return rows.map((row) => row.job_id);
};
const button = (page, name) => page.getByRole("button", { name, exact: true });

/** Sends the form that was asked before, and waits for where it leads: a job that is gone has no page to come back to. */
async function archive(page) {
  await button(page, "Archive the job").click();
  await page.waitForURL((url) => !url.searchParams.has("action"));
}

for (const javaScript of [true, false]) {
  const js = javaScript ? "on" : "off";
  const inTab = (body) => visit({ at, javaScript }, body);
  const open = async (page, path) => {
    await page.goto(path);
    if (javaScript) await alive(page);
  };

  describe(`With JavaScript ${js},`, () => {
    test("a failed job is archived from its page, found, and put back for a worker to do", async () => {
      const queue = `one-${js}`;
      await inTab(async (page) => {
        await open(page, at.job(queue, "b"));
        await page.locator("main").getByRole("link", { name: "Archive…", exact: true }).click();
        assert.deepEqual(await ids(queue, "failed").then((all) => all.sort()), ["a", "b", "c"], "asking does nothing");
        await archive(page);
        await until("it to be in the archive and nowhere else", async () => {
          assert.deepEqual([await kept(queue), (await ids(queue, "failed")).sort()], [["b"], ["a", "c"]]);
          return true;
        });

        await page.goto(`${at.base}/archive`);
        await page.getByLabel("Data").fill(`b@${queue}.example`);
        await button(page, "Search").click();
        assert.equal(await page.locator(".archive tbody tr").count(), 1);
        assert.match(await text(page, ".archive tbody tr"), /failed b send .* no route to host/);
        await page.locator(".archive tbody a").click();
        const shown = await text(page, "main");
        for (const words of ["no route to host", `b@${queue}.example`, "SHA-256", "Timeline"]) assert.ok(shown.includes(words), words);

        await button(page, "Run again under its old id").click();
        assert.match(await text(page, ".asked.done"), /^Queued the job again\. New job: b\. Remove the new job$/);
        assert.match(await text(page, "main"), /Queued again .* as job b, by anonymous/);
        assert.deepEqual(await ids(queue, "waiting"), ["b"]);
        await oracle.ask("startWorker", queue, { workerId: queue });
        // Its attempts are counted from the beginning, so that it fails once more: a worker took it, and it is what it was.
        await oracle.ask("waitUntil", queue, { state: "failed", count: 3 });
        await oracle.ask("stopWorker", queue, { workerId: queue });
        assert.deepEqual(await kept(queue), ["b"], "the archive keeps what it has");
      });
    });

    test("all failed jobs of a queue are archived by an operation with a preview", async () => {
      const queue = `many-${js}`;
      await inTab(async (page) => {
        await open(page, at.queue(queue, { query: "?state=failed" }));
        await page.locator("summary", { hasText: "Whole queue…" }).click();
        await button(page, "Archive all failed…").click();
        assert.match(await text(page, ".lead"), /^Exactly 3 jobs\./);
        assert.deepEqual(await kept(queue), [], "a preview does nothing");
        await button(page, "Archive 3 jobs").click();
        await page.waitForURL(/\/operations\/\w+$/);
        await until("all to be archived", async () => {
          assert.deepEqual([await kept(queue), await ids(queue, "failed")], [["a", "b", "c"], []]);
          return true;
        });

        // Those that are ticked are put back together.
        await page.goto(`${at.base}/archive?queue=redis/bull:${queue}`);
        for (const id of ["a", "c"]) await page.getByLabel(`Select ${id}`, { exact: true }).check();
        await button(page, "Run selected again as new jobs…").click();
        assert.match(await text(page, "main"), /Their work will be done again/);
        assert.deepEqual(await ids(queue, "waiting"), [], "asking does nothing");
        await button(page, "Run them again").click();
        assert.match(await text(page, "main"), /2 of 2 jobs queued again/);
        const back = await ids(queue, "waiting");
        assert.equal(back.length, 2);
        const data = await Promise.all(back.map(async (jobId) => (await oracle.ask("job", queue, { jobId })).data.to));
        assert.deepEqual(data.sort(), [`a@${queue}.example`, `c@${queue}.example`]);
      });
    });

    test("a policy shows what it would archive, does it when it is asked, and tells what it freed", async () => {
      const queue = `planned-${js}`;
      await inTab(async (page) => {
        await open(page, `${at.base}/archive/policies`);
        const section = page.locator("section.policy", { has: page.locator(`#p-${queue}`) });
        assert.match(await section.innerText(), /failed older than 1s from bull:planned/);
        assert.match(await section.innerText(), /Last run\s*never/);
        assert.match(await text(page, ".kept"), /Jobs of bull:planned-\* for 90d after they were archived/);
        await section.getByRole("button", { name: "Dry run" }).click();
        assert.match(await text(page, ".lead"), /^Exactly 3 jobs\./);
        assert.deepEqual(await kept(queue), [], "a dry run does nothing");

        await page.goto(`${at.base}/archive/policies`);
        await section.getByRole("button", { name: "Run now" }).click();
        await page.waitForURL(/\/operations\//);
        await until("all to be archived", async () => {
          assert.deepEqual([await kept(queue), await ids(queue, "failed")], [["a", "b", "c"], []]);
          return true;
        });
        await until("the policy to tell", async () => {
          await page.goto(`${at.base}/archive/policies`);
          assert.match(await section.innerText(), /Freed so far\s*3 jobs, [\d.]+ k?B/);
          assert.ok(await section.getByRole("button", { name: "Run now" }).isEnabled(), "it is still at it");
          return true;
        });
        // Once more there is nothing to do, and it says so.
        await section.getByRole("button", { name: "Run now" }).click();
        await until("it to say so", async () => (await text(page, "main")).includes(`${queue} was run: there was nothing to archive.`));
      });
    });
  });
}

test("on a phone the archive and a job in it need no sideways scrolling", async () => {
  await visit({ at, ...NARROW }, async (page) => {
    await page.goto(at.job("narrow", "a"));
    await alive(page);
    await page.locator("main").getByRole("link", { name: "Archive…", exact: true }).click();
    await archive(page);
    await until("it to be archived", async () => (await kept("narrow")).length === 1);
    for (const path of ["/archive", "/archive?queue=narrow", "/archive/policies"]) {
      await page.goto(`${at.base}${path}`);
      const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      assert.ok(wide <= 0, `${path} is ${wide} pixels too wide`);
      assert.deepEqual(await findings(page), [], path);
    }
    await page.locator(".archive tbody a").first().click();
    const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(wide <= 0, `the job is ${wide} pixels too wide`);
  });
});
