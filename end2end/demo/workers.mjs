// The shop's workers: how long each kind of job takes, what it reports, how it fails.
import { randomUUID } from "node:crypto";
import { noteTrouble, openQueue, openWorker, sleep } from "./library.mjs";
import { chance, int, pick } from "./payloads.mjs";

// The first jobs run in no time, so that the board has a past as soon as it has a present.
const WARM_UP_MS = 2500;
let started;
function work(from, to) {
  started ??= Date.now();
  return sleep(int(from, to) * (Date.now() - started < WARM_UP_MS ? 0.02 : 1));
}

class HttpError extends Error {
  constructor(status, url, body) {
    super(`POST ${url} answered ${status}: ${body}`);
    this.name = "HttpError";
    this.status = status;
  }
}

// How each partner behaves: probability of a failure, and what it then looks like.
const PARTNERS = {
  "hooks.partner.example.com": [0.05, (url) => new HttpError(503, url, "upstream connect error or disconnect")],
  "api.logistics.example.net": [0.15, (url) => new Error(`connect ETIMEDOUT 203.0.113.17:443 (${url})`)],
  "erp.wholesale.example.org": [
    0.2,
    (url) => new HttpError(500, url, "<html><head><title>Fehler</title></head><body><h1>NullPointerException</h1>…"),
  ],
  "hooks.loyalty.example.com": [0.1, (url) => new HttpError(429, url, '{"error":"rate_limited","retry_after":30}')],
  "old.affiliate.example.net": [0.45, () => new Error("certificate has expired: CN=old.affiliate.example.net")],
};

async function post(url) {
  const [probability, failure] = PARTNERS[new URL(url).host];
  await work(60, 700);
  if (chance(probability)) throw failure(url);
  return { status: pick([200, 200, 202, 204]), receivedAt: new Date().toISOString() };
}

async function deliver(job, { UnrecoverableError }) {
  if (job.data.url.includes("affiliate") && chance(0.08)) {
    throw new UnrecoverableError(`410 Gone: ${job.data.url} is no longer subscribed to ${job.data.event}`);
  }
  const response = await post(job.data.url);
  return { ...response, attempt: job.attemptsMade + 1 };
}

async function checkout(job) {
  await work(80, 600);
  if (chance(0.015)) throw new Error(`stock reservation expired for ${job.data.lines[0].sku}`);
  return { invoice: `INV-${int(100000, 999999)}`, reserved: job.data.lines.map(({ sku }) => sku) };
}

async function capture(job, { UnrecoverableError }) {
  await work(150, 900);
  if (chance(0.02)) throw new UnrecoverableError(`card_declined: ${pick(["insufficient_funds", "expired_card", "do_not_honor"])}`);
  if (chance(0.015)) throw new Error("gateway timeout after 10000 ms (psp-eu-west)");
  return { captureId: randomUUID(), amount: job.data.amount, network: job.data.card.brand };
}

async function refund(job) {
  await work(400, 2500);
  if (chance(0.05)) throw new Error(`refund window closed for ${job.data.orderId}`);
  return { refundId: `re_${randomUUID().slice(0, 13)}` };
}

async function mail(job) {
  await work(60, 500);
  if (chance(0.01)) throw new Error(`550 5.1.1 <${job.data.to.email}>: Recipient address rejected`);
  return { messageId: `<${randomUUID()}@mail.shop.example.com>`, relay: pick(["mx1", "mx2"]) };
}

async function thumbnails(job) {
  const { sizes, asset } = job.data;
  await job.log(`fetched ${asset} (${int(400, 9000)} kB)`);
  for (const [done, size] of sizes.entries()) {
    await job.updateProgress({ done, total: sizes.length, current: `${size}px` });
    await work(200, 900);
  }
  if (chance(0.03)) throw new Error(`VipsJpeg: premature end of JPEG image (${asset})`);
  await job.updateProgress({ done: sizes.length, total: sizes.length });
  return { files: sizes.map((size) => asset.replace(".jpg", `@${size}.webp`)) };
}

async function transcode(job) {
  const steps = Math.round(int(60_000, 180_000) / 700);
  const fails = chance(0.06) ? int(20, 90) : null;
  let logged = -10;
  for (let step = 0; step <= steps; step++) {
    const percent = Math.round((1000 * step) / steps) / 10;
    await job.updateProgress(percent);
    if (percent >= logged + 10) {
      logged = Math.floor(percent / 10) * 10;
      await job.log(`frame=${step * 42} fps=${int(52, 64)} bitrate=${int(3900, 6200)}kbits/s  ${logged}%`);
    }
    if (fails !== null && percent >= fails) throw new Error(`ffmpeg exited with code 1 at ${percent}%: Invalid NAL unit size`);
    await work(650, 750);
  }
  return { renditions: job.data.renditions.map((name) => ({ name, bytes: int(2e7, 4e8) })) };
}

