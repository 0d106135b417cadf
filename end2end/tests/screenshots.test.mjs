// Pictures of a busy board for people to look at, in end2end/results.
import { join } from "node:path";
import { after, before, test } from "node:test";
import { NARROW, WIDE, alive, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { REPOSITORY, RESULTS } from "../support/places.mjs";
import { endAll, start, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

let at, failed, active;

before(async () => {
  const redis = await Redis.start();
  start(process.execPath, [join(REPOSITORY, "end2end/demo/shop.mjs"), "--redis", redis.url]);
  at = await direct(redis);
  // Busy: queues with a history, and some jobs of each kind to look at.
  const first = async (path) => (await at.drover.api(path)).rows?.[0]?.id;
  await until(
    "the shop to be busy",
    async () => {
      const { items } = await at.drover.api("/queues");
      const checkout = items.find((queue) => queue.name === "orders.checkout");
      const measured = items.length > 15 && checkout?.counts.completed > 40 && checkout.rates?.window_s >= 20;
      failed = await first("/queues/redis/bull:webhooks.outbound/jobs?state=failed");
      active = await first("/queues/redis/bull:media.transcode/jobs?state=active");
      return measured && failed && active;
    },
    60_000,
  );
});
after(endAll);

const PAGES = {
  overview: () => at.overview,
  "queue-waiting": () => at.queue("crm.sync", { query: "?state=waiting" }),
  "queue-active": () => at.queue("media.transcode", { query: "?state=active" }),
  "queue-failed": () => at.queue("webhooks.outbound", { query: "?state=failed" }),
  "queue-completed": () => at.queue("orders.checkout", { query: "?state=completed" }),
  "job-failed": () => at.job("webhooks.outbound", failed),
  "job-active": () => at.job("media.transcode", active),
  notice: () => at.job("orders.checkout", "nobody"),
};

for (const theme of ["light", "dark"]) {
  for (const [width, size] of Object.entries({ wide: WIDE, narrow: NARROW })) {
    test(`each page has its picture, ${theme} and ${width}`, () =>
      visit({ at, theme, size }, async (page, watch) => {
        watch.allow(/\b404\b.*nobody|404 \(Not Found\) \(.*nobody/);
        for (const [name, path] of Object.entries(PAGES)) {
          await page.goto(path());
          await page.locator("html[data-alive]").waitFor({ state: "attached" });
          if (name !== "notice") await alive(page);
          await page.screenshot({ path: join(RESULTS, `${name}-${width}-${theme}.png`) });
        }
      }));
  }
}
