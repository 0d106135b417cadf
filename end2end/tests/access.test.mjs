// Who gets in, and what they find: signing in over TLS and HTTP/2, roles on the page, sessions that end.
import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { findings } from "../support/axe.mjs";
import { NARROW, alive, text, visit } from "../support/browser.mjs";
import { signedIn } from "../support/entrances.mjs";
import { Oracle } from "../support/oracle.mjs";
import { endAll, until } from "../support/process.mjs";
import { Redis } from "../support/redis.mjs";

let redis, oracle, at;
before(async () => {
  redis = await Redis.start();
  oracle = await Oracle.start(redis);
  for (const queue of ["billing", "mail"]) {
    await oracle.ask("startWorker", queue, { workerId: queue });
    await oracle.ask("add", queue, { name: "n", data: { fail: `${queue} is down`, note: "in the data" }, opts: { jobId: "a" } });
    await oracle.ask("waitUntil", queue, { state: "failed", count: 1 });
  }
  at = await signedIn(redis, [["ada", "operator"], ["eve", "viewer"], ["billy", "operator", "redis/bull:billing"], ["temp", "viewer"]]);
  const { token } = { token: at.drover.command("token", "add", "tests", "--role", "viewer").trim() };
  at.drover.headers = { Authorization: `Bearer ${token}` };
  await at.drover.knows("billing", "mail");
});
after(endAll);

/** Signs in as somebody, from the page that was asked for. */
async function signIn(page, name, path = at.overview) {
  await page.goto(path);
  assert.equal(new URL(page.url()).pathname, `${at.base}/sign-in`);
  await page.getByLabel("Name").fill(name);
  await page.getByLabel("Password").fill(at.passwords[name]);
  await page.getByRole("button", { name: "Sign in" }).click();
  await page.waitForURL((url) => url.pathname + url.search === path);
}

for (const javaScript of [true, false]) {
  describe(javaScript ? "with JavaScript" : "without JavaScript", () => {
    test("whoever signs in is led to where they wanted to go, and out again", async () => {
      await visit({ at, javaScript }, async (page, watch) => {
        watch.allow(/\b401\b/);
        const wanted = at.queue("mail", { query: "?state=failed" });
        await page.goto(wanted);
        await page.getByLabel("Name").fill("ada");
        await page.getByLabel("Password").fill("not the password");
        await page.getByRole("button", { name: "Sign in" }).click();
        await page.getByText("The name or the password is wrong.").waitFor();
        assert.equal(await page.getByLabel("Name").inputValue(), "ada");
        await signIn(page, "ada", wanted);
        await page.getByText("mail is down").first().waitFor();
        assert.match(await text(page, ".account"), /Signed in as ada · operator/);
        const [cookie] = (await page.context().cookies()).filter(({ name }) => name.startsWith("__Host-drover_"));
        assert.ok(cookie.secure && cookie.httpOnly && cookie.sameSite === "Lax" && cookie.path === "/", JSON.stringify(cookie));
        await page.getByRole("button", { name: "Sign out" }).click();
        await page.waitForURL(/sign-in$/);
        await page.goto(wanted);
        assert.match(page.url(), /sign-in\?next=/);
      });
    });

    test("a viewer is offered nothing and told why; an operator acts", async () => {
      const job = at.job("billing", "a");
      await visit({ at, javaScript }, async (page) => {
        await signIn(page, "eve", job);
        assert.equal(await page.getByRole("button", { name: /^Retry/ }).count(), 0);
        assert.match(await page.locator(".not-now").textContent(), /eve may not run jobs again/);
        assert.match(await text(page, ".oddities"), /view_payload/);
        assert.equal(await page.getByText("in the data").count(), 0);
      });
      if (!javaScript) return;
      await visit({ at, javaScript }, async (page) => {
        await signIn(page, "billy", job);
        await page.getByText("in the data").first().waitFor();
        await page.getByRole("button", { name: "Retry", exact: true }).click();
        await page.waitForURL(/asked=/);
        await until("the library to have tried it again", async () => (await oracle.ask("job", "billing", { jobId: "a" })).attemptsMade === 2);
      });
    });

    test("whoever is for one queue finds that one", async () => {
      await visit({ at, javaScript }, async (page, watch) => {
        await signIn(page, "billy");
        await page.getByRole("link", { name: "billing" }).first().waitFor();
        assert.equal(await page.getByText("mail").count(), 0);
        watch.allow(/\b403\b/);
        await page.goto(at.queue("mail"));
        assert.match(await text(page, "main"), /403\s+Not permitted\s+billy may not see this/);
        await page.getByRole("link", { name: "All queues", exact: true }).click();
        await page.getByRole("link", { name: "billing" }).first().waitFor();
      });
    });
  });
}

