// The shop's queues as data. `rate` is jobs per second; every other number is explained where workers.mjs and
// producers.mjs use it. Nothing here may grow without end: `cap` is the backlog above which a producer waits.
//
//   major    which BullMQ the queue's team runs, or "bull"  prefix   when not "bull"
//   workers  names and concurrency of the worker processes; none means nobody takes the jobs
//   cap      largest backlog: waiting, prioritized, delayed and waiting-children together
//   keep     finished jobs kept per end state
//   metrics  whether its workers keep the library's own metrics
//   running  most jobs that run at once, over all workers   limit    [jobs, milliseconds], over all workers
//   graveyard   where its own application puts what failed for good
export const QUEUES = [
  { name: "orders.checkout", rate: 2.5, cap: 400, workers: [["worker-eu-1", 4], ["worker-eu-2", 4]] },
  { name: "payments.capture", rate: 2, cap: 400, workers: [["payments-eu-1", 4], ["payments-us-1", 4]] },
  { name: "payments.refunds", major: 5, rate: 0.4, cap: 100, workers: [["payments-legacy-1", 2]], graveyard: "payments.refunds-dlq" },
  { name: "payments.refunds-dlq", major: 5, cap: 60, workers: [] },
  { name: "loyalty.points", major: "bull", rate: 0.6, cap: 120, workers: [["", 2]] },
  { name: "stock.alerts", major: 4, rate: 0.7, cap: 150, workers: [["alerts-1", 2]] },
  { name: "emails.transactional", rate: 4, cap: 500, workers: [["mailer-eu-1", 6], ["mailer-eu-2", 6]] },
  { name: "emails.marketing", cap: 4000, workers: [["mailer-bulk-1", 4]] },
  { name: "media.thumbnails", rate: 0.9, cap: 200, keep: 500, workers: [["media-cpu-1", 3], ["media-cpu-2", 3]] },
  { name: "media.transcode", cap: 8, keep: 200, workers: [["media-gpu-1", 2], ["media-gpu-2", 1]], metrics: false },
  { name: "search.reindex", cap: 300, workers: [["search-indexer-1", 2]] },
  { name: "reports.daily", cap: 50, keep: 500, workers: [["reports-1", 2]] },
  { name: "webhooks.outbound", rate: 3, cap: 400, workers: [["worker-eu-1", 8], ["worker-us-1", 8]] },
  { name: "inventory.sync", cap: 46, workers: [["erp-bridge-1", 2]] },
  { name: "imports.csv", cap: 900, keep: 500, workers: [["imports-1", 4]], running: 3, metrics: false },
  { name: "fulfilment.flow", cap: 60, workers: [["warehouse-ham-1", 4]] },
  { name: "warehouse.tasks", cap: 120, workers: [["warehouse-ham-1", 4], ["warehouse-lyon-1", 4]] },
  { name: "shipping.labels", cap: 120, workers: [["carrier-gateway-1", 4]] },
  { name: "notifications.push", prefix: "shop", cap: 2000, workers: [["push-eu-1", 20]], limit: [25, 1000] },
  { name: "crm.sync", major: 5, cap: 240, workers: [] },
].map((queue) => ({ major: 6, prefix: "bull", keep: 1000, metrics: true, ...queue }));
