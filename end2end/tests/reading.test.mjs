// What a person reads, with and without JavaScript, through every way in.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { alive, text, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";
import { ERROR, LOG, STACK_LINE, WAITING, countsOf, stock } from "../support/stock.mjs";

const entrances = [];
let oracle;

before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  const names = await stock(oracle, await Oracle.start(redis, 5));
  entrances.push(await direct(redis), ...(await proxied(redis)), await direct(redis, "/"));
  for (const { drover } of entrances) await drover.knows(...names);
});
after(endAll);

/** A visit without JavaScript. */
const plainly = (at, body) => visit({ at, javaScript: false }, body);

/** The counts on the tabs. */
function tabs(page) {
  return page.locator(".tabs a").evaluateAll((links) =>
    Object.fromEntries(
      links.map((link) => [link.querySelector("span").textContent, Number(link.querySelector("b").textContent.replace(",", ""))]),
    ),
  );
}

/** The overview's line of a queue, by column. */
function line(page, name) {
  return page.locator("#queues").evaluate((table, name) => {
    const heads = [...table.querySelectorAll("thead th")].map((head) => head.textContent.toLowerCase());
    const row = [...table.querySelectorAll("tbody tr")].find((row) => row.querySelector("a").textContent === name);
    return Object.fromEntries([...row.cells].map((cell, i) => [heads[i], cell.textContent.trim()]));
  }, name);
}

async function everyAddressIsOnTheBoard(page, at) {
  const addresses = await page.locator("[href], [src], [action], [formaction], [srcset], [poster]").evaluateAll((elements) =>
    elements.flatMap((element) =>
      ["href", "src", "action", "formaction", "srcset", "poster"].map((name) => element.getAttribute(name)).filter((a) => a !== null),
    ),
  );
  assert.ok(addresses.length > 5, `only ${addresses.length} addresses on ${page.url()}`);
  const strangers = addresses.filter((address) => !address.startsWith("#") && !at.owns(new URL(address, page.url()).href));
  assert.deepEqual(strangers, [], `addresses on ${page.url()} that leave the board`);
}

const WAYS = ["directly", "behind nginx that keeps the prefix", "behind nginx that strips the prefix", "at the root of its host"];

