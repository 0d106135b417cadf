// An overview of nearly as many queues as one page has whole: found, sorted, grouped and pinned within seconds, with and without JavaScript.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NARROW, alive, mark, shows, text, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Herd } from "../support/herd.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const PLACES = ["mail", "video", "invoice", "search", "audit"];
const NAMES = Array.from({ length: 480 }, (_, i) => `${PLACES[i % 5]}${"./-/"[i % 4]}${String(i).padStart(3, "0")}`);
const ALL = NAMES.length + 3;

let at;
let herd;
let redis;

before(async () => {
  redis = await Redis.start();
  herd = await Herd.on(redis);
  for (const name of NAMES) herd.queue(name);
  herd.queue("late-one", { waiting: 30, minutesAgo: 15 });
  herd.queue("late-two", { waiting: 900, minutesAgo: 12 });
  herd.queue("broken", { failed: 77 });
  at = await direct(redis);
  await at.drover.knows(...NAMES, "late-one", "late-two", "broken");
});
after(async () => {
  herd?.end();
  await endAll();
});

const rows = (page) => page.locator("#queues tbody tr:not(.group) th a").allTextContents();
const headings = (page) => page.locator("#queues tr.group th a").allTextContents();
const search = (page) => new URL(page.url()).search;
const filled = (page, count) => page.waitForFunction((n) => document.querySelectorAll("#queues tbody tr:not(.group)").length === n, count);

async function opened(page, query = "") {
  await page.goto(at.overview + query);
  await alive(page);
  await mark(page);
}

for (const javaScript of [true, false]) {
  const ready = (page) => (javaScript ? alive(page) : page.waitForLoadState());
  const act = async (page, act, query) => {
    await act();
    await page.waitForURL((url) => url.search === query);
    await ready(page);
  };

  describe(javaScript ? "With JavaScript," : "Without JavaScript,", () => {
    test("the filter finds queues, its address shows the same, and back shows all again", () =>
      visit({ at, javaScript }, async (page) => {
        await page.goto(at.overview);
        await ready(page);
        await filled(page, ALL);
        assert.match(await text(page, ".shown"), new RegExp(`^${ALL} queues$`));
        const box = page.getByRole("combobox", { name: "Filter queues" });
        await act(page, async () => {
          await box.fill("late");
          await box.press("Enter");
        }, "?q=late");
        await filled(page, 2);
        assert.deepEqual((await rows(page)).sort(), ["late-one", "late-two"]);
        assert.match(await text(page, ".shown"), new RegExp(`^2 of ${ALL} queues Show all$`));
        await page.reload();
        await ready(page);
        assert.equal(await box.inputValue(), "late");
        assert.deepEqual((await rows(page)).sort(), ["late-one", "late-two"]);
        await page.goBack();
        await page.waitForURL((url) => url.search === "");
        await filled(page, ALL);
      }));

    test("a click on a verdict and on a state shows those queues, another one all", () =>
      visit({ at, javaScript }, async (page) => {
        await page.goto(at.overview);
        await ready(page);
        const summary = page.getByRole("region", { name: "Summary" });
        await act(page, () => summary.getByRole("link", { name: /\d Bad/ }).click(), "?level=bad");
        assert.deepEqual((await rows(page)).sort(), ["late-one", "late-two"]);
        await act(page, () => summary.getByRole("link", { name: /failed/ }).click(), "?level=bad&state=failed");
        assert.equal(await text(page, ".empty"), "No queue matches this filter.");
        await act(page, () => summary.getByRole("link", { name: /\d Bad/ }).click(), "?state=failed");
        assert.deepEqual(await rows(page), ["broken"]);
        await act(page, () => page.getByRole("link", { name: "Show all" }).click(), "");
        await filled(page, ALL);
        await act(page, () => page.goBack(), "?state=failed");
        assert.deepEqual(await rows(page), ["broken"]);
      }));

    test("every order has an address", () =>
      visit({ at, javaScript }, async (page) => {
        await page.goto(`${at.overview}?q=late`);
        await ready(page);
        const order = page.getByRole("navigation", { name: "Order" });
        await act(page, () => order.getByRole("link", { name: "backlog" }).click(), "?q=late&sort=backlog");
        assert.deepEqual(await rows(page), ["late-two", "late-one"]);
        await act(page, () => order.getByRole("link", { name: "oldest" }).click(), "?q=late&sort=oldest");
        assert.deepEqual(await rows(page), ["late-one", "late-two"]);
        assert.equal(await order.locator("[aria-current=true]").innerText(), "oldest");
        await page.goto(`${at.overview}?sort=failed`);
        await ready(page);
        assert.equal((await rows(page))[0], "broken");
        await page.goto(`${at.overview}?sort=name`);
        await ready(page);
        assert.deepEqual((await rows(page)).slice(0, 2), ["audit-014", "audit-034"]);
      }));

    test("groups have headings with sums, and fold", () =>
      visit({ at, javaScript }, async (page) => {
        await page.goto(`${at.overview}?sort=name`);
        await ready(page);
        await act(page, () => page.getByRole("link", { name: "group by name" }).click(), "?sort=name&group=1");
        await filled(page, ALL);
        assert.deepEqual(await headings(page), ["audit", "invoice", "late", "mail", "search", "video", "other queues"]);
        const late = page.locator("#queues tr.group", { has: page.getByRole("link", { name: "late", exact: true }) });
        // What is off the screen is not laid out, and has no text to be seen.
        await late.scrollIntoViewIfNeeded();
        await late.getByText("930").waitFor();
        await until("the sums of the group", async () => /^Bad late ?2 queues 930 0/.test((await late.innerText()).replace(/\s+/g, " ")));
        await act(page, () => late.getByRole("link").click(), "?sort=name&group=1&fold=late");
        await filled(page, ALL - 2);
        assert.equal(await late.getByRole("link").getAttribute("aria-expanded"), "false");
        await act(page, () => late.getByRole("link").click(), "?sort=name&group=1");
        await filled(page, ALL);
      }));

    test("a pinned queue stands first, also for the next visit, until it is unpinned", () =>
      visit({ at, javaScript }, async (page) => {
        await page.goto(`${at.overview}?sort=name`);
        await ready(page);
        await page.getByRole("button", { name: "Pin video.316" }).click();
        await page.getByRole("button", { name: "Unpin video.316" }).waitFor();
        await page.mouse.move(5, 5);
        await page.waitForFunction(() => document.querySelector("#queues tbody th a").textContent === "video.316");
        assert.equal(search(page), "?sort=name", "it stays on the page");
        const other = await page.context().newPage();
        await other.goto(at.overview);
        await ready(other);
        assert.deepEqual((await rows(other)).slice(0, 2), ["video.316", "late-one"]);
        await other.getByRole("button", { name: "Unpin video.316" }).click();
        await other.getByRole("button", { name: "Pin video.316", exact: true }).waitFor();
        await other.goto(at.overview);
        assert.equal((await rows(other))[0], "late-one");
        assert.deepEqual(await page.context().cookies(), []);
      }));
  });
}

