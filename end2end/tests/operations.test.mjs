// Actions over many jobs: from ticks or a filter to a preview, from there to an operation, and what can be done about it.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NARROW, WIDE, alive, mark, shows, tabTo, text, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { RESULTS } from "../support/places.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ERROR = "mailbox full: try later";

let at, oracle;
before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  at = await direct(redis);
});
after(endAll);

/** A queue in which so many jobs have failed, and one more with another error. Nobody works for it any more. */
async function failed(queue, count) {
  await oracle.ask("startWorker", queue, { workerId: queue, concurrency: 20 });
  await oracle.ask("addMany", queue, { count, name: "send", data: { fail: ERROR } });
  await oracle.add(queue, { fail: "no such user" }, { name: "send", opts: { jobId: "other" } });
  await oracle.ask("waitUntil", queue, { state: "failed", count: count + 1, timeoutMs: 20_000 });
  await oracle.ask("stopWorker", queue, { workerId: queue });
  await at.drover.knows(queue);
}

const list = (queue) => at.queue(queue, { query: "?state=failed" });
const count = async (queue, state) => (await oracle.ask("counts", queue))[state];

async function noSideways(page, what) {
  const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
  assert.ok(scroll <= inner, `${what} is ${scroll} px wide in a window of ${inner} px`);
}

async function accessible(page, what) {
  await page.evaluate(AXE);
  const { violations } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa"] }));
  assert.deepEqual(violations.flatMap(({ id, nodes }) => nodes.map((node) => `${what}: ${id}: ${node.target.join(" ")}: ${node.failureSummary}`)), []);
}

test("all that match a filter are retried by the keyboard alone", async () => {
  await failed("keys", 130);
  await visit({ at }, async (page) => {
    await page.goto(list("keys"));
    await alive(page);
    await tabTo(page, /^filter$/);
    await page.keyboard.press("End");
    await page.keyboard.type(' error:"mailbox full"');
    await page.keyboard.press("Enter");
    await page.waitForURL(/operations\/new/);
    await alive(page);
    assert.equal(await page.locator("#filter").inputValue(), 'state:failed queue:redis/bull:keys error:"mailbox full"');
    await page.keyboard.press("/");
    await page.keyboard.press("Enter");
    await shows(page, ".lead", /^Exactly 130 jobs\. 131 checked/);
    await alive(page);
    assert.equal(await count("keys", "failed"), 131, "a preview does nothing");
  });
  await visit({ at }, async (page) => {
    await page.goto(at.overview);
    await alive(page);
    await page.keyboard.press("g");
    await page.keyboard.press("p");
    await page.waitForURL(/\/operations$/);
    await alive(page);
    await tabTo(page, /^New operation/);
    await page.keyboard.press("Enter");
    await page.waitForURL(/operations\/new/);
    await alive(page);
    await page.keyboard.press("/");
    await page.keyboard.type('state:failed queue:keys error:"mailbox full"');
    await page.keyboard.press("Enter");
    await shows(page, ".lead", /^Exactly 130 jobs/);
    await tabTo(page, /^canary$/);
    await page.keyboard.press("Space");
    await tabTo(page, /^reason$/);
    await page.keyboard.type("the mailbox was emptied");
    await page.keyboard.press("Enter");
    await page.waitForURL(/operations\/[^/]+$/);
    await shows(page, ".op-state", /done/);
    await shows(page, ".sum", /^130 done .*\+ 0 not processed = 130 selected$/);
    await shows(page, ".op-facts", /the mailbox was emptied/);
  });
  assert.equal(await count("keys", "waiting"), 130);
  assert.equal(await count("keys", "failed"), 1);
});

