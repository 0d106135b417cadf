// Forty texts that run, close or open something wherever they are taken for markup, script, address or style, in every field
// of a job of every system; and a browser that visits every page: no dialog, no policy report, no element that a plain
// job's page has not.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { Redis as Client } from "ioredis";
import { alive, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { Postgres } from "../support/postgres.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const POLYGLOTS = [
  "<script>alert(1)</script>",
  "</script><script>alert(1)</script>",
  "<img src=x onerror=alert(1)>",
  "\"><img src=x onerror=alert(1)>",
  "'><img src=x onerror=alert(1)>",
  "\" onmouseover=alert(1) x=\"",
  "' autofocus onfocus=alert(1) x='",
  "<svg onload=alert(1)>",
  "<svg><script>alert(1)</script></svg>",
  "<svg><animate onbegin=alert(1) attributeName=x dur=1s>",
  "<svg><a href=javascript&colon;alert(1)><text y=9>x",
  "<math><mi href=javascript:alert(1)>x",
  "<iframe src=javascript:alert(1)>",
  "<iframe srcdoc='<script>parent.alert(1)</script>'>",
  "<object data=javascript:alert(1)>",
  "<embed src=javascript:alert(1)>",
  "<base href=https://evil.example/>",
  "<link rel=stylesheet href=https://evil.example/x.css>",
  "<meta http-equiv=refresh content='0;url=https://evil.example'>",
  "<form action=https://evil.example><button>x",
  "<input autofocus onfocus=alert(1)>",
  "<details open ontoggle=alert(1)>",
  "<video><source onerror=alert(1)>",
  "<style>@import 'https://evil.example/x.css';</style>",
  "<div style=background:url(https://evil.example/x)>",
  "<template><img src=x onerror=alert(1)></template>",
  "<noscript><p title=\"</noscript><img src=x onerror=alert(1)>\">",
  "<!--><img src=x onerror=alert(1)>-->",
  "<![CDATA[><img src=x onerror=alert(1)>]]>",
  "</title><img src=x onerror=alert(1)>",
  "</textarea></pre></code><img src=x onerror=alert(1)>",
  "javascript:alert(1)",
  "data:text/html,<script>alert(1)</script>",
  "{{constructor.constructor('alert(1)')()}}",
  "${alert(1)}`${alert(1)}`",
  "\u2028alert(1)\u2029//",
  "&lt;img src=x onerror=alert(1)&gt;",
  "\\u003cimg src=x onerror=alert(1)\\u003e",
  "__proto__\u202e\u200bconstructor",
  "jaVasCript:/*-/*`/*\\`/*'/*\"/**/(/* */onerror=alert() )//%0D%0A//</stYle/</titLe/</teXtarEa/</scRipt/--!>\\x3csVg/<sVg/oNloAd=alert()//>\\x3e",
];
// BullMQ takes no colon in the name of a queue.
const nameOf = (text) => text.replaceAll(":", "∶").replaceAll("{", "(").replaceAll("}", ")");
const PLAIN = "plain";

let redis, postgres, at;
const boss = [];

before(async () => {
  assert.equal(new Set(POLYGLOTS).size, 40);
  [redis, postgres] = await Promise.all([Redis.start(), Postgres.start()]);
  const client = new Client(redis.port, "127.0.0.1");
  for (const major of [6, "bull"]) {
    const oracle = await Oracle.start(redis, major);
    const prefix = major === "bull" ? "old" : "bull";
    for (const text of [...POLYGLOTS, PLAIN]) await filled(oracle, client, prefix, text);
  }
  await client.quit();
  const library = await Oracle.pgboss(postgres);
  await library.ask("createQueue", "boss", {});
  for (const text of [...POLYGLOTS, PLAIN]) {
    const { jobId } = await library.ask("send", "boss", { data: { [text]: text, fail: text }, options: { retryLimit: 0, singletonKey: text } });
    boss.push(jobId);
  }
  // One takes a job each half a second.
  for (let n = 0; n < 8; n += 1) await library.ask("startWorker", "boss", { workerId: `w${n}`, options: { pollingIntervalSeconds: 0.5 } });
  for (const jobId of boss) await library.ask("waitUntil", "boss", { jobId, state: "failed" });
  await library.ask("call", "boss", { method: "schedule", args: ["boss", "* * * * *", { [POLYGLOTS[0]]: POLYGLOTS[2] }] });
  at = await direct(redis, "/admin/queues", { DROVER_POSTGRES_URL: postgres.url });
  await until("all of them on the board", async () => (await at.drover.api("/queues")).items.length >= 2 * 41 + 1, 40_000);
});
after(endAll);

/** A queue with a schedule and a failed job, every field of which is the text. */
async function filled(oracle, client, prefix, text) {
  const queue = nameOf(text);
  const where = { prefix };
  if (prefix === "bull") {
    const template = { name: text, data: { [text]: text } };
    await oracle.ask("upsertScheduler", queue, { ...where, schedulerId: text, repeat: { every: 3_600_000 }, template });
  }
  await oracle.ask("startWorker", queue, { ...where, workerId: prefix + text, name: nameOf(text) });
  const data = { [text]: text, log: [text], progress: [{ [text]: text }], fail: text };
  await oracle.ask("add", queue, { ...where, name: text, data, opts: { jobId: "hostile" } });
  await oracle.ask("waitUntil", queue, { ...where, state: "failed", count: 1 });
  await oracle.ask("stopWorker", queue, { workerId: prefix + text });
  // What no library writes, but anybody who reaches the store can.
  await client.hset(`${prefix}:${queue}:hostile`, {
    ...{ pb: text, returnvalue: JSON.stringify({ [text]: text }), stacktrace: JSON.stringify([`${text}\n    at ${text}`]) },
    ...{ rjk: text, deid: text, defa: text, [text]: text, priority: text, timestamp: text, delay: text, ats: text, stc: text },
  });
}

