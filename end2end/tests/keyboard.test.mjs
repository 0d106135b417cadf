// The keyboard does everything.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { alive, text, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

let at;
before(async () => {
  const redis = await Redis.start();
  const oracle = await Oracle.start(redis);
  for (const jobId of ["first", "second", "third"]) await oracle.add("mail", {}, { opts: { jobId } });
  await oracle.add("post");
  at = await direct(redis);
  await at.drover.knows("mail", "post");
});
after(endAll);

const focused = (page) => page.evaluate(() => document.activeElement.textContent || document.activeElement.id);

async function press(page, ...keys) {
  for (const key of keys) await page.keyboard.press(key);
}

async function arrived(page, path) {
  await page.waitForURL((url) => url.pathname + url.search === path);
  await alive(page);
}

const list = () => at.queue("mail", { query: "?state=waiting" });

function opened(path, body) {
  return visit({ at }, async (page) => {
    await page.goto(path);
    await alive(page);
    await body(page);
  });
}

test("j and k walk over the rows and stop at the ends", () =>
  opened(list(), async (page) => {
    const walk = [];
    for (const key of ["j", "j", "j", "j", "k", "k", "k"]) {
      await press(page, key);
      walk.push(await focused(page));
    }
    assert.deepEqual(walk, ["first", "second", "third", "third", "second", "first", "first"]);
    const ring = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    assert.equal(ring, "solid", "the focus can be seen");
  }));

test("Enter opens the row, Esc goes up one level at a time, and back comes back", () =>
  opened(at.overview, async (page) => {
    await press(page, "j");
    const name = await focused(page);
    await press(page, "Enter");
    await page.waitForURL((url) => url.pathname === at.queue(name));
    await page.goto(list());
    await alive(page);
    await press(page, "j", "j", "Enter");
    await arrived(page, at.job("mail", "second"));
    await press(page, "Escape");
    await arrived(page, list());
    await press(page, "Escape");
    await arrived(page, at.overview);
    await page.goBack();
    await arrived(page, list());
  }));

test("the slash leads to the filter, Esc leaves it, Enter finds the job by its id", () =>
  opened(list(), async (page) => {
    await press(page, "/");
    assert.equal(await focused(page), "q");
    await page.keyboard.type("jk");
    assert.equal(await page.locator("#q").inputValue(), "jk", "what is typed is no command");
    await press(page, "Escape");
    assert.notEqual(await focused(page), "q");
    assert.equal(new URL(page.url()).pathname, at.queue("mail"), "Esc in the search stays on the page");
    await press(page, "/");
    await page.locator("#q").fill("third");
    await press(page, "Enter");
    await page.waitForURL(/q=third/);
    await alive(page);
    await press(page, "j", "Enter");
    await arrived(page, at.job("mail", "third"));
  }));

test("g and then o leads to all queues from anywhere", () =>
  opened(at.job("mail", "first"), async (page) => {
    await press(page, "g", "o");
    await arrived(page, at.overview);
    await page.goto(list());
    await alive(page);
    await press(page, "o");
    assert.equal(new URL(page.url()).pathname, at.queue("mail"), "o alone does nothing");
    await press(page, "g", "o");
    await arrived(page, at.overview);
  }));

test("the question mark opens the help, and Esc closes it and nothing else", () =>
  opened(list(), async (page) => {
    await press(page, "?");
    const help = page.getByRole("dialog", { name: "Keyboard" });
    await help.waitFor();
    assert.match(await text(page, "#help"), /next and previous row.*open the row.*search.*all queues.*this help/);
    await press(page, "j");
    await press(page, "Escape");
    await help.waitFor({ state: "hidden" });
    assert.equal(new URL(page.url()).pathname, at.queue("mail"));
  }));

test("the first Tab offers to skip to the content", () =>
  opened(list(), async (page) => {
    await press(page, "Tab");
    assert.equal(await focused(page), "Skip to content");
    const box = await page.locator(".skip").boundingBox();
    assert.ok(box.x >= 0, "it can be seen");
    await press(page, "Enter");
    assert.equal(await page.evaluate(() => document.activeElement.id), "main");
  }));
