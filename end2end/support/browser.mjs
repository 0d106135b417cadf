// Chromium, and pages that are watched: whatever goes wrong on one fails the test that opened it.
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { chromium } from "playwright-core";
import { CHROMIUM, RESULTS } from "./places.mjs";
import { atEnd } from "./process.mjs";

const ARGS = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
  // Letters in shades of one colour: pictures of them are half as large, and no screen's layout decides how they look.
  "--disable-lcd-text",
];

export const WIDE = { width: 1440, height: 900 };
export const NARROW = { width: 390, height: 844 };

let browser;

function launched() {
  browser ??= chromium.launch({ executablePath: CHROMIUM, args: ARGS }).then((one) => {
    atEnd(() => one.close());
    return one;
  });
  return browser;
}

/**
 * Opens a tab of a new visitor, hands it to `body` with its {@link Watch}, and fails when anything went wrong on any of
 * the visitor's tabs. `at` is an entrance: nothing outside of it may be asked for.
 */
export async function visit({ at, javaScript = true, theme = "light", size = WIDE, timezone }, body) {
  const context = await (await launched()).newContext({
    javaScriptEnabled: javaScript,
    colorScheme: theme,
    viewport: size,
    ...(timezone && { timezoneId: timezone }),
    baseURL: at.origin,
    // The certificate of a test is nobody's.
    ignoreHTTPSErrors: at.origin.startsWith("https:"),
  });
  context.setDefaultTimeout(10_000);
  const watch = new Watch(at, javaScript);
  await watch.over(context);
  try {
    const page = await context.newPage();
    endWithThePage(Object.getPrototypeOf(page.locator("html")));
    await body(page, watch);
    const trouble = watch.trouble();
    if (trouble.length > 0) throw new Error(`the page is not at ease:\n  ${trouble.join("\n  ")}`);
  } catch (error) {
    await keep(context, error, watch);
    throw error;
  } finally {
    await context.close();
  }
}

let waits = false;

/**
 * A click or a key that leads to another page ends when that page is read to its end, as `goto` does. Playwright ends it
 * with the page's first bytes, when a test may read an empty `main`.
 */
function endWithThePage(locators) {
  if (waits) return;
  waits = true;
  for (const name of ["click", "press"]) {
    const act = locators[name];
    locators[name] = async function (...args) {
      await act.apply(this, args);
      if (!this.page().isClosed()) await this.page().waitForLoadState("domcontentloaded");
    };
  }
}

let kept = 0;

/** Leaves the pages of a failed test for people to look at, and adds what was seen to its message. */
async function keep(context, error, watch) {
  const folder = join(RESULTS, "failed");
  mkdirSync(folder, { recursive: true });
  for (const page of context.pages()) {
    const path = join(folder, `${process.pid}-${++kept}`);
    await page.screenshot({ path: `${path}.png` }).catch(() => {});
    writeFileSync(`${path}.html`, await page.content().catch(() => ""));
    error.message += `\n  on ${page.url()} (${path}.png)`;
  }
  const trouble = watch.trouble();
  if (trouble.length > 0 && !error.message.includes("not at ease")) error.message += `\n  ${trouble.join("\n  ")}`;
}

/** Sees everything that goes wrong on a visitor's tabs. */
export class Watch {
  #at;
  #seen = [];
  #allowed = [];

  constructor(at, javaScript) {
    this.#at = at;
    // What a browser that runs no scripts says of one that it was offered.
    if (!javaScript) this.allow(/^failed: .*\.js csp$/);
  }

  async over(context) {
    const say = (text) => this.#say(text);
    await context.exposeBinding("reportViolation", (_, text) => say(`policy violated: ${text}`));
    await context.addInitScript(() => {
      addEventListener("securitypolicyviolation", (event) => {
        globalThis.reportViolation(`${event.violatedDirective} ${event.blockedURI} ${event.sample}`);
      });
    });
    context.on("page", (page) => this.#follow(page, say));
  }

  #follow(page, say) {
    page.on("console", (message) => {
      if (["error", "warning"].includes(message.type())) say(`console: ${message.text()} (${message.location().url})`);
    });
    page.on("pageerror", (error) => say(`page error: ${error.stack ?? error}`));
    page.on("crash", () => say("the page crashed"));
    page.on("dialog", (dialog) => {
      say(`a dialog opened: ${dialog.message()}`);
      dialog.dismiss().catch(() => {});
    });
    page.on("request", (request) => {
      if (!this.#at.owns(request.url())) say(`outside of the board: ${request.url()}`);
    });
    page.on("response", (response) => {
      if (response.status() >= 400) say(`answered ${response.status()}: ${response.url()}`);
    });
    page.on("requestfailed", (request) => {
      const why = request.failure()?.errorText;
      // The browser drops what is under way when a page is left.
      const left = why === "net::ERR_ABORTED" && !["document", "stylesheet", "script"].includes(request.resourceType());
      if (!left) say(`failed: ${request.url()} ${why}`);
    });
  }

  #say(text) {
    if (!this.#allowed.some((pattern) => pattern.test(text))) this.#seen.push(text);
  }

  /** From now on this is what the test causes itself. */
  allow(...patterns) {
    this.#allowed.push(...patterns);
  }

  trouble() {
    return this.#seen;
  }
}

/** What a browser says while the server behind a page is away. */
export const AWAY = [
  /ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_INCOMPLETE_CHUNKED_ENCODING|ERR_EMPTY_RESPONSE|ERR_SOCKET/,
  /\b50[24]\b/,
];

/** Waits until the page has been taken up and hears of changes. */
export async function alive(page) {
  await page.locator("html[data-alive]").waitFor({ state: "attached" });
  // A page about a store that was never read is live, and says first that there is nothing to show.
  await shows(page, "#link", /^(live|nothing read yet)$/);
}

/** Waits until the text of an element fits; looks with every frame that the browser draws. */
export async function shows(page, selector, pattern, within = 10_000) {
  const fits = ([selector, source, flags]) => {
    const text = document.querySelector(selector)?.innerText.replace(/\s+/g, " ").trim();
    return text !== undefined && new RegExp(source, flags).test(text);
  };
  try {
    await page.waitForFunction(fits, [selector, pattern.source, pattern.flags], { timeout: within });
  } catch (error) {
    const there = await page.locator(selector).allInnerTexts().catch(() => []);
    throw new Error(`${selector} should show ${pattern} within ${within} ms and shows ${JSON.stringify(there)}`, {
      cause: error,
    });
  }
}

/** Marks the page, so that a reload can be told from a change. */
export function mark(page) {
  return page.evaluate(() => {
    globalThis.untouched = true;
  });
}

export function untouched(page) {
  return page.evaluate(() => globalThis.untouched === true);
}

/** An element's text as it is seen, with every run of white space as one space. */
export async function text(page, selector) {
  return (await page.locator(selector).first().innerText()).replace(/\s+/g, " ").trim();
}

/** Moves the focus with Tab to the element whose text or name fits. */
export async function tabTo(page, pattern) {
  for (let i = 0; i < 120; i++) {
    await page.keyboard.press("Tab");
    const name = await page.evaluate(() => {
      const element = document.activeElement;
      return element.name || element.innerText || element.getAttribute("aria-label") || "";
    });
    if (pattern.test(name)) return;
  }
  throw new Error(`Tab never comes to ${pattern}`);
}