/** Opens a page when its store has nothing to say: a banner has elements of its own, and comes and goes with the load of the machine. */
function calm(page, path) {
  return until("a page without a banner", async () => {
    await page.goto(path);
    return (await page.locator(".banner, .condition").count()) === 0;
  }, 60_000, 500);
}

/** What a page is made of; and anything on it that no page of ours has. */
async function looked(page) {
  const found = await page.evaluate(() => {
    const tags = {};
    const odd = [];
    // Rows for a browser without scripts are text here, and elements there.
    const unscripted = [...document.querySelectorAll("#queues > noscript")];
    const read = (text) => [...new DOMParser().parseFromString(text, "text/html").body.querySelectorAll("*")];
    for (const element of [...document.querySelectorAll("*"), ...unscripted.flatMap((part) => read(part.textContent))]) {
      const tag = element.tagName.toLowerCase();
      tags[tag] = (tags[tag] ?? 0) + 1;
      const head = ["SCRIPT", "LINK", "META"].includes(element.tagName) && element.parentElement === document.head;
      const ours = head || unscripted.includes(element);
      if (!ours && /^(script|img|iframe|object|embed|base|link|meta|style|template|noscript|video|source|math|animate)$/.test(tag)) odd.push(element.outerHTML);
      for (const { name, value } of element.attributes) {
        const address = ["href", "src", "action", "formaction", "xlink:href", "data", "srcdoc"].includes(name);
        if (name.startsWith("on") || name === "style" || (address && /^\s*(javascript|data|https?:\/\/evil)/i.test(value))) odd.push(element.outerHTML);
      }
    }
    return { tags, odd };
  });
  assert.deepEqual(found.odd, []);
  return found.tags;
}

test("every page that lists them, live and by itself", () =>
  visit({ at }, async (page) => {
    for (const path of [at.overview, at.workers(), at.schedules(), at.store("redis"), at.store("postgres"), at.boss("boss", "?state=failed"), "/admin/queues/operations", "/admin/queues/audit", "/admin/queues/archive"]) {
      await page.goto(path);
      await alive(page);
      await looked(page);
    }
    for (const text of POLYGLOTS) {
      await page.goto(`${at.overview}?q=${encodeURIComponent(text)}`);
      await looked(page);
    }
  }));

for (const prefix of ["bull", "old"]) {
  test(`every queue, job and form, ${prefix === "bull" ? "BullMQ" : "Bull 4"}`, { timeout: 240_000 }, () =>
    visit({ at }, async (page) => {
      const shapes = new Map();
      for (const text of [PLAIN, ...POLYGLOTS]) {
        const queue = { prefix };
        const job = at.job(nameOf(text), "hostile", queue);
        for (const [what, path] of Object.entries({ list: at.queue(nameOf(text), { ...queue, query: "?state=failed" }), job, form: `${job}/act?action=remove` })) {
          await calm(page, path);
          const tags = await looked(page);
          // A name that does not survive in an address travels in hidden fields.
          delete tags.input;
          // A line is broken where a minute was not watched.
          delete tags.polyline;
          // The chart says since when it counts, once rates are known.
          delete tags.small;
          if (text === PLAIN) shapes.set(what, tags);
          // Lists and forms are of one shape whatever the text; a job's page shows more where a field is out of order.
          else if (what !== "job") assert.deepEqual(tags, shapes.get(what), `${what} of ${text}`);
          assert.ok((await page.content()).length > 1_000);
        }
      }
    }));
}

test("every job of pg-boss", { timeout: 120_000 }, () =>
  visit({ at }, async (page) => {
    let shape;
    for (const jobId of boss.toReversed()) {
      await calm(page, `${at.boss("boss")}/jobs/${jobId}`);
      const tags = await looked(page);
      shape ??= tags;
      assert.deepEqual(Object.keys(tags).sort(), Object.keys(shape).sort(), jobId);
    }
  }));

test("what an operator writes is text too", () =>
  visit({ at }, async (page, watch) => {
    watch.allow(/\b4\d\d\b/);
    for (const text of POLYGLOTS.slice(0, 8)) {
      const body = JSON.stringify({ reason: text, seen: {} });
      const path = `${at.origin}/api/v1/queues/redis/${encodeURIComponent(`bull:${nameOf(text)}`)}/pause`;
      const told = await fetch(path, { method: "POST", headers: { "X-Drover": "1", "Content-Type": "application/json" }, body });
      assert.ok(told.status < 500, await told.text());
      for (const part of ["/audit?job=a&queue=redis/", "/operations/new?filter=", "/archive?error=", "/queues/redis/"]) {
        await page.goto(at.base + part + encodeURIComponent(text));
        await looked(page);
      }
    }
  }));