test("a button that is pressed while rows are added is clicked, and says so at once", () =>
  visit({ at }, async (page) => {
    await page.goto(`${at.overview}?sort=name`);
    const pin = page.locator("#queues button.pin").nth(20);
    const name = (await pin.getAttribute("title")).replace("Pin ", "");
    await pin.hover();
    await alive(page);
    await page.mouse.down();
    await filled(page, ALL);
    await page.mouse.up();
    await page.getByRole("button", { name: `Unpin ${name}` }).click();
    await page.getByRole("button", { name: `Pin ${name}`, exact: true }).waitFor();
  }));

test("typing filters at once and is one step in the history; Enter leads into the list; Esc shows all again", () =>
  visit({ at }, async (page) => {
    await opened(page);
    await page.keyboard.press("/");
    await page.keyboard.type("late-t", { delay: 40 });
    await filled(page, 1);
    assert.deepEqual(await rows(page), ["late-two"]);
    await page.waitForURL((url) => url.search === "?q=late-t");
    for (let i = 0; i < 5; i++) await page.keyboard.press("Backspace", { delay: 20 });
    await page.keyboard.type("ate", { delay: 40 });
    await page.waitForURL((url) => url.search === "?q=late");
    await page.keyboard.press("Enter");
    assert.equal(await page.evaluate(() => document.activeElement.textContent), (await rows(page))[0]);
    await page.keyboard.press("Escape");
    await page.waitForURL((url) => url.search === "");
    await filled(page, ALL);
    await page.goBack();
    await page.waitForURL((url) => url.search === "?q=late");
    await filled(page, 2);
    assert.equal(await page.locator("#filter").inputValue(), "late");
    assert.ok(await untouched(page), "nothing of this loaded a page");
  }));

