// Makes a page stand still for its picture. Times, ages, ports, versions and measurements differ from run to run: their
// text is replaced, and drawings of them are hidden. Everything else is shown as it is, on a page that is alive: what it
// rewrites meanwhile is replaced again before the browser draws.

/** Drawings of measurements, and bars that follow a measurement. Their space stays. */
const HIDDEN = [".chart", ".spark svg", ".weights .share progress", ".store meter"];

/** Elements that hold nothing but a measurement, with what stands there instead; what is not known (—) stays. */
const FIXED = {
  // Rates, of which the window moves.
  ".queues td.flow": "0 → 0",
  ".about .facts > div:nth-child(3) dd": "0 → 0",
  // What a store does at this moment.
  ".store > span:not(.memory) > b": "10",
  ".health tr:nth-child(1) td:nth-child(2)": "1.0 MB used, peak 1.0 MB, steady",
  ".health tr:nth-child(1) td:nth-child(2) + .judged > span:last-child": "Little of the memory is used.",
  ".health tr:nth-child(3) td:nth-child(2)": "1.00, 1.0 MB from the system",
  ".health tr:nth-child(6) td:nth-child(2)": "20 of 10,000, 2 blocked",
  ".health tr:nth-child(7) td:nth-child(2)": "median 5 ms, longest 5 ms (60 PINGs in a minute)",
  ".health tr:nth-child(8) td:nth-child(2)": "10 /s",
  ".health tr:nth-child(8) td:nth-child(2) + .judged small": "1,000 since it started, including Drover's own.",
  ".health tr:nth-child(9) td:nth-child(2)": "50 %",
  ".health tr:nth-child(9) td:nth-child(2) + .judged small": "Of 100 reads within the last 5 m.",
  ".health tr:nth-child(10) td:nth-child(2)": "0 expired, 0 evicted",
  ".health tr:nth-child(10) td:nth-child(2) + .judged small": "Within the last 5 m; since it started 0 expired, 0 evicted.",
  ".weights .share span": "1 %",
};

/** A part of a store that is judged by how busy this machine is. It is shown as if it were well. */
const BUSY = { about: "Latency", row: ".health tr:nth-child(7) .judged", mark: "mark ok", texts: ["OK", "Quick."] };

/** What differs inside of sentences, everywhere. */
const WORDS = [
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\.\d{3}/g, "2026-03-01 12:00:00.000"],
  [/\d{4}-\d\d-\d\d \d\d:\d\d:\d\d(?!\.)/g, "2026-03-01 12:00:00"],
  [/\b\d\d:\d\d:\d\d(?!\.)\b/g, "12:00:00"],
  [/127\.0\.0\.1:\d+/g, "127.0.0.1:6379"],
  [/(?<![\d.])\d+\.\d+\.\d+(?![\d.])/g, "7.0.0"],
  // The token of a lock.
  [/\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b/g, "00000000-0000-0000-0000-000000000000"],
  // Spans of time; a `10 min` on an axis is none.
  [/\b\d+ [dhms](?: \d+ [hms])?\b(?!\w)/g, "5 m"],
  [/\b\d+\.\d s\b/g, "5 m"],
  [/\b\d+(?:\.\d)? (?:ms|µs)(?!\w)/g, "5 ms"],
  // Where a stack trace points to.
  [/(?:file:\/\/)?\/\S*\/(?=end2end\/|node_modules\/)/g, "/srv/"],
  [/:\d+:\d+(?=\)|$)/gm, ":1:1"],
];

/** What differs inside of sentences about a store. */
const OF_STORES = [
  [/\d+(?:\.\d)? (?:B|kB|MB|GB|TB)\b/g, "1.0 MB"],
  [/[\d,]+ commands\./g, "500 commands."],
];

/** To be called when the page is as it should be; it stands still until it is left. */
export async function standStill(page) {
  await page.evaluate(
    ({ hidden, fixed, busy, words, ofStores }) => {
      // A style element would break the page's own policy.
      const sheet = new CSSStyleSheet();
      sheet.replaceSync(`${hidden.join(", ")} { visibility: hidden !important; } * { transition: none !important; }`);
      document.adoptedStyleSheets.push(sheet);
      const rules = (list) => list.map(([source, flags, to]) => [new RegExp(source, flags), to]);
      const [everywhere, stores] = [rules(words), rules(ofStores)];
      const put = (node, text) => {
        if (node.data !== text) node.data = text;
      };
      const texts = (root) => {
        const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
        const found = [];
        while (walker.nextNode()) found.push(walker.currentNode);
        return found;
      };
      const still = () => {
        const done = new Set();
        for (const reason of document.querySelectorAll(".reasons li")) {
          if (reason.querySelector("b").textContent === busy.about) reason.style.display = "none";
        }
        for (const [i, part] of [...document.querySelectorAll(`${busy.row} > *`)].entries()) {
          if (i === 0 && part.className !== busy.mark) part.className = busy.mark;
          put(part.firstChild, busy.texts[i]);
        }
        for (const [selector, text] of Object.entries(fixed)) {
          for (const element of document.querySelectorAll(selector)) {
            if (element.textContent.trim() === "" || element.textContent.includes("—")) continue;
            for (const [i, node] of texts(element).entries()) {
              put(node, i === 0 ? text : "");
              done.add(node);
            }
          }
        }
        for (const node of texts(document.body)) {
          if (done.has(node) || node.parentElement.closest("script")) continue;
          const own = node.parentElement.closest(".store, .store-page") ? [...stores, ...everywhere] : everywhere;
          put(node, own.reduce((text, [pattern, to]) => text.replace(pattern, to), node.data));
        }
      };
      still();
      new MutationObserver(still).observe(document.body, {
        subtree: true,
        childList: true,
        characterData: true,
        attributeFilter: ["class", "style"],
      });
    },
    {
      hidden: HIDDEN,
      fixed: FIXED,
      busy: BUSY,
      words: WORDS.map(([{ source, flags }, to]) => [source, flags, to]),
      ofStores: OF_STORES.map(([{ source, flags }, to]) => [source, flags, to]),
    },
  );
  await page.evaluate(() => document.fonts.ready.then(() => {}));
}
