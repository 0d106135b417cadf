// Pictures as they should be, in end2end/references, and how far a page is from its own.
//
// They hold for one major version of the browser and for the fonts that drew them, which about.json names: another
// browser or another font draws every letter a little differently.
import { existsSync, mkdirSync, readFileSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import pixelmatch from "pixelmatch";
import { PNG } from "pngjs";
import { REPOSITORY, RESULTS } from "./places.mjs";

const FOLDER = join(REPOSITORY, "end2end/references");
const ABOUT = join(FOLDER, "about.json");

/** Whether this run writes the references instead of comparing with them. */
export const RENEW = process.env.E2E_REFERENCES === "renew";
const HOW = "If the page is meant to look so, `make references` renews the references";

/** Pixels that may differ: less than a changed digit has. */
const TOLERATED = 12;

/** When references are renewed, a picture has to stay the same for so long. */
const ALIKE_MS = 400;

/** A picture is compared again and again for so long: a page may still be about to say something. */
const WITHIN_MS = 5_000;

/** The browser's major version and the fonts that draw these pages. */
export async function drawnBy(page, paths) {
  const fonts = new Set();
  const session = await page.context().newCDPSession(page);
  for (const path of paths) {
    await page.goto(path);
    for (const domain of ["DOM", "CSS"]) await session.send(`${domain}.enable`);
    const { root } = await session.send("DOM.getDocument", { depth: 0 });
    const { nodeIds } = await session.send("DOM.querySelectorAll", { nodeId: root.nodeId, selector: "body *" });
    const used = nodeIds.map((nodeId) => session.send("CSS.getPlatformFontsForNode", { nodeId }).catch(() => ({ fonts: [] })));
    for (const { fonts: some } of await Promise.all(used)) for (const { familyName } of some) fonts.add(familyName);
  }
  await session.detach();
  const chromium = Number(page.context().browser().version().split(".")[0]);
  return { chromium, fonts: [...fonts].sort() };
}

/** Why pictures cannot be compared here, as a sentence; undefined if they can. Renewing begins here. */
export function whyNot(drawn) {
  if (RENEW) {
    rmSync(FOLDER, { recursive: true, force: true });
    mkdirSync(FOLDER, { recursive: true });
    writeFileSync(ABOUT, `${JSON.stringify(drawn, null, 2)}\n`);
    return undefined;
  }
  if (!existsSync(ABOUT)) return undefined;
  const were = JSON.parse(readFileSync(ABOUT, "utf8"));
  const [is, was] = [drawn, were].map(({ chromium, fonts }) => `Chromium ${chromium} with ${fonts.join(", ")}`);
  return is === was ? undefined : `not compared: the references were drawn by ${was}, this is ${is}`;
}

/** The references that no page has. */
export function orphans(names) {
  const known = new Set(names.map((name) => `${name}.png`));
  return readdirSync(FOLDER).filter((file) => file.endsWith(".png") && !known.has(file));
}

/**
 * Takes pictures until one is as it should be, and fails with what differs if none is. The last one is left in the
 * results, with the difference beside it. With `compare` false it is only taken; when references are renewed it is kept
 * as soon as it stays the same.
 */
export async function compare(page, name, compare) {
  const [file, kept] = [join(RESULTS, `${name}.png`), join(FOLDER, `${name}.png`)];
  if (!RENEW && compare && !existsSync(kept)) {
    writeFileSync(file, await page.screenshot());
    throw new Error(`there is no reference ${name}.png. ${HOW}`);
  }
  let wanted = RENEW ? undefined : compare && PNG.sync.read(readFileSync(kept));
  const deadline = performance.now() + WITHIN_MS;
  let since = Infinity;
  for (;;) {
    const taken = await page.screenshot();
    writeFileSync(file, taken);
    if (!RENEW && !compare) return;
    const seen = PNG.sync.read(taken);
    const { pixels, words, picture } = wanted ? difference(wanted, seen) : { pixels: Infinity };
    if (RENEW ? pixels === 0 && performance.now() - since > ALIKE_MS : pixels <= TOLERATED) {
      // Without filters such pictures are smallest; the defaults would make them five times as large.
      if (RENEW) writeFileSync(kept, PNG.sync.write(seen, { colorType: 2, filterType: 0, deflateLevel: 9, deflateStrategy: 0 }));
      return;
    }
    if (RENEW && pixels > 0) [wanted, since] = [seen, performance.now()];
    if (performance.now() > deadline) {
      const diff = join(RESULTS, `${name}.diff.png`);
      if (picture) writeFileSync(diff, PNG.sync.write(picture));
      if (RENEW) throw new Error(`${name} does not stand still: ${words} (${diff})`);
      throw new Error(`${name} is not as it was: ${words} (${file}${picture ? `, ${diff}` : ""}). ${HOW}`);
    }
  }
}

function difference(wanted, seen) {
  const [was, is] = [wanted, seen].map(({ width, height }) => `${width} × ${height}`);
  if (was !== is) return { pixels: Infinity, words: `it is ${is} pixels and was ${was}` };
  const { width, height } = seen;
  const picture = new PNG({ width, height });
  const pixels = pixelmatch(wanted.data, seen.data, picture.data, width, height, { threshold: 0.1 });
  return { pixels, words: `${pixels} pixels differ`, picture };
}
