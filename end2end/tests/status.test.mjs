// The status page for teams: read on a desk and on a phone without JavaScript, light and dark, by those who read it otherwise.
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findings } from "../support/axe.mjs";
import { NARROW, WIDE, text, visit } from "../support/browser.mjs";
import { direct } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { Postgres } from "../support/postgres.mjs";
import { endAll, folder, freePort, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

const component = (id, name, queues, promise, group) => `
[[status_page.component]]
id = "${id}"
name = "${name}"
queues = "${queues}"
promise = "${promise}"
group = "${group}"
description = "What readers should know about it"
`;

let redis, postgres, oracle, at, alone;
before(async () => {
  [redis, postgres] = await Promise.all([Redis.start(), Postgres.start()]);
  oracle = await Oracle.start(redis);
  for (const queue of ["mail", "held", "stuck", "other"]) await oracle.add(queue, {}, { name: "send" });
  for (const queue of ["mail", "other"]) await oracle.ask("startWorker", queue, { workerId: queue });
  await oracle.ask("pause", "held");
  const config = join(folder(), "Leptos.toml");
  const port = await freePort();
  const table = `[status_page]\nname = "Shop <b>status</b>"\nlisten = "127.0.0.1:${port}"\nrate_limit = 0\nworse_after = "0s"\nbetter_after = "0s"\n`;
  const all = [
    component("mail", "Outgoing email", "bull:mail", "1h", "Messages"),
    component("held", "Reminders", "bull:held", "1h", "Messages"),
    component("stuck", "Search", "bull:stuck", "1s", "Shop"),
    component("none", "Recommendations", "bull:nothing", "1m", "Shop"),
  ];
  writeFileSync(config, table + all.join(""));
  at = await direct(redis, "/admin/queues", { DROVER_CONFIG: config, DROVER_POSTGRES_URL: postgres.url });
  alone = { origin: `http://127.0.0.1:${port}`, base: "", owns: (address) => new URL(address).port === String(port) || address.startsWith("data:") };
  const states = { mail: "operational", held: "under_maintenance", stuck: "major_outage", none: "unknown" };
  await until("every component to be in its state", async () => {
    const { components } = await (await fetch(`${alone.origin}/status.json`)).json();
    return components.every(({ id, state }) => states[id] === state);
  }, 40_000);
  // Some days before today, of which one was not as promised.
  await until("the table of days", async () => (await postgres.ask("SELECT to_regclass('drover.status_day') AS there"))[0].there);
  await postgres.ask(`INSERT INTO drover.status_day
    SELECT 'mail', extract(epoch FROM now())::int / 86400 - n, repeat('1', 1440)::bit(1440),
           repeat(CASE WHEN n = 7 THEN '1' ELSE '0' END, 1440)::bit(1440)
    FROM generate_series(1, 60) n ON CONFLICT DO NOTHING`);
  await at.drover.stop("SIGTERM");
  await at.drover.restart();
  await until("the days to be read again", async () => {
    const { components } = await (await fetch(`${alone.origin}/status.json`)).json();
    return components[0].history.days.length > 60 && components.every(({ id, state }) => states[id] === state);
  }, 60_000);
});
after(endAll);

const PLACES = {
  "on the board": [() => at, "/admin/queues/status"],
  "on a listener of its own": [() => alone, "/"],
};

/** What axe says of the one thing that is meant: the page renews itself, and has a link to make it stop. */
const MEANT = /^meta-refresh:/;

for (const [place, [entrance, path]] of Object.entries(PLACES)) {
  for (const theme of ["light", "dark"]) {
    for (const [width, size] of Object.entries({ "on a desk": WIDE, "on a phone": NARROW })) {
      describe(`${place}, ${theme}, ${width}, without JavaScript,`, () => {
        test("the page says how each component does and does not scroll sideways", () =>
          visit({ at: entrance(), theme, size, javaScript: false }, async (page) => {
            const response = await page.goto(path);
            const bytes = (await response.body()).length;
            assert.ok(bytes < 30_000, `the page takes ${bytes} bytes`);
            assert.equal(await text(page, "h1"), "Shop <b>status</b>");
            assert.match(await text(page, ".whole"), /Some work is not getting through/);
            const states = await page.locator("article .state").allInnerTexts();
            assert.deepEqual(
              states.map((state) => state.replace(/^(\S)\s*/, "$1 ").trim()),
              ["● Operational", "‖ Under maintenance", "■ Major outage", "? No recent data"],
            );
            assert.match(await text(page, "article.under_maintenance"), /Paused by an operator/);
            assert.match(await text(page, "article.operational"), /% within the promise over 6\d days/);
            await page.getByText("Days below 100").first().click();
            assert.match(await text(page, "article.operational details"), /: 0 %/);
            const { scroll, inner } = await page.evaluate(() => ({ scroll: document.documentElement.scrollWidth, inner: innerWidth }));
            assert.ok(scroll <= inner, `the page is ${scroll} px wide in a window of ${inner} px`);
            await page.getByRole("link", { name: "Stop refreshing it" }).click();
            await page.getByText("This page does not refresh itself.").waitFor();
            await page.getByRole("link", { name: "Refresh it automatically" }).click();
            await page.getByText("This page refreshes").waitFor();
          }));

        // What measures is a script itself.
        test("breaks no rule of WCAG 2 A and AA", () =>
          visit({ at: entrance(), theme, size }, async (page) => {
            await page.goto(path);
            assert.deepEqual((await findings(page)).filter((line) => !MEANT.test(line)), []);
            await page.getByRole("link", { name: "Stop refreshing it" }).click();
            await page.getByText("This page does not refresh itself.").waitFor();
            assert.deepEqual(await findings(page), [], "and nothing at all once it stands still");
          }));
      });
    }
  }
}

test("magnified until a window has 320 pixels, nothing is cut off", () =>
  visit({ at: alone, javaScript: false, size: { width: 320, height: 480 } }, async (page) => {
    await page.goto("/");
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    assert.ok(wide <= 320, `the page is ${wide} px wide`);
  }));

test("a badge stands on another site's page", async () => {
  const answer = await fetch(`${alone.origin}/status/badge/stuck.svg?label=${encodeURIComponent("<Search>")}`);
  const svg = await answer.text();
  assert.equal(answer.headers.get("cross-origin-resource-policy"), "cross-origin");
  assert.match(svg, /<title>&lt;Search&gt;: major outage<\/title>/);
});