test("x ticks the row with the focus, and what is ticked is acted on", async () => {
  await failed("ticks", 5);
  await visit({ at }, async (page) => {
    await page.goto(list("ticks"));
    await alive(page);
    for (const key of ["j", "x", "j", "j", "x", "j", "x", "x"]) await page.keyboard.press(key);
    const ticked = await page.locator("#jobs input:checked").evaluateAll((boxes) => boxes.map((box) => box.getAttribute("aria-label")));
    assert.equal(ticked.length, 2);
    await page.locator("#jobs tbody tr").nth(4).getByRole("checkbox").click();
    await page.keyboard.press("x");
    assert.equal(await page.locator("#jobs input:checked").count(), 2, "a box that was clicked does not swallow the keys");
    await page.getByRole("button", { name: "Retry selected…" }).click();
    await shows(page, ".lead", /^Exactly 2 jobs/);
    await page.getByRole("button", { name: "Retry 2 jobs" }).click();
    await shows(page, ".sum", /^2 done /);
  });
  assert.equal(await count("ticks", "waiting"), 2);
});

test("an operation is watched, paused, resumed and cancelled midway, and its rest taken up again", async () => {
  await failed("midway", 160);
  await visit({ at }, async (page) => {
    await page.goto(`${at.base}/operations/new?action=retry&filter=${encodeURIComponent("state:failed queue:midway error:mailbox")}`);
    await alive(page);
    await page.getByRole("button", { name: "Preview" }).click();
    await page.locator("[name=rate]").fill("20");
    await page.locator("[name=canary]").uncheck();
    await page.getByRole("button", { name: "Retry 160 jobs" }).click();
    await alive(page);
    await mark(page);
    await shows(page, ".op-state", /running/);
    await shows(page, ".op-line", /[1-9]\d* of 160 jobs .*jobs a second/);
    await page.getByRole("button", { name: "Pause" }).click();
    await shows(page, ".op-state", /paused/);
    const held = await text(page, ".op-line .of");
    await page.getByRole("button", { name: "Resume" }).click();
    await shows(page, ".op-state", /running/);
    await alive(page);
    await mark(page);
    await page.waitForFunction((held) => document.querySelector(".op-line .of").innerText.replace(/\s+/g, " ").trim() !== held, held);
    assert.ok(await untouched(page), "the page moved without a reload");
    await page.goto(at.queue("midway"));
    await alive(page);
    await shows(page, ".under-way", /Retrying 160 jobs: \d+ % running, by anonymous/);
    await page.locator(".under-way a").click();
    await page.getByRole("button", { name: "Cancel the operation" }).click();
    await shows(page, ".op-state", /cancelled/);
    const sum = await text(page, ".sum");
    const done = Number(/^(\d+) done/.exec(sum)[1]);
    const left = Number(/\+ (\d+) not processed/.exec(sum)[1]);
    assert.equal(done + left, 160, sum);
    assert.ok(left > 0, sum);
    assert.equal(await count("midway", "waiting"), done);
    await page.getByRole("button", { name: "Again for the rest…" }).click();
    await shows(page, ".lead", new RegExp(`^Exactly ${left} jobs`));
    await page.locator("[name=rate]").fill("");
    await page.getByRole("button", { name: `Retry ${left} jobs` }).click();
    await shows(page, ".op-state", /done/);
  });
  assert.equal(await count("midway", "waiting"), 160);
});

