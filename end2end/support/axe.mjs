// What a page keeps from people who read it otherwise than most: contrast, names, structure.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";

const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

/** What axe finds, one line for each element. */
export async function findings(page) {
  await page.evaluate(AXE);
  // Lines off the screen are not laid out, and axe measures no contrast of what has no size.
  await page.evaluate(() => {
    const sheet = new CSSStyleSheet();
    sheet.replaceSync("* { content-visibility: visible !important; }");
    document.adoptedStyleSheets.push(sheet);
  });
  const { violations, incomplete, passes } = await page.evaluate(() => globalThis.axe.run({ runOnly: ["wcag2a", "wcag2aa"] }));
  assert.ok(passes.some(({ id }) => id === "color-contrast"), "axe measured contrast");
  const line = (id, node, why) => `${id}: ${node.target.join(" ")}: ${why.replace(/\s+/g, " ")}`;
  const surely = violations.flatMap(({ id, nodes }) => nodes.map((node) => line(id, node, node.failureSummary)));
  // Too little contrast on a single character is left open by axe; on a board that character is a count.
  const digits = incomplete.flatMap(({ id, nodes }) =>
    nodes
      .filter((node) => node.any[0]?.data?.messageKey === "shortTextContent" && /^\d$/.test(node.html.replace(/<[^>]*>/g, "")))
      .map((node) => line(id, node, JSON.stringify(node.any[0].data))),
  );
  return [...surely, ...digits];
}