for (const [i, way] of WAYS.entries()) {
  describe(`Asked ${way}, the board`, () => {
    let at;
    before(() => {
      at = entrances[i];
      assert.equal(at.name, way);
    });

    test("comes alive on each of its three pages", () =>
      visit({ at }, async (page) => {
        for (const path of [at.overview, at.queue("orders", { query: "?state=active" }), at.job("orders", "held")]) {
          await page.goto(path);
          await alive(page);
          await everyAddressIsOnTheBoard(page, at);
        }
      }));

    test("shows every queue and its counts without JavaScript", () =>
      plainly(at, async (page) => {
        await page.goto(at.overview);
        const { waiting, prioritized, active, delayed, parents, completed, failed, ...rest } = await line(page, "orders");
        const shown = { waiting, prioritized, active, delayed, parents, completed, failed };
        const counts = Object.entries(await countsOf(oracle, "orders")).map(([state, n]) => [state, String(n)]);
        assert.deepEqual(shown, Object.fromEntries(counts));
        assert.equal(rest.workers, "1");
        assert.equal((await line(page, "stuck")).verdict, "Bad");
        assert.equal((await line(page, "slow")).verdict, "Watch");
        assert.equal((await line(page, "parked")).verdict, "Paused");
        assert.equal((await line(page, "legacy")).waiting, "1");
        assert.match(await text(page, ".attention"), /stuck The next job has waited 12 m/);
        assert.match(await text(page, ".store"), /Redis 7/);
        assert.match(await text(page, "#link"), /^as of \d\d:\d\d:\d\d UTC$/);
        await everyAddressIsOnTheBoard(page, at);
      }));

    test("leads from the overview over a tab to a job and back without JavaScript", () =>
      plainly(at, async (page) => {
        await page.goto(at.overview);
        await page.locator("#queues").getByRole("link", { name: "orders", exact: true }).click();
        assert.equal(await text(page, "h1"), "orders");
        assert.deepEqual(await tabs(page), await countsOf(oracle, "orders"));
        await everyAddressIsOnTheBoard(page, at);

        await page.locator(".tabs a.failed").click();
        assert.equal(new URL(page.url()).search, "?state=failed");
        assert.match(await text(page, "#jobs tbody tr"), /charge-1.*charge.*2 \/ 2.*card declined/);
        await page.getByRole("link", { name: "charge-1", exact: true }).click();
        assert.match(await text(page, "h1"), /charge charge-1/);
        await everyAddressIsOnTheBoard(page, at);

        const crumbs = page.getByRole("navigation", { name: "Breadcrumbs" });
        await crumbs.getByRole("link", { name: "orders" }).click();
        assert.equal(new URL(page.url()).search, "?state=failed");
        await crumbs.getByRole("link", { name: "All queues" }).click();
        assert.equal(new URL(page.url()).pathname, at.overview);
      }));

    test("tells a failed job's whole story without JavaScript", () =>
      plainly(at, async (page) => {
        await page.goto(at.job("orders", "charge-1"));
        assert.match(await text(page, ".timeline"), /created .* ago .*1 earlier attempt .*last attempt \(2\) started .*ran .*failed permanently/);
        assert.match(await text(page, ".facts"), /Attempts ?2 made of 2 allowed.*till-eu-1/);
        assert.match(await text(page, "section:has(#v-failedReason)"), new RegExp(ERROR));
        assert.equal(await page.locator(".traces details").count(), 2);
        assert.ok(await page.locator(".traces pre").first().isVisible(), "the newest stack trace is open");
        assert.ok((await text(page, ".traces pre")).includes(STACK_LINE));
        assert.match(await text(page, "section:has(#v-data)"), /"amount": 12345678901234, "currency": "EUR"/);
        // Two attempts wrote two lines each.
        assert.deepEqual(await page.locator(".log li").allTextContents(), [...LOG, ...LOG]);
        assert.match(await text(page, "section:has(#v-opts)"), /"attempts": 2/);
        await page.goto(at.job("orders", "charge-2"));
        assert.match(await text(page, "section:has(#v-returnvalue)"), /"receipt": "R-77"/);
      }));

    test("opens a job by its id without JavaScript", () =>
      plainly(at, async (page, watch) => {
        await page.goto(at.queue("orders"));
        await page.getByRole("searchbox", { name: "Job id" }).fill("first-class");
        await page.getByRole("button", { name: "Open" }).click();
        assert.equal(new URL(page.url()).pathname, at.job("orders", "first-class"));
        assert.match(await text(page, ".state-line"), /prioritized/);

        watch.allow(/\b404\b/);
        await page.goto(at.queue("orders"));
        await page.getByRole("searchbox", { name: "Job id" }).fill("nobody");
        await page.getByRole("searchbox", { name: "Job id" }).press("Enter");
        assert.equal(await text(page, "h1"), "No such job");
        await everyAddressIsOnTheBoard(page, at);
        await page.getByRole("link", { name: "The queue" }).click();
        assert.equal(await text(page, "h1"), "orders");
      }));

    test("remembers the theme without JavaScript and stays on the page", () =>
      plainly(at, async (page) => {
        const path = at.queue("orders", { query: "?state=delayed" });
        await page.goto(path);
        const surface = () => page.evaluate(() => getComputedStyle(document.documentElement).backgroundColor);
        const light = await surface();
        await page.getByRole("button", { name: "Dark" }).click();
        await page.waitForURL(at.origin + path);
        assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
        assert.equal(await page.getByRole("button", { name: "Dark" }).getAttribute("aria-pressed"), "true");
        assert.notEqual(await surface(), light);
        await page.goto(at.overview);
        assert.equal(await page.locator("html").getAttribute("data-theme"), "dark");
        const [cookie, ...others] = await page.context().cookies();
        assert.deepEqual([cookie.name, cookie.value, cookie.path, others], ["drover_theme", "dark", at.overview, []]);
        await page.getByRole("button", { name: "Auto" }).click();
        await page.waitForURL(at.origin + at.overview);
        assert.equal(await page.locator("html").getAttribute("data-theme"), null);
        assert.deepEqual(await page.context().cookies(), []);
      }));

    test("turns the pages of a long list without JavaScript", () =>
      plainly(at, async (page) => {
        await page.goto(at.queue("orders", { query: "?state=waiting" }));
        const seen = [];
        for (let turned = 0; ; turned++) {
          seen.push(...(await page.locator("#jobs tbody th").allTextContents()));
          assert.match(await text(page, ".list-head"), new RegExp(`–${seen.length} of ${WAITING} waiting`));
          const next = page.getByRole("link", { name: "Next page" });
          if ((await next.count()) === 0) break;
          assert.ok(turned < 10, "the last page has no next one");
          await next.click();
        }
        // The library lists who waits with the newest first.
        const waiting = await oracle.ask("ids", "orders", { state: "waiting", asc: true });
        assert.deepEqual(seen, waiting);
        await page.getByRole("link", { name: "First page" }).click();
        assert.match(await text(page, ".list-head"), /1–50 of 120/);
      }));
  });
}