test("the page speaks HTTP/2 and stays alive over it", async () => {
  await visit({ at }, async (page) => {
    await signIn(page, "ada");
    await alive(page);
    const [protocol] = await page.evaluate(() => performance.getEntriesByType("navigation").map((entry) => entry.nextHopProtocol));
    assert.equal(protocol, "h2");
    const before = await text(page, "#link");
    assert.match(before, /live/i);
    await oracle.ask("add", "mail", { name: "n", data: { fail: "again" }, opts: {} });
    await until("the second failure on the page", async () => /2/.test(await page.locator("tr", { hasText: "mail" }).first().innerText()));
  });
});

test("eight tabs of one browser share one stream over HTTP/2 too", async () => {
  await visit({ at }, async (page) => {
    await signIn(page, "ada");
    const pages = [page];
    for (let n = 1; n < 8; n += 1) {
      const tab = await page.context().newPage();
      await tab.goto(n % 2 ? at.overview : at.queue("mail"));
      pages.push(tab);
    }
    for (const tab of pages) await alive(tab);
    const streams = async () => {
      const metrics = await (await fetch(`${at.drover.origin}/metrics`, { headers: at.drover.headers })).text();
      return Number(/^drover_streams (\d+)/m.exec(metrics)[1]);
    };
    await until("one stream for all", async () => (await streams()) === 1);
  });
});

test("a page that is being left by signing out is not read again meanwhile", async () => {
  await visit({ at }, async (page, watch) => {
    await signIn(page, "ada");
    await alive(page);
    watch.allow(/\b401\b/, /ERR_ABORTED/, /ERR_HTTP2/);
    // The session is over at the server, and the page hears of it before the answer to the form arrives.
    await page.route("**/sign-out", async (route) => {
      const heard = page.waitForResponse((response) => response.status() === 401, { timeout: 20_000 });
      const response = await route.fetch({ maxRedirects: 0 });
      await heard;
      await route.fulfill({ response });
    });
    await page.getByRole("button", { name: "Sign out" }).click({ timeout: 25_000 });
    await page.waitForURL(/sign-in$/);
  });
});

test("a session that ends leads every open page to the sign-in", async () => {
  await visit({ at }, async (page, watch) => {
    await signIn(page, "temp");
    await alive(page);
    const job = await page.context().newPage();
    await job.goto(at.job("mail", "a"));
    await alive(job);
    watch.allow(/\b401\b/, /ERR_ABORTED/, /ERR_HTTP2/);
    at.drover.command("user", "remove", "temp");
    for (const tab of [page, job]) await tab.waitForURL(/sign-in\?next=/, { timeout: 20_000 });
  });
});

for (const size of [undefined, NARROW]) {
  for (const theme of ["light", "dark"]) {
    test(`the sign-in reads for everybody, ${theme}, ${size ? "on a phone" : "on a desk"}`, async () => {
      await visit({ at, theme, ...(size && { size }) }, async (page, watch) => {
        await page.goto(at.overview);
        watch.allow(/\b401\b/);
        await page.getByLabel("Name").fill("nobody");
        await page.getByLabel("Password").fill("nothing");
        await page.keyboard.press("Enter");
        await page.getByRole("alert").waitFor();
        assert.deepEqual(await findings(page), []);
        assert.ok(await page.getByLabel("Password").evaluate((field) => field === document.activeElement), "the password is next");
      });
    });
  }
}