test("j and k walk over headings and queues, Enter folds a group and opens a queue", () =>
  visit({ at }, async (page) => {
    await opened(page, "?sort=name&group=1&q=late");
    const focused = () => page.evaluate(() => document.activeElement.textContent);
    await page.keyboard.press("j");
    assert.equal(await focused(), "late");
    await page.keyboard.press("j");
    assert.equal(await focused(), "late-one");
    await page.keyboard.press("k");
    await page.keyboard.press("Enter");
    await filled(page, 0);
    assert.equal(await focused(), "late");
    await page.keyboard.press("Enter");
    await filled(page, 2);
    await page.keyboard.press("j");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === at.queue("late-one"));
  }));

test("a queue that fits the filter appears, one that does not is only counted", () =>
  visit({ at }, async (page) => {
    await opened(page, "?q=fresh");
    assert.match(await text(page, ".shown"), /^0 of \d+ queues/);
    const known = Number((await text(page, ".shown")).match(/of (\d+)/)[1]);
    herd.queue("fresh-fish", { waiting: 1 });
    herd.queue("stale-fish", { waiting: 1 });
    await shows(page, ".shown", new RegExp(`^1 of ${known + 2} queues`), 60_000);
    assert.deepEqual(await rows(page), ["fresh-fish"]);
    assert.ok(await untouched(page));
  }));

test("rows beyond the first are shown where the page's script cannot start", () =>
  visit({ at }, async (page, watch) => {
    watch.allow(/ERR_FAILED|Failed to fetch|NetworkError|net::/);
    await page.route("**/*.wasm", (route) => route.abort());
    await page.goto(`${at.overview}?sort=name`);
    await shows(page, "#link.lost", /^not live: reload the page to see changes$/);
    const queues = Number.parseInt(await text(page, ".shown"), 10);
    assert.ok(queues >= ALL, `${queues} queues`);
    await filled(page, queues);
    const last = page.locator("#queues tbody tr").last();
    await last.scrollIntoViewIfNeeded();
    assert.equal(await last.locator("td.history").count(), 1, "whole");
    await last.locator("th a").click();
    await page.waitForURL(/\/(queues\/redis\/|at\?to=)/);
  }));

test("a row far from the screen becomes whole when the reader comes near it, and every row is printed whole", () =>
  visit({ at }, async (page) => {
    await opened(page, "?sort=name");
    await page.waitForFunction((n) => document.querySelectorAll("#queues tbody tr").length >= n, ALL);
    const whole = () => page.locator("#queues tbody tr:has(td.history)").count();
    assert.ok((await whole()) < 200, `${await whole()} rows are whole`);
    const last = page.locator("#queues tbody tr").last();
    assert.equal(await last.locator("td").count(), 1, "it says how its queue is");
    await last.scrollIntoViewIfNeeded();
    await last.locator("td.history").waitFor();
    await page.evaluate(() => dispatchEvent(new Event("beforeprint")));
    await page.waitForFunction(() => document.querySelectorAll("#queues tbody td.history").length === document.querySelectorAll("#queues tbody tr").length);
  }));

test("rows stay where they are while the pointer is among them", () =>
  visit({ at }, async (page) => {
    await opened(page, "?sort=failed");
    const third = () => page.locator("#queues tbody:first-of-type tr:nth-child(3) th a").innerText();
    await page.locator("#queues tbody:first-of-type tr:nth-child(3)").hover();
    const before = await third();
    herd.queue("audit-014", { failed: 500 });
    await page.waitForTimeout(6_500);
    assert.equal(await third(), before);
    await page.mouse.move(5, 5);
    await page.waitForFunction(() => document.querySelector("#queues tbody th a").textContent === "audit-014", null, { timeout: 30_000 });
  }));

test("on a phone everything is within the width and large enough to be pressed", () =>
  visit({ at, size: NARROW }, async (page) => {
    await opened(page, "?q=late&group=1");
    const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
    assert.ok(scroll <= inner, `${scroll} > ${inner}`);
    const low = await page.locator(".looks a, #filter, .pin").evaluateAll((all) =>
      all.map((one) => [one.textContent || one.title || one.id, one.getBoundingClientRect().height]).filter(([, height]) => height < 24),
    );
    assert.deepEqual(low, []);
  }));
