// Every page has its picture: wide and narrow, light and dark, compared with how it looked when somebody last looked at
// it. The pictures are left in end2end/results; `make references` renews those they are compared with.
import assert from "node:assert/strict";
import { after, before, test } from "node:test";
import { NARROW, WIDE, alive, visit } from "../support/browser.mjs";
import { endAll, until } from "../support/process.mjs";
import { RENEW, compare, drawnBy, orphans, whyNot } from "../support/references.mjs";
import { LONG, PLACES, calm, scene } from "../support/scene.mjs";
import { standStill } from "../support/still.mjs";

let at, nudge, incomparable;

before(async () => {
  ({ at, nudge } = await scene());
  await visit({ at }, async (page) => {
    incomparable = whyNot(await drawnBy(page, [at.overview, at.job(PLACES.orders, "charge-1"), at.queue(PLACES.orders)]));
  });
});
after(endAll);

const orders = (state) => () => at.queue(PLACES.orders, { query: `?state=${state}` });
const PAGES = {
  overview: () => at.overview,
  "overview-grouped": () => `${at.overview}?group=1`,
  "queue-waiting": orders("waiting"),
  "queue-active": orders("active"),
  "queue-failed": orders("failed"),
  "queue-completed": orders("completed"),
  "queue-delayed": orders("delayed"),
  "queue-long-name": () => at.queue(LONG),
  "job-failed": () => at.job(PLACES.orders, "charge-1"),
  "job-active": () => at.job(PLACES.orders, "held"),
  "job-in-a-flow": () => at.job(PLACES.flow.queue, PLACES.flow.job),
  workers: () => at.workers(),
  schedules: () => at.schedules(),
  store: () => at.store(),
  "store-to-watch": () => at.store("mail"),
  "store-in-trouble": () => at.store("locked"),
  notice: () => at.job(PLACES.orders, "nobody"),
};

const MODES = ["light", "dark"].flatMap((theme) =>
  Object.entries({ wide: WIDE, narrow: NARROW }).map(([width, size]) => ({ name: `${width}-${theme}`, theme, size })),
);

/** Takes a page's picture while the stores answer as fast as they do on a machine that has nothing else to do. */
async function picture(page, path, name) {
  for (let left = 3; ; left--) {
    await until("the stores to answer quickly", () => calm(at.drover), 60_000, 250);
    await page.goto(path);
    await alive(page);
    await standStill(page);
    try {
      return await compare(page, name, !incomparable);
    } catch (error) {
      // Slow for a moment and quick again by now: the page still tells of it.
      const slow = await page.getByText("polled less often").count();
      if (left === 1 || (!slow && (await calm(at.drover)))) throw error;
    }
  }
}

for (const { name: mode, theme, size } of MODES) {
  test(`each page looks as it did, ${mode.replace("-", " and ")}`, (t) =>
    visit({ at, theme, size }, async (page, watch) => {
      if (incomparable) t.diagnostic(incomparable);
      watch.allow(/\b404\b.*nobody|404 \(Not Found\) \(.*nobody/);
      await nudge(mode);
      for (const [name, path] of Object.entries(PAGES)) {
        await t.test(name, async () => {
          await picture(page, path(), `${name}-${mode}`);
          assert.deepEqual(watch.trouble(), []);
        });
      }
    }));
}

test("every reference belongs to a page", { skip: RENEW }, () => {
  const names = MODES.flatMap(({ name: mode }) => Object.keys(PAGES).map((name) => `${name}-${mode}`));
  assert.deepEqual(orphans(names), []);
});