test("everything works without JavaScript", async () => {
  await failed("plain", 120);
  await visit({ at, javaScript: false }, async (page, watch) => {
    await page.goto(list("plain"));
    await page.locator("#matching").fill("state:failed queue:plain color:red");
    await page.getByRole("button", { name: "Act on all that match…" }).click();
    assert.match(await text(page, ".banner"), /color: is not known; use state, queue/);
    await page.locator("#filter").fill("state:failed queue:plain error:mailbox");
    await page.getByRole("radio", { name: /^Remove/ }).check();
    await page.getByRole("button", { name: "Preview" }).click();
    assert.match(await text(page, ".lead"), /^Exactly 120 jobs/);
    await page.locator("[name=typed]").fill("plane");
    await page.getByRole("button", { name: "Remove 120 jobs permanently" }).click();
    assert.match(page.url(), /preview$/, "the browser itself holds back what is not the word");
    await page.locator("[name=rate]").fill("30");
    await page.locator("[name=typed]").fill("plain");
    await page.getByRole("button", { name: "Remove 120 jobs permanently" }).click();
    await page.waitForURL(/operations\/[^/]+$/);
    await page.getByRole("button", { name: "Pause" }).click();
    assert.match(await text(page, ".op-state"), /paused/);
    await page.getByRole("button", { name: "Cancel the operation" }).click();
    // The page that this leads to is there before it is loaded anew.
    await page.locator(".op-state", { hasText: /cancel/i }).waitFor();
    await page.waitForLoadState();
    await page.reload();
    assert.match(await text(page, ".op-state"), /cancelled/);
    const done = Number(/^(\d+) done/.exec(await text(page, ".sum"))[1]);
    assert.equal(await count("plain", "failed"), 121 - done);
    await page.goto(list("plain"));
    watch.allow(/\b422\b/);
    await page.getByRole("button", { name: "Retry selected…" }).click();
    assert.match(await text(page, "main"), /No job is selected\./);
    await page.getByRole("link", { name: "The list" }).click();
    await page.locator("#jobs tbody tr").first().getByRole("checkbox").check();
    await page.getByRole("button", { name: "Remove selected…" }).click();
    assert.match(await text(page, ".lead"), /^Exactly 1 job\./);
  });
});

for (const theme of ["light", "dark"]) {
  for (const [width, size] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    test(`each page can be read by everybody, ${theme} and ${width}, and has its picture`, async () => {
      const queue = `mail.${theme}.${width}`;
      await failed(queue, 130);
      await visit({ at, theme, size }, async (page) => {
        const picture = async (name) => {
          await noSideways(page, name);
          await accessible(page, name);
          await page.screenshot({ path: join(RESULTS, `operations-${name}-${width}-${theme}.png`) });
        };
        await page.goto(list(queue));
        await alive(page);
        await page.locator("#jobs tbody tr").nth(1).getByRole("checkbox").check();
        await picture("list");
        await page.goto(`${at.base}/operations/new?action=retry&filter=${encodeURIComponent(`state:failed queue:${queue} error:"mailbox full"`)}`);
        await alive(page);
        await picture("new");
        await page.getByRole("radio", { name: /^Remove/ }).check();
        await page.getByRole("button", { name: "Preview" }).click();
        await alive(page);
        await picture("preview-remove");
        await page.goBack();
        await page.getByRole("radio", { name: /^Retry/ }).check();
        await page.getByRole("button", { name: "Preview" }).click();
        await alive(page);
        await picture("preview");
        await page.locator("[name=rate]").fill("6");
        await page.locator("[name=canary]").uncheck();
        await page.locator("[name=reason]").fill("the mail provider is back since 13:40");
        await page.getByRole("button", { name: "Retry 130 jobs" }).click();
        await alive(page);
        await shows(page, ".op-line", /[1-9]\d* of 130 jobs .*left/);
        await picture("running");
        const here = page.url();
        await page.goto(at.queue(queue, { query: "?state=failed" }));
        await alive(page);
        await picture("queue");
        await page.goto(`${at.base}/operations`);
        await alive(page);
        await picture("all");
        await page.goto(here);
        await page.getByRole("button", { name: "Cancel the operation" }).click();
        await shows(page, ".op-state", /cancelled/);
        await picture("cancelled");
      });
    });
  }
}

test("ticks survive odd names and ids", async () => {
  await oracle.add("odd name & more?", {}, { opts: { jobId: "a b" } });
  await at.drover.knows("odd name & more?");
  await visit({ at }, async (page) => {
    await page.goto(at.queue("odd name & more?", { query: "?state=waiting" }));
    await alive(page);
    await page.keyboard.press("j");
    await page.keyboard.press("x");
    await page.getByRole("button", { name: "Remove selected…" }).click();
    await shows(page, ".lead", /^Exactly 1 job/);
    await page.getByRole("button", { name: "Remove 1 job permanently" }).click();
    await shows(page, ".sum", /^1 done /);
  });
  assert.equal(await count("odd name & more?", "waiting"), 0);
});
