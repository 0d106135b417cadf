// Where things are.
import { accessSync, constants } from "node:fs";
import { delimiter, join } from "node:path";
import { fileURLToPath } from "node:url";

export const REPOSITORY = fileURLToPath(new URL("../..", import.meta.url));
export const TESTS = join(REPOSITORY, "end2end/tests");
export const RESULTS = join(REPOSITORY, "end2end/results");
export const DROVER = process.env.TESTED_DROVER || join(REPOSITORY, "target/release/drover");
export const CHROMIUM = process.env.CHROMIUM || "/usr/bin/chromium";

// Debian keeps nginx out of an ordinary user's PATH.
const FOLDERS = [...(process.env.PATH ?? "").split(delimiter), "/usr/local/sbin", "/usr/sbin"].filter(Boolean);

/** The path of a program, or undefined. */
export function program(name) {
  return FOLDERS.map((folder) => join(folder, name)).find(runs);
}

/** What has to be there before a test can run, as sentences. */
export function missing() {
  const lines = [];
  if (!runs(DROVER)) lines.push(`there is no ${DROVER}; run 'make build', or name another binary with TESTED_DROVER`);
  if (!runs(CHROMIUM)) lines.push(`there is no ${CHROMIUM}; install chromium, or name another one with CHROMIUM`);
  for (const name of ["redis-server", "nginx", "postgres", "initdb"]) {
    if (!program(name)) lines.push(`${name} is not installed; scripts/setup installs it`);
  }
  return lines;
}

function runs(path) {
  try {
    accessSync(path, constants.X_OK);
    return true;
  } catch {
    return false;
  }
}
