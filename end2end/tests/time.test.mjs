// Times read in UTC or by the reader's own clock; the other one is a hover away.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { alive, text, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

// 2026-03-01 12:00:00 UTC, which is 17:45 in Kathmandu.
const CREATED = Date.UTC(2026, 2, 1, 12);
const UTC = "2026-03-01 12:00:00.000 UTC";
const LOCAL = "2026-03-01 17:45:00.000 UTC+5:45";

let at;
before(async () => {
  const redis = await Redis.start();
  const oracle = await Oracle.start(redis);
  await oracle.add("mail", {}, { opts: { jobId: "old", timestamp: CREATED } });
  at = await direct(redis);
  await at.drover.knows("mail");
});
after(endAll);

const created = (page) => page.locator(".timeline li").first();

test("a reader switches to local time and back; every page keeps it, and the hover shows the other clock", () =>
  visit({ at, timezone: "Asia/Kathmandu" }, async (page) => {
    const path = at.job("mail", "old");
    await page.goto(path);
    await alive(page);
    await page.waitForFunction(() => document.querySelector(".timeline time").title.includes("\n"));
    assert.ok((await created(page).innerText()).includes(UTC));
    assert.equal(await created(page).locator("time").getAttribute("title"), `${UTC}\n${LOCAL}`);

    await page.getByRole("button", { name: "Local" }).click();
    await page.waitForURL(at.origin + path);
    await alive(page);
    assert.equal(await page.getByRole("button", { name: "Local" }).getAttribute("aria-pressed"), "true");
    await page.waitForFunction(() => document.querySelector(".timeline").textContent.includes("UTC+5:45"));
    assert.ok((await created(page).innerText()).includes(LOCAL));
    assert.equal(await created(page).locator("time").getAttribute("title"), `${LOCAL}\n${UTC}`);
    await page.goto(at.overview);
    await alive(page);
    assert.equal(await page.getByRole("button", { name: "Local" }).getAttribute("aria-pressed"), "true");

    await page.getByRole("button", { name: "UTC" }).click();
    await page.waitForURL(at.origin + at.overview);
    await page.goto(path);
    await alive(page);
    assert.ok((await created(page).innerText()).includes(UTC));
    assert.deepEqual(await page.context().cookies(), []);
  }));

test("without JavaScript times are in UTC and say so, and no other clock is offered", () =>
  visit({ at, javaScript: false, timezone: "Asia/Kathmandu" }, async (page) => {
    await page.goto(at.job("mail", "old"));
    assert.ok((await text(page, ".timeline")).includes(UTC));
    assert.equal(await page.getByRole("button", { name: "Local" }).isVisible(), false);
  }));
