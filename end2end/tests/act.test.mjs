// One thing at a time, as whoever is on call does it: what is asked for is done by the library's own rules, the page tells
// what became of it and then what has been seen since, and who did it stands in the record.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { NARROW, alive, mark, shows, tabTo, text, untouched, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

// A name with which a phone has to be wide enough.
const LONG_NAME = "a-queue-with-a-rather-long-name-that-nobody-would-type";

let redis, oracle, at;
// All queues at once, before there is a board: it would look for each new one only after a while.
before(async () => {
  redis = await Redis.start();
  oracle = await Oracle.start(redis);
  const to = (word) => [`${word}-on`, `${word}-off`];
  const failing = [...to("retry"), ...to("row"), ...to("remove"), ...to("changed"), "edit", "keys", LONG_NAME, "looked-at"];
  const idle = [...to("pause"), ...to("add"), "seen"];
  for (const queue of failing) await failed(queue, "a", "b", "c");
  for (const queue of idle) await waiting(queue, "a", "b");
  await oracle.add("later", {}, { name: "send", opts: { jobId: "a", delay: 60_000 } });
  at = await direct(redis);
  await at.drover.knows(...failing, ...idle, "later");
});
after(endAll);

const LONG = 3_600_000;
const work = (queue) => oracle.ask("startWorker", queue, { workerId: queue });
const rest = (queue) => oracle.ask("stopWorker", queue, { workerId: queue });
const state = (queue, jobId) => oracle.ask("callJob", queue, { jobId, method: "getState" });
const job = (queue, jobId) => oracle.ask("job", queue, { jobId });
const gone = async (queue, jobId) => (await oracle.ask("call", queue, { method: "getJob", args: [jobId] })) === null;

/** A queue with failed jobs that would end well now. Nobody works for it. */
async function failed(queue, ...ids) {
  await work(queue);
  for (const jobId of ids) await oracle.add(queue, { failTimes: 1, fail: "no route to host" }, { name: "send", opts: { jobId } });
  await oracle.ask("waitUntil", queue, { state: "failed", count: ids.length });
  await rest(queue);
}

/** A queue with jobs that wait. */
async function waiting(queue, ...ids) {
  for (const jobId of ids) await oracle.add(queue, { to: jobId }, { name: "send", opts: { jobId } });
}

/** Long enough for a worker to take what it may: one of another queue has taken a job meanwhile, and done it. */
async function elsewhere(queue) {
  await work(queue);
  await oracle.add(queue, { ms: 100 });
  await oracle.ask("waitUntil", queue, { state: "completed", count: 1 });
  await rest(queue);
}

const button = (page, name) => page.getByRole("button", { name, exact: true });
const link = (page, name) => page.locator("main").getByRole("link", { name, exact: true });

async function open(page, path, javaScript = true) {
  await page.goto(path);
  if (javaScript) await alive(page);
}

/** Waits until a text is seen: without JavaScript by asking for the page again. */
async function sees(page, javaScript, selector, pattern) {
  if (javaScript) return shows(page, selector, pattern);
  let last;
  await until(`${selector} to show ${pattern}`, async () => {
    last = await text(page, selector);
    if (pattern.test(last)) return true;
    await page.reload();
    throw new Error(last);
  });
}

/** What the record says of a queue, the newest first: action, result and reason. */
async function record(queue) {
  const { items } = await at.drover.api(`/audit?queue=${encodeURIComponent(`redis/bull:${queue}`)}`);
  return items.map(({ action, result, reason }) => [action, result, ...(reason ? [reason] : [])].join(" "));
}