async function reindex(job) {
  await work(300, 650);
  if (chance(0.008)) throw new Error("version_conflict_engine_exception: current version [8] is different than [7]");
  return { index: job.data.index, took: int(4, 90) };
}

async function report(job) {
  await job.log(`running ${job.name}`);
  for (const percent of [10, 40, 75]) {
    await job.updateProgress(percent);
    await work(400, 2200);
  }
  if (chance(0.04)) throw new Error("canceling statement due to statement timeout");
  await job.log(`wrote ${int(200, 9000)} rows`);
  await job.updateProgress(100);
  return { rows: int(200, 9000), file: `reports/${job.name}-${new Date().toISOString().slice(0, 16)}.parquet` };
}

async function importRows(job) {
  const { from, to } = job.data.rows;
  await work(600, 1400);
  if (chance(0.02)) throw new TypeError(`row ${int(from, to)}: cannot read "preis" as a number: "12,9O €"`);
  await job.log(`rows ${from}–${to}: ${to - from + 1} read, ${int(0, 3)} skipped`);
  return { imported: to - from + 1 };
}

async function warehouse(job) {
  await work(job.name === "pick" ? 3000 : 1500, job.name === "pick" ? 11000 : 6000);
  if (chance(0.006)) throw new Error(job.name === "pick" ? "bin is empty, recount requested" : "scale reports 0 g");
  return { by: `team-${pick("ABC")}`, station: int(1, 14) };
}

async function label() {
  await work(800, 4000);
  if (chance(0.02)) throw new Error("carrier API: postcode does not match country");
  return { tracking: `${pick(["JD", "SE", "6A"])}${int(100000000, 999999999)}` };
}

async function ship(job) {
  const steps = Object.values(await job.getChildrenValues());
  await work(200, 900);
  return { shippedAt: new Date().toISOString(), tracking: steps.find((step) => step?.tracking)?.tracking ?? null };
}

async function push() {
  await work(350, 900);
  if (chance(0.006)) throw new Error("BadDeviceToken");
  return { sent: true };
}

async function stockLevel() {
  await work(300, 1200);
  return { accepted: true };
}

async function points(job) {
  await work(200, 900);
  await job.progress(50);
  if (chance(0.02)) throw new Error(`ledger is locked by ${pick(["month-end", "audit"])}`);
  await job.log(`balance ${int(0, 900)} → ${int(900, 2000)}`);
  await work(200, 900);
  return { balance: int(900, 2000) };
}

async function alertBuyers(job) {
  await job.updateProgress(25);
  await work(300, 1600);
  if (chance(0.03)) throw new Error(`no buyer is responsible for ${job.data.sku}`);
  return { told: int(1, 3) };
}

const PROCESSORS = {
  "orders.checkout": checkout,
  "payments.capture": capture,
  "payments.refunds": refund,
  "emails.transactional": mail,
  "emails.marketing": mail,
  "media.thumbnails": thumbnails,
  "media.transcode": transcode,
  "search.reindex": reindex,
  "reports.daily": report,
  "webhooks.outbound": deliver,
  "inventory.sync": stockLevel,
  "imports.csv": importRows,
  "fulfilment.flow": ship,
  "warehouse.tasks": warehouse,
  "shipping.labels": label,
  "notifications.push": push,
  "loyalty.points": points,
  "stock.alerts": alertBuyers,
};

/**
 * What an application does that keeps its dead letters itself: a job that failed for good is put into a queue that
 * nobody works on, for a person to look at.
 */
function bury({ name, graveyard }, queues, connection) {
  const definition = queues.find((queue) => queue.name === graveyard);
  const dead = openQueue(definition, connection, { removeOnFail: { count: definition.keep } });
  async function add(job, error) {
    if (job.attemptsMade < (job.opts.attempts || 1) || (await dead.count()) >= definition.cap) return;
    const { id, data, attemptsMade } = job;
    await dead.add("dead-letter", {
      from: { queue: name, jobId: id, name: job.name, attemptsMade },
      error: error.message,
      data,
      buriedAt: new Date().toISOString(),
    });
  }
  return { dead, onFailed: (job, error) => job && add(job, error).catch((trouble) => noteTrouble(graveyard, trouble)) };
}

/** Starts every worker of the shop; gives what has to be closed. */
export function startWorkers(queues, connection) {
  return queues.flatMap((queue) => {
    const workers = queue.workers.map((worker) => openWorker(queue, connection, PROCESSORS[queue.name], worker));
    if (!queue.graveyard) return workers;
    const { dead, onFailed } = bury(queue, queues, connection);
    for (const worker of workers) worker.on("failed", onFailed);
    return [...workers, dead];
  });
}
