// What a test file starts: processes, ports and folders. All of it ends with the file, however the file ends.
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

const children = new Set();
const folders = new Set();
const closers = [];

process.on("exit", () => {
  for (const child of children) child.kill("SIGKILL");
  for (const folder of folders) rmSync(folder, { recursive: true, force: true });
});
for (const signal of ["SIGINT", "SIGTERM"]) process.on(signal, () => process.exit(1));

/** Something that has to be closed in order, before processes are killed. */
export function atEnd(close) {
  closers.push(close);
}

/** Ends everything that was started, the newest first. */
export async function endAll() {
  for (const close of closers.splice(0).reverse()) await close();
  await Promise.all([...children].map((child) => child.end("SIGKILL")));
}

/** A folder of its own, which is removed at the end. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), "drover-e2e-"));
  folders.add(path);
  return path;
}

/** A process. `lines` holds what it said, for messages. `end` waits until it is gone and gives its exit code. */
export function start(command, args, options = {}) {
  const child = spawn(command, args, { stdio: ["ignore", "pipe", "pipe"], ...options });
  children.add(child);
  child.lines = [];
  const keep = (text) => {
    child.lines.push(...String(text).trimEnd().split("\n"));
    child.lines.splice(0, child.lines.length - 200);
  };
  // Whoever talks to the process reads stdout himself.
  if (options.stdio?.[0] !== "pipe") child.stdout.on("data", keep);
  child.stderr.on("data", keep);
  child.gone = new Promise((resolve) => {
    child.on("error", (error) => resolve(error.message));
    child.on("exit", (code, signal) => resolve(code ?? signal));
  }).then((how) => {
    children.delete(child);
    return how;
  });
  child.end = (signal) => {
    child.kill(signal);
    return child.gone;
  };
  return child;
}

/** Asks `probe` every few milliseconds until it gives something, and gives that. What it said last is part of the message. */
export async function until(what, probe, within = 10_000, every = 25) {
  const deadline = performance.now() + within;
  for (;;) {
    let last;
    try {
      last = await probe();
      if (last) return last;
    } catch (error) {
      last = error.message;
    }
    if (performance.now() > deadline) throw new Error(`waited ${within} ms for ${what}; last: ${last}`);
    await new Promise((resolve) => setTimeout(resolve, every));
  }
}

/** Waits until a started process answers; fails at once, with its last words, when it ends instead. */
export function ready(child, what, probe) {
  const ended = child.gone.then((how) => {
    throw new Error(`${what} ended (${how}): ${child.lines.slice(-20).join("\n")}`);
  });
  return Promise.race([until(what, probe), ended]);
}

/**
 * A free port below the range from which outgoing connections take theirs: a server that is down for a moment finds its
 * port free when it comes back.
 */
export async function freePort() {
  for (;;) {
    const port = 18_000 + Math.floor(Math.random() * 12_000);
    const free = await new Promise((resolve) => {
      const server = createServer();
      server.on("error", () => resolve(false));
      server.listen(port, "127.0.0.1", () => server.close(() => resolve(true)));
    });
    if (free) return port;
  }
}
