// Names, ids and payloads come from strangers: they are shown as they are and do nothing.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { alive, shows, text, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const IMAGE = "<img src=x onerror=alert(1)>";
const SCRIPT = "</script></pre><script>alert(2)</script>";
const ID = `<svg onload=alert(3)>"'&`;
// Each is one segment of an address, whatever a proxy makes of it on the way.
const ODD_IDS = ["with space", "50% off", "what?state=failed", "a#b", "a+b", "a/b", "a//b", "%2F", "ä–日本", "a\\b", ".hidden", "a;b,c"];

let plain, kept, stripped;
let oracle;

before(async () => {
  const redis = await Redis.start();
  oracle = await Oracle.start(redis);
  await oracle.ask("startWorker", IMAGE, { workerId: "w", name: IMAGE });
  const data = { [IMAGE]: SCRIPT, log: [IMAGE, SCRIPT], progress: [{ [IMAGE]: SCRIPT }], fail: `${IMAGE}\n${SCRIPT}` };
  await oracle.add(IMAGE, data, { name: SCRIPT, opts: { jobId: ID } });
  await oracle.ask("waitUntil", IMAGE, { state: "failed", count: 1 });
  await oracle.add(IMAGE, { hold: true, progress: [IMAGE] }, { name: IMAGE, opts: { jobId: `${ID}held` } });
  await oracle.ask("waitUntil", IMAGE, { state: "active", count: 1 });
  for (const jobId of ODD_IDS) await oracle.add("odd", { jobId }, { opts: { jobId } });
  plain = await direct(redis);
  [kept, stripped] = await proxied(redis);
  for (const { drover } of [plain, kept]) await drover.knows(IMAGE, "odd");
});
after(endAll);

/** Nothing on the page was made by a stranger. */
async function inert(page) {
  const grown = await page.evaluate(() => {
    const scripts = [...document.scripts].filter((script) => /alert/.test(script.textContent) && script.type !== "application/json");
    const handlers = document.querySelectorAll("[onerror], [onload]");
    // The icon, sparks and charts are Drover's own.
    return [...document.images, ...scripts, ...handlers].map((element) => element.outerHTML);
  });
  assert.deepEqual(grown, []);
}

// A path that some proxy or browser would take apart travels as a parameter.
const isAJobs = (url) => url.pathname.includes("/jobs/") || (url.searchParams.get("to") ?? "").includes("/jobs/");

for (const javaScript of [true, false]) {
  describe(`${javaScript ? "With" : "Without"} JavaScript,`, () => {
    const open = async (page, path) => {
      await page.goto(path);
      if (javaScript) await alive(page);
      await inert(page);
    };

    test("a queue whose name is markup is a line of text on the overview", () =>
      visit({ at: plain, javaScript }, async (page) => {
        await open(page, plain.overview);
        assert.ok((await page.locator("#queues .name a").allTextContents()).includes(IMAGE));
      }));

    test("a list of jobs whose names, ids, progress and errors are markup is text", () =>
      visit({ at: plain, javaScript }, async (page) => {
        await open(page, plain.queue(IMAGE, { query: "?state=failed" }));
        assert.equal(await text(page, "h1"), IMAGE);
        const row = await text(page, "#jobs tbody tr");
        for (const part of [ID, SCRIPT, IMAGE]) assert.ok(row.includes(part), `${part} is not in ${row}`);
        await open(page, plain.queue(IMAGE, { query: "?state=active" }));
        assert.ok((await text(page, "#jobs tbody tr .detail")).includes(IMAGE));
      }));

    test("a job whose every part is markup is text, and its title too", () =>
      visit({ at: plain, javaScript }, async (page) => {
        await open(page, plain.queue(IMAGE, { query: "?state=failed" }));
        await page.locator("#jobs tbody a").click();
        await page.waitForURL(isAJobs);
        if (javaScript) await alive(page);
        await inert(page);
        assert.equal(await page.title(), `${ID} · ${IMAGE} · Drover`);
        const whole = await text(page, "main");
        for (const part of [ID, SCRIPT, IMAGE]) assert.ok(whole.includes(part), `${part} is not shown`);
        assert.deepEqual(await page.locator(".log li").allTextContents(), [IMAGE, SCRIPT]);
        await page.getByRole("navigation", { name: "Breadcrumbs" }).getByRole("link", { name: IMAGE }).click();
        assert.equal(await text(page, "h1"), IMAGE);
      }));
  });
}

test("markup that arrives while a page is open is text", () =>
  visit({ at: plain }, async (page) => {
    await page.goto(plain.job(IMAGE, `${ID}held`));
    await alive(page);
    await oracle.ask("setProgress", IMAGE, { jobId: `${ID}held`, progress: { step: SCRIPT } });
    await shows(page, "main", /<script>alert\(2\)/);
    await inert(page);
  }));

describe("A job whose id is not made for addresses", () => {
  const ways = { "asked directly": () => plain, "behind nginx that keeps the prefix": () => kept, "behind nginx that strips the prefix": () => stripped };
  for (const [way, entrance] of Object.entries(ways)) {
    for (const id of ODD_IDS) {
      test(`(${id}) opens from the list and stays live, ${way}`, () =>
        visit({ at: entrance() }, async (page) => {
          await page.goto(entrance().queue("odd", { query: "?state=waiting" }));
          await page.locator("#jobs tbody a").filter({ hasText: id }).and(page.getByRole("link", { name: id, exact: true })).click();
          await page.waitForURL(isAJobs);
          assert.match(await text(page, "h1"), new RegExp(`${id.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")}$`));
          await alive(page);
          await oracle.ask("setProgress", "odd", { jobId: id, progress: 33 });
          await shows(page, ".state-line", /33 %/);
          await oracle.ask("setProgress", "odd", { jobId: id, progress: 0 });
        }));
    }
  }
});
