// What breaks is said, and what heals is seen, without anybody touching the page.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { AWAY, alive, mark, shows, text, untouched, visit } from "../support/browser.mjs";
import { direct, proxied } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

after(endAll);

const STALE = /^stale since \d\d:\d\d:\d\d UTC \(\d+ s\)$/;
const RECONNECTING = /^reconnecting, stale since \d\d:\d\d:\d\d UTC/;

async function opened(page, path) {
  await page.goto(path);
  await alive(page);
  await mark(page);
}

const waiting = (queue) => `#queues tr:has(a[href$="bull:${queue}"]) td[data-l="waiting"]`;
/** Waits, and notes how long it took. */
const timed = async (t, what, wait) => {
  const began = performance.now();
  await wait();
  t.diagnostic(`${what}: ${((performance.now() - began) / 1000).toFixed(1)} s`);
};

describe("When a page's script cannot move it,", () => {
  let at, oracle;
  before(async () => {
    const redis = await Redis.start();
    oracle = await Oracle.start(redis);
    await oracle.add("mail");
    at = await direct(redis);
    await at.drover.knows("mail");
  });

  test("because it does not arrive, the page says that it is not live", () =>
    visit({ at }, async (page, watch) => {
      watch.allow(/ERR_FAILED|Failed to fetch|NetworkError|net::/);
      await page.route("**/*.wasm", (route) => route.abort());
      await page.goto(at.overview);
      await shows(page, "#link.lost", /^not live: reload the page to see changes$/);
    }));

  test("because the page's address has a name and a password in it, it moves all the same", () =>
    visit({ at }, async (page, watch) => {
      // The browser itself warns of such an address.
      watch.allow(/credentials/);
      const [scheme, host] = at.origin.split("//");
      for (const path of [at.overview, at.queue("mail"), at.workers()]) {
        await page.goto(`${scheme}//user:pw@${host}${path}`);
        await alive(page);
        await shows(page, "#link", /^live$/);
      }
      await page.goto(`${scheme}//user:pw@${host}${at.overview}`);
      await alive(page);
      const { waiting: before } = await oracle.ask("counts", "mail");
      await oracle.add("mail");
      await shows(page, waiting("mail"), new RegExp(`^${before + 1}$`));
    }));
});

describe("When Drover is killed and comes back,", () => {
  let redis, oracle;
  before(async () => {
    redis = await Redis.start();
    oracle = await Oracle.start(redis);
    await oracle.add("mail");
  });

  const heals = (enter) => async (t) => {
    const at = await enter();
    await at.drover.knows("mail");
    const { waiting: before } = await oracle.ask("counts", "mail");
    await visit({ at }, async (page, watch) => {
      const queue = await page.context().newPage();
      await opened(page, at.overview);
      await opened(queue, at.queue("mail", { query: "?state=waiting" }));

      watch.allow(...AWAY);
      await at.drover.stop("SIGKILL");
      await timed(t, "said to be reconnecting", () => shows(page, "#link", RECONNECTING));
      await page.locator("main.stale").waitFor();
      await queue.locator("main.stale").waitFor();
      assert.equal(await text(page, waiting("mail")), String(before), "the numbers stay");

      await at.drover.restart();
      await timed(t, "live again", () => Promise.all([shows(page, "#link", /^live$/, 20_000), shows(queue, "#link", /^live$/, 20_000)]));
      assert.equal(await page.locator("main.stale").count(), 0);
      await oracle.add("mail", {}, { opts: { jobId: `after-${before}` } });
      await shows(page, waiting("mail"), new RegExp(`^${before + 1}$`));
      await shows(queue, ".tabs .waiting b", new RegExp(`^${before + 1}$`));
      await shows(queue, "#jobs tbody", new RegExp(`after-${before}`));
      assert.ok((await untouched(page)) && (await untouched(queue)), "nothing was reloaded");
    });
  };

  test("a page that was opened directly heals by itself", heals(() => direct(redis)));
  test("a page behind nginx that keeps the prefix heals by itself", heals(async () => (await proxied(redis))[0]));
  test("a page behind nginx that strips the prefix heals by itself", heals(async () => (await proxied(redis))[1]));
});

