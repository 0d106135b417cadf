// The list of a queue: rows that never jump, a filter, and what a queue is about.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NARROW, alive, shows, text, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const entrances = [];
let oracle;

before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  for (const jobId of ["a", "b", "c"]) await oracle.add("news", { fail: "no" }, { opts: { jobId } });
  await oracle.ask("startWorker", "news", { workerId: "news" });
  await oracle.ask("waitUntil", "news", { state: "failed", count: 3 });
  await oracle.ask("addMany", "names", { count: 120, name: "mail.send", data: {} });
  for (let i = 0; i < 3; i++) await oracle.add("names", {}, { name: "invoice.paid" });
  await oracle.add("odd/name.of a queue", {}, { name: "invoice.paid" });
  entrances.push(await direct(redis), ...(await proxied(redis)));
  for (const { drover } of entrances) await drover.knows("news", "names");
});
after(endAll);

const ids = (page) => page.locator("#jobs tbody .id").allInnerTexts();

test("rows stay where they are until the reader asks for what is new", () =>
  visit({ at: entrances[0] }, async (page) => {
    await page.goto(entrances[0].queue("news", { query: "?state=failed" }));
    await alive(page);
    assert.deepEqual(await ids(page), ["c", "b", "a"]);
    await page.mouse.move(700, 700);
    await oracle.add("news", { fail: "no" }, { opts: { jobId: "d" } });
    await shows(page, ".news", /^1 new · Refresh$/);
    assert.deepEqual(await ids(page), ["c", "b", "a"], "nothing has moved");
    await oracle.ask("callJob", "news", { jobId: "b", method: "remove" });
    await shows(page, ".news", /^1 new, 1 removed · Refresh$/);
    await shows(page, '#jobs tr:has(a[href$="/b"]) .detail', /removed/);
    assert.deepEqual(await ids(page), ["c", "b", "a"], "a row that has left stays in its place");
    await page.locator(".news").click();
    await page.waitForFunction(() => [...document.querySelectorAll("#jobs tbody .id")].map((e) => e.innerText).join("") === "dca");
    assert.equal(await page.locator(".news").isVisible(), false);
    // The same with the keyboard.
    await oracle.add("news", { fail: "no" }, { opts: { jobId: "e" } });
    await page.keyboard.press("Shift");
    await shows(page, ".news", /new · Refresh$/);
    await page.keyboard.press("r");
    await page.waitForFunction(() => document.querySelector("#jobs tbody .id").innerText === "e");
  }));

for (const javaScript of [true, false]) {
  describe(`The filter, JavaScript ${javaScript ? "on" : "off"},`, () => {
    test("finds jobs by name and has an address", () =>
      visit({ at: entrances[0], javaScript }, async (page) => {
        await page.goto(entrances[0].queue("names", { query: "?state=waiting" }));
        if (javaScript) {
          await alive(page);
          await page.keyboard.press("/");
          await page.keyboard.type("INVOICE");
          await page.keyboard.press("Enter");
        } else {
          await page.locator("#q").fill("INVOICE");
          await page.locator(".name-filter button").click();
        }
        await page.waitForURL(/q=INVOICE/);
        assert.match(await text(page, ".list-head b"), /^123 of 123 waiting searched: 3 match$/);
        assert.equal((await ids(page)).length, 3);
        assert.equal(await page.locator("#q").inputValue(), "INVOICE", "it can be changed");
        await page.getByText("all of them").click();
        await page.waitForURL((url) => !url.search.includes("q="));
        assert.equal((await ids(page)).length, 50);
        await page.goBack();
        assert.equal((await ids(page)).length, 3);
      }));

    test("works for a queue whose name no path carries, through every proxy", async () => {
      for (const at of entrances) {
        await visit({ at, javaScript }, async (page) => {
          await page.goto(at.overview);
          await page.getByRole("link", { name: "odd/name.of a queue" }).first().click();
          await page.waitForURL((url) => url.pathname !== at.overview);
          if (javaScript) await alive(page);
          await page.locator("#q").fill("paid");
          await page.locator(".name-filter button").click();
          assert.match(await text(page, ".list-head b"), /^1 of 1 waiting searched: 1 match$/, at.name);
        });
      }
    });
  });
}

test("what a queue keeps and how long its jobs take is told, on a phone too", () =>
  visit({ at: entrances[0], size: NARROW }, async (page) => {
    await page.goto(entrances[0].queue("news", { query: "?state=failed" }));
    assert.match(await text(page, ".insight"), /Times \(p50 \/ p95 \/ p99\) wait .* run .* ms/);
    assert.match(await text(page, ".insight"), /Kept completed forever; failed forever/);
    const overflow = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
    assert.ok(overflow <= 0, `${overflow} pixels too wide`);
  }));