for (const javaScript of [true, false]) {
  const js = javaScript ? "on" : "off";
  const inTab = (body) => visit({ at, javaScript }, body);

  describe(`With JavaScript ${js},`, () => {
    test("a failed job is retried from its page, which asks nothing and tells how it goes on", async () => {
      const queue = `retry-${js}`;
      await inTab(async (page) => {
        await open(page, at.job(queue, "a"), javaScript);
        await button(page, "Retry").click();
        await page.waitForURL(/asked=/);
        assert.equal(await text(page, ".asked"), "Retried job a. It is now waiting.");
        assert.equal(await button(page, "Retry").count(), 0, "what waits is not retried");
        assert.equal(await state(queue, "a"), "waiting");
        if (javaScript) {
          await alive(page);
          await mark(page);
        }
        await work(queue);
        await sees(page, javaScript, ".asked", /It is now completed\./);
        if (javaScript) assert.ok(await untouched(page), "without a reload");
        assert.equal(await state(queue, "a"), "completed");
        assert.equal(await state(queue, "b"), "failed", "the other one is as it was");
        await page.goto(`${at.base}/audit`);
        assert.match(await text(page, ".audit tbody tr"), new RegExp(`anonymous 127\\.0\\.0\\.1 Retry job a of queue ${queue} .* done`));
      });
      await rest(queue);
      assert.deepEqual(await record(queue), ["retry done"]);
    });

    test("a failed job is retried from its row", async () => {
      const queue = `row-${js}`;
      await inTab(async (page) => {
        await open(page, at.queue(queue, { query: "?state=failed" }), javaScript);
        if (javaScript) for (const key of ["j", "j", "x"]) await page.keyboard.press(key);
        else await page.getByRole("checkbox", { name: "Select b", exact: true }).check();
        await button(page, "Retry selected…").click();
        assert.match(await text(page, ".lead"), /^Exactly 1 job\./);
        assert.equal(await state(queue, "b"), "failed", "a preview does nothing");
        await button(page, "Retry 1 job").click();
        await sees(page, javaScript, ".sum", /^1 done /);
      });
      assert.deepEqual(await oracle.ask("ids", queue, { state: "waiting" }), ["b"]);
    });

    test("a queue is paused with a reason, which stands beside the button that resumes it", async () => {
      const queue = `pause-${js}`;
      await inTab(async (page) => {
        await open(page, at.queue(queue), javaScript);
        await link(page, "Pause with a reason…").click();
        await page.locator("[name=reason]").fill("deploy <of> mail & co");
        await button(page, "Pause the queue").click();
        await page.waitForURL((url) => url.pathname === at.queue(queue));
        // At once, and because it was seen: nothing here offers again what has just been done.
        assert.match(await text(page, "#act .paused-by"), /^Paused \d s ago by anonymous \(127\.0\.0\.1\): deploy <of> mail & co$/);
        assert.match(await text(page, "#act .asked"), /^Paused the queue\. Running jobs will finish\.$/);
        assert.equal(await button(page, "Pause").count(), 0);
        assert.match(await text(page, ".facts"), /Status paused/);
        assert.equal(await oracle.ask("isPaused", queue), true);
        await work(queue);
        await oracle.add(queue, {}, { opts: { jobId: "c" } });
        await elsewhere(`beside-${queue}`);
        const counts = await oracle.ask("counts", queue);
        assert.deepEqual([counts.waiting, counts.active, counts.completed], [3, 0, 0], "the worker takes nothing");
        await button(page, "Resume").click();
        await page.waitForURL((url) => url.pathname === at.queue(queue));
        await button(page, "Pause").waitFor();
        assert.equal(await page.locator(".paused-by").count(), 0);
        assert.equal(await oracle.ask("isPaused", queue), false);
        await oracle.ask("waitUntil", queue, { state: "completed", count: 3 });
        await sees(page, javaScript, ".tabs .completed", /completed 3/);
        await page.locator("#act, .insight").getByRole("link", { name: "actions on this queue" }).click();
        const rows = await page.locator(".audit tbody tr").allInnerTexts();
        assert.deepEqual(rows.map((row) => /Resume|Pause/.exec(row)?.[0]), ["Resume", "Pause"]);
        assert.match(rows[1], /“deploy <of> mail & co”/);
      });
      await rest(queue);
      assert.deepEqual(await record(queue), ["resume done", "pause done deploy <of> mail & co"]);
    });

    test("a job is added with a delay, a priority and an id of its own, and runs when it is told to", async () => {
      const queue = `add-${js}`;
      const id = "order 7/ü?#%";
      await inTab(async (page, watch) => {
        await open(page, at.queue(queue), javaScript);
        await link(page, "Add a job…").click();
        const fill = (name, value) => page.locator(`[name=${name}]`).fill(value);
        await fill("name", "mail.send");
        await fill("data", '{"to": "a", ');
        await fill("id", id);
        await fill("delay", "3600");
        await fill("priority", "7");
        watch.allow(/\b422\b/);
        await button(page, "Add a job").click();
        assert.match(await text(page, ".form .error"), /^Nothing was done\. data is not JSON/);
        assert.equal(await page.locator("[name=id]").inputValue(), id, "what was filled in is still there");
        await fill("data", '{"to": "a", "n": 12345678901234567890}');
        await button(page, "Add a job").click();
        await page.waitForURL((url) => !url.pathname.endsWith("/act"));
        assert.match(await text(page, "h1"), /mail\.send order 7\/ü\?#%$/);
        assert.match(await text(page, ".state-line"), /delayed/);
        assert.match(await text(page, ".job"), /12345678901234567890/);
        const added = await job(queue, id);
        assert.deepEqual([added.state, added.priority, added.opts.delay, added.data.to], ["delayed", 7, LONG, "a"]);
        if (javaScript) await alive(page);
        await work(queue);
        await oracle.ask("waitUntil", queue, { state: "completed", count: 2 });
        await button(page, "Run now").click();
        await sees(page, javaScript, ".asked", /Promoted job .*\. It is now completed\./);
        assert.equal(await state(queue, id), "completed");
      });
      await rest(queue);
      assert.deepEqual(await record(queue), ["promote done", "add done"]);
    });

    test("a job is removed only after a sentence has said so", async () => {
      const queue = `remove-${js}`;
      await inTab(async (page, watch) => {
        await open(page, at.job(queue, "a"), javaScript);
        assert.equal(await link(page, "Remove…").isVisible(), false, "it is folded away");
        await page.getByText("Danger zone…").click();
        await link(page, "Remove…").click();
        assert.equal(await text(page, ".form .sentence"), `Remove job a of queue ${queue} in redis permanently.`);
        await link(page, "Back").click();
        assert.equal(await state(queue, "a"), "failed", "asking does nothing");
        await page.getByText("Danger zone…").click();
        await link(page, "Remove…").click();
        await page.locator("[name=reason]").fill("test data");
        await button(page, "Remove the job").click();
        await page.waitForURL(/\/audit\?/);
        assert.match(await text(page, ".audit tbody tr"), /Remove job a .* permanently\. ?“test data” .* done/);
        assert.ok(await gone(queue, "a"));
        watch.allow(/\b404\b/);
        await page.goto(at.job(queue, "a"));
        assert.match(await text(page, "main"), /No such job.*The queue holds no job "a"/);
        await open(page, at.queue(queue, { query: "?state=failed" }), javaScript);
        assert.deepEqual(await page.locator("#jobs tbody .id").allInnerTexts(), ["c", "b"]);
      });
      assert.deepEqual(await record(queue), ["remove done test data"]);
    });

    test("what has changed since it was shown is left alone, and the page tells what it is now", async () => {
      const queue = `changed-${js}`;
      await inTab(async (page) => {
        await open(page, `${at.job(queue, "a")}/act?action=remove`, javaScript);
        assert.match(await text(page, ".form .note"), /^State now: failed\.$/);
        // Somebody else retries it meanwhile, and it ends well.
        await oracle.ask("callJob", queue, { jobId: "a", method: "retry" });
        await work(queue);
        await oracle.ask("waitUntil", queue, { state: "completed", count: 1 });
        await button(page, "Remove the job").click();
        await page.waitForURL(/asked=/);
        assert.match(await text(page, ".asked.not-done"), /^Nothing was done: it has changed since it was shown\. It is completed now\.$/);
        assert.equal(await state(queue, "a"), "completed");
      });
      await rest(queue);
      assert.deepEqual(await record(queue), ["remove changed"]);
    });
  });
}

test("a job's data are edited, and the old ones become a line of its log", async () => {
  await visit({ at }, async (page) => {
    await open(page, at.job("edit", "a"));
    await link(page, "Edit data…").click();
    assert.match(await page.locator("[name=data]").inputValue(), /"fail":\s*"no route to host"/);
    await page.locator("[name=data]").fill('{"returns": "well"}');
    await button(page, "Edit the data").click();
    await page.waitForURL(/asked=/);
    assert.match(await text(page, ".asked"), /^Changed the data of job a\. It is now failed\.$/);
    assert.match(await text(page, ".job"), /lines 1 to 1 of 1 .*They were: \{"failTimes":1,"fail":"no route to host"\}/);
    const edited = await job("edit", "a");
    assert.deepEqual([edited.data, edited.logs.length], [{ returns: "well" }, 1]);
    await button(page, "Retry").click();
    await page.waitForURL(/asked=/);
    await alive(page);
    await work("edit");
    await shows(page, ".asked", /It is now completed/);
  });
  assert.equal((await job("edit", "a")).returnvalue, "well", "it ran with the new ones");
  const told = await at.drover.api("/audit?queue=redis%2Fbull%3Aedit");
  assert.ok(!JSON.stringify(told).includes("well"), "data do not go into the record");
});

test("a delayed job is put off, given a priority, copied and run at once", async () => {
  const queue = "later";
  await visit({ at }, async (page) => {
    const asks = async (name, fields, submit) => {
      await open(page, at.job(queue, "a"));
      await link(page, name).click();
      for (const [field, value] of Object.entries(fields)) await page.locator(`[name=${field}]`).fill(value);
      await button(page, submit).click();
      await page.waitForURL(/asked=/);
      assert.match(await text(page, ".asked.done"), /^Changed the (delay|priority) of job a\. It is now delayed\.$/);
    };
    const before = Date.now();
    await asks("Change the delay…", { ms: "7200" }, "Change the delay");
    const { row } = await at.drover.api(`/queues/redis/bull:${queue}/jobs/a`);
    assert.ok(row.due >= before + 7_200_000 && row.due <= Date.now() + 7_200_000, `due ${row.due}`);
    assert.equal((await job(queue, "a")).delay, 7_200_000);
    await asks("Priority…", { priority: "4" }, "Change the priority");
    assert.equal((await job(queue, "a")).priority, 4);
    await open(page, at.job(queue, "a"));
    await link(page, "Duplicate…").click();
    assert.equal(await page.locator("[name=priority]").inputValue(), "4", "what the job has is filled in");
    await button(page, "Add the job").click();
    await page.waitForURL(/asked=/);
    assert.match(await text(page, ".asked.done"), /^Duplicated job a\. New job: .*\. Remove the new job$/);
    const others = (await oracle.ask("ids", queue, { state: ["waiting", "prioritized", "delayed"] })).filter((id) => id !== "a");
    assert.equal(others.length, 1, "one copy");
    const [copied] = others;
    assert.equal((await job(queue, copied)).priority, 4);
    await work(queue);
    await button(page, "Run now").click();
    await shows(page, ".asked", /It is now completed\./);
    assert.equal(await state(queue, "a"), "completed");
  });
  assert.deepEqual(await record(queue), ["promote done", "duplicate done", "priority done", "delay done"]);
});

test("whoever looks at a queue sees at once that somebody else has paused it, and why", async () => {
  await visit({ at }, async (page) => {
    await open(page, at.queue("seen"));
    await mark(page);
    const pause = { method: "POST", headers: { "Content-Type": "application/json", "X-Drover": "1" } };
    const answer = await fetch(`${at.drover.origin}/api/v1/queues/redis/bull:seen/pause`, { ...pause, body: '{"reason":"the mail server is down"}' });
    assert.equal(answer.status, 200);
    await shows(page, "#act", /^Paused \d s ago by anonymous \(127\.0\.0\.1\): the mail server is down Resume /, 5_000);
    await oracle.ask("resume", "seen");
    await shows(page, "#act", /^Pause /, 5_000);
    assert.ok(await untouched(page), "without a reload");
  });
});

test("the keyboard alone retries a job, and pauses and resumes a queue", async () => {
  await visit({ at }, async (page) => {
    const ring = async (what) => {
      const { outline, seen } = await page.evaluate(() => {
        const { top, bottom } = document.activeElement.getBoundingClientRect();
        return { outline: getComputedStyle(document.activeElement).outlineStyle, seen: top >= 0 && bottom <= innerHeight };
      });
      assert.deepEqual([outline, seen], ["solid", true], `the focus on ${what} can be seen`);
    };
    const focused = () => page.evaluate(() => document.activeElement.innerText || document.activeElement.name);
    await open(page, at.job("keys", "a"));
    await tabTo(page, /^Retry$/);
    await ring("Retry");
    await page.keyboard.press("Enter");
    await page.waitForURL(/asked=/);
    assert.match(await text(page, ".asked.done"), /It is now waiting\./);
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Priority…", "Tab goes on behind the outcome");
    await ring("the first button");
    assert.equal(await state("keys", "a"), "waiting");

    await open(page, at.queue("keys"));
    await tabTo(page, /^Pause with a reason…$/);
    await ring("Pause with a reason…");
    await page.keyboard.press("Enter");
    await page.waitForURL(/action=pause/);
    await tabTo(page, /^reason$/);
    await ring("the reason");
    await page.keyboard.type("lunch");
    await page.keyboard.press("Enter");
    await page.waitForURL((url) => url.pathname === at.queue("keys"));
    assert.match(await text(page, ".paused-by"), /: lunch$/);
    assert.equal(await oracle.ask("isPaused", "keys"), true);
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Resume");
    await ring("Resume");
    await page.keyboard.press("Enter");
    await button(page, "Pause").waitFor();
    assert.equal(await oracle.ask("isPaused", "keys"), false);
    await page.keyboard.press("Tab");
    assert.equal(await focused(), "Pause");
  });
});

/** Every control of `scope` that is shown (a tick by its label): within the window, not too small, under nothing else. */
async function reachable(page, scope, what) {
  const boxes = await page.locator(`${scope} :is(a, button, summary, .tick label, textarea, input:not([type=hidden], [type=checkbox]))`).evaluateAll((all) =>
    all.filter((one) => one.checkVisibility()).map((one) => {
      one.scrollIntoView({ block: "center" });
      const { x, y, width, height } = one.getBoundingClientRect();
      const on = document.elementFromPoint(x + width / 2, y + height / 2);
      const name = one.innerText || one.name;
      return { name, x, y: y + scrollY, width, height, free: one === on || one.contains(on), inside: x >= 0 && x + width <= innerWidth };
    }));
  assert.ok(boxes.length > 0, `${what} has controls`);
  for (const [i, a] of boxes.entries()) {
    assert.ok(a.inside, `${what}: ${a.name} is within the window: ${JSON.stringify(a)}`);
    assert.ok(a.free, `${what}: ${a.name} is not covered`);
    assert.ok(a.height >= 24, `${what}: ${a.name} is ${a.height} px high`);
    for (const b of boxes.slice(i + 1)) {
      const apart = a.x + a.width <= b.x || b.x + b.width <= a.x || a.y + a.height <= b.y || b.y + b.height <= a.y;
      assert.ok(apart, `${what}: ${a.name} and ${b.name} overlap`);
    }
  }
  const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
  assert.ok(scroll <= inner, `${what} is ${scroll} px wide in a window of ${inner} px`);
  return boxes.map(({ name }) => name);
}

test("on a phone every action can be reached", async () => {
  const long = LONG_NAME;
  await visit({ at, size: NARROW }, async (page) => {
    await open(page, at.job(long, "a"));
    await page.getByText("Danger zone…").click();
    assert.deepEqual(await reachable(page, ".act", "the job"), ["Retry", "Retry with changes…", "Edit data…", "Duplicate…", "Danger zone…", "Remove…"]);
    for (const word of ["remove", "retry", "edit_data", "duplicate"]) {
      await open(page, `${at.job(long, "a")}/act?action=${word}`);
      await reachable(page, ".form", word);
    }
    await open(page, at.queue(long, { query: "?state=failed" }));
    await page.getByText("Danger zone…").click();
    await reachable(page, "#act", "the queue");
    await reachable(page, ".tools", "the tools of the list");
    await open(page, `${at.queue(long)}/act?action=pause`);
    await page.locator("[name=reason]").fill("x".repeat(200));
    await button(page, "Pause the queue").click();
    await page.waitForURL((url) => url.pathname === at.queue(long));
    assert.equal((await reachable(page, "#act", "the paused queue"))[0], "Resume");
    await open(page, `${at.queue(long)}/act?action=add`);
    await reachable(page, ".form", "a new job");
    await open(page, at.job(long, "a"));
    await button(page, "Retry").click();
    await page.waitForURL(/asked=/);
    const { top, bottom } = await page.locator(".asked").evaluate((one) => one.getBoundingClientRect());
    assert.ok(top >= 0 && bottom <= NARROW.height, "the outcome is in sight");
    await page.goto(`${at.base}/audit`);
    await reachable(page, ".audit-filter", "the record");
  });
});

test("a board that only reads offers nothing and refuses what is sent all the same", async () => {
  const reading = await direct(redis, "/admin/queues", { DROVER_READ_ONLY: "true" });
  await reading.drover.knows("looked-at");
  for (const javaScript of [true, false]) {
    await visit({ at: reading, javaScript }, async (page, watch) => {
      for (const path of [reading.job("looked-at", "a"), reading.queue("looked-at"), `${reading.job("looked-at", "a")}/act?action=remove`]) {
        await page.goto(path);
        assert.match(await text(page, "main"), /This board is read-only: nothing can be changed from here\./, path);
        assert.equal(await page.locator(".act :is(button, a), .form .go").count(), 0, path);
      }
      if (!javaScript) return;
      watch.allow(/\b403\b/);
      await page.evaluate((path) => {
        const form = Object.assign(document.createElement("form"), { method: "post", action: path });
        form.append(Object.assign(document.createElement("input"), { name: "action", value: "remove" }));
        document.body.append(form);
        form.submit();
      }, `${reading.job("looked-at", "a")}/act`);
      await shows(page, "h1", /^Read-only$/);
    });
  }
  assert.equal(await state("looked-at", "a"), "failed");
  const { items } = await reading.drover.api("/audit");
  assert.deepEqual(items, [], "nothing was tried");
});