describe("When Drover freezes and goes on,", () => {
  test("the pages say from when on they are old, and are live again by themselves", async () => {
    const redis = await Redis.start();
    const oracle = await Oracle.start(redis);
    await oracle.add("mail");
    const at = await direct(redis);
    await at.drover.knows("mail");
    await visit({ at }, async (page, watch) => {
      // Each in a window of its own: a hidden page rests.
      const polled = await page.context().newPage();
      await opened(page, at.overview);
      await opened(polled, at.workers());
      watch.allow(...AWAY);
      at.drover.freeze();
      const frozen = new Date().toISOString().slice(11, 19);
      for (const one of [page, polled]) {
        await one.bringToFront();
        await shows(one, "#link", RECONNECTING, 20_000);
        const since = /since (\S+) UTC/.exec(await text(one, "#link"))[1];
        assert.ok(since <= frozen || since > "23:59", `${since} is after ${frozen}: the age is that of the data`);
        await one.locator("main.stale").waitFor();
      }
      at.drover.thaw();
      for (const one of [page, polled]) {
        await one.bringToFront();
        await shows(one, "#link", /^live$/, 20_000);
      }
      await oracle.add("mail");
      await page.bringToFront();
      await shows(page, waiting("mail"), /^2$/);
      assert.ok((await untouched(page)) && (await untouched(polled)), "nothing was reloaded");
    });
  });
});

describe("When Drover is told to stop,", () => {
  test("it ends within ten seconds although pages follow it, and they say so", async (t) => {
    const redis = await Redis.start();
    const oracle = await Oracle.start(redis);
    await oracle.add("mail");
    const at = await direct(redis);
    await at.drover.knows("mail");
    await visit({ at }, async (page, watch) => {
      await opened(page, at.overview);
      for (let n = 0; n < 3; n++) await opened(await page.context().newPage(), at.queue("mail"));
      watch.allow(...AWAY);
      await timed(t, "stopped", async () => assert.equal(await at.drover.stop("SIGTERM"), 0));
      for (const one of page.context().pages()) await shows(one, "#link", RECONNECTING);
    });
  });
});

describe("When a Redis is killed and comes back,", () => {
  test("the pages say so, keep their numbers, and heal by themselves", async (t) => {
    const redis = await Redis.start({ keep: true });
    const oracle = await Oracle.start(redis);
    for (const jobId of ["a", "b", "c"]) await oracle.add("mail", {}, { opts: { jobId } });
    const at = await direct(redis);
    await at.drover.knows("mail");
    await visit({ at }, async (page, watch) => {
      const [queue, job] = [await page.context().newPage(), await page.context().newPage()];
      await opened(page, at.overview);
      await opened(queue, at.queue("mail", { query: "?state=waiting" }));
      await opened(job, at.job("mail", "a"));

      // A list that is read again meanwhile is refused with 503.
      watch.allow(/\b503\b/);
      await redis.kill();
      const banner = /^redis has been unreachable for \d+ s .*(connection refused|broke).* The page shows data from \d\d:\d\d:\d\d UTC/;
      await timed(t, "said on the overview", () => shows(page, ".banner", banner));
      await shows(queue, ".banner", banner);
      await shows(job, ".banner", banner);
      await shows(page, waiting("mail"), /^3$/);
      assert.equal(await page.locator("#queues tr.stale").count(), 1, "the line is marked as stale");
      assert.equal(await page.locator(".store.stale").count(), 1);
      await shows(queue, ".stale .tabs .waiting b", /^3$/);
      assert.equal(await queue.locator("#jobs tr.stale").count(), 3);
      assert.equal(await job.locator("#fresh.stale").count(), 1);
      // The page still hears of changes; what it shows is as old as the store's last answer.
      for (const one of [page, queue, job]) await shows(one, "#link", STALE);

      const fresh = await page.context().newPage();
      await timed(t, "a page opened meanwhile", () => fresh.goto(at.queue("mail", { query: "?state=waiting" })));
      assert.match(await text(fresh, ".banner"), banner);
      await shows(fresh, "#link", STALE);
      assert.match(await text(fresh, ".tabs .waiting"), /3$/);

      await redis.restart();
      await timed(t, "healed", () => Promise.all([page, queue, job, fresh].map((one) => one.locator(".banner").waitFor({ state: "detached" }))));
      for (const one of [page, queue, job]) {
        assert.equal(await one.locator(".stale").count(), 0, one.url());
        await shows(one, "#link", /^live$/);
      }
      await oracle.add("mail", {}, { opts: { jobId: "d" } });
      await shows(page, waiting("mail"), /^4$/);
      await shows(queue, ".tabs .waiting b", /^4$/);
      await shows(queue, "#jobs tbody", /\bd\b/);
      await shows(fresh, "#jobs tbody", /\bd\b/);
      await oracle.ask("remove", "mail", { jobId: "a" });
      await shows(job, ".banner", /This job was removed/);
      for (const one of [page, queue, job]) assert.ok(await untouched(one), one.url());
    });
  });
});

describe("When one of two stores freezes,", () => {
  test("it is said of that one, and the other goes on as ever", async (t) => {
    const [ice, sun] = [await Redis.start(), await Redis.start()];
    const [onIce, onSun] = [await Oracle.start(ice), await Oracle.start(sun)];
    await onIce.add("cold");
    await onSun.add("warm");
    const at = await direct({ ice: ice.url, sun: sun.url });
    await at.drover.knows("cold", "warm");
    await visit({ at }, async (page, watch) => {
      const [cold, warm] = [await page.context().newPage(), await page.context().newPage()];
      await opened(page, at.overview);
      await opened(cold, at.queue("cold", { store: "ice", query: "?state=waiting" }));
      watch.allow(/\b503\b/);

      ice.freeze();
      const banner = /^ice has been unresponsive for \d+ s .*accepts connections but does not answer/;
      await timed(t, "said on the overview", () => shows(page, ".banner", banner));
      await shows(cold, ".banner", banner);
      assert.equal(await page.locator(".banner").count(), 1, "only one store is said to be in trouble");
      for (const count of [2, 3, 4]) {
        await timed(t, `the other store's count becomes ${count}`, async () => {
          await onSun.add("warm");
          await shows(page, waiting("warm"), new RegExp(`^${count}$`));
        });
      }
      await timed(t, "a page of the other store", () => warm.goto(at.queue("warm", { store: "sun", query: "?state=waiting" })));
      await alive(warm);
      assert.equal(await warm.locator("#jobs tbody tr").count(), 4);
      const stale = await page.locator("#queues tr.stale .name a").allTextContents();
      assert.deepEqual(stale, ["cold"], "only the frozen store's line is stale");
      await timed(t, "a page of the frozen store", () => cold.context().newPage().then((other) => other.goto(at.queue("cold", { store: "ice" }))));

      ice.thaw();
      await timed(t, "healed", () => page.locator(".banner").waitFor({ state: "detached" }));
      await cold.locator(".banner").waitFor({ state: "detached" });
      await onIce.add("cold");
      await shows(page, waiting("cold"), /^2$/);
      await shows(cold, ".tabs .waiting b", /^2$/);
      assert.ok((await untouched(page)) && (await untouched(cold)), "nothing was reloaded");
    });
  });
});

describe("When a store refuses the password,", () => {
  test("its sentence says so without naming any password, and other stores are shown", async () => {
    const [locked, free] = [await Redis.start({ password: "right-one" }), await Redis.start()];
    const oracle = await Oracle.start(free);
    await oracle.add("mail");
    const at = await direct({ locked: locked.urlWith("wrong-one"), free: free.url });
    await at.drover.knows("mail");
    await visit({ at }, async (page) => {
      await opened(page, at.overview);
      await shows(page, ".banner", /^locked .*password/);
      await shows(page, ".banner", /rejects Drover's user name or password\. Restore the password, or correct the URL of this store and restart Drover/);
      await shows(page, waiting("mail"), /^1$/);
      assert.doesNotMatch(await page.content(), /wrong-one|right-one/);
      assert.doesNotMatch(at.drover.log.join("\n"), /wrong-one|right-one/);
    });
  });
});
