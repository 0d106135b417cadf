// Payloads that look like a shop's: nested, of every size from a line to a few kB, in several scripts.
import { randomBytes, randomUUID } from "node:crypto";
import { goods, people } from "./people.mjs";

export const pick = (list) => list[Math.floor(Math.random() * list.length)];
export const int = (from, to) => from + Math.floor(Math.random() * (to - from + 1));
export const chance = (probability) => Math.random() < probability;
const hex = (bytes) => randomBytes(bytes).toString("hex");
const some = (count, make) => Array.from({ length: count }, (_, index) => make(index));

// Follows the clock, so that numbers look like one shop's sequence over restarts too.
let lastOrder = Math.floor(Date.now() / 1000) % 10_000_000;
const orderId = () => `SO-${(lastOrder++).toString().padStart(7, "0")}`;
const knownOrderId = () => `SO-${Math.max(1, lastOrder - int(1, 4000)).toString().padStart(7, "0")}`;

function customer() {
  const [name, street, postcode, city, country] = pick(people);
  const login = name.normalize("NFD").replace(/[^A-Za-z ]/g, "").trim().toLowerCase().split(" ").slice(0, 2).join(".");
  return {
    id: `cus_${hex(6)}`,
    name,
    email: `${login}@example.${pick(["com", "org", "net"])}`,
    address: { street, postcode, city, country },
  };
}
function lines(count = int(1, 5)) {
  return some(count, () => {
    const [sku, title, unitPrice] = pick(goods);
    return { sku, title, quantity: int(1, 3), unitPrice };
  });
}
const total = (items) => items.reduce((sum, { quantity, unitPrice }) => sum + quantity * unitPrice, 0);
const money = (amount) => ({ amount, currency: pick(["EUR", "EUR", "EUR", "GBP", "SEK"]) });

/** queue → () => { name, data }; the order of an order's own life is not modelled, only its looks. */
export const payloads = {
  "orders.checkout": () => {
    const items = lines(chance(0.04) ? int(18, 30) : undefined);
    return {
      name: pick(["place-order", "place-order", "place-order", "reserve-stock", "apply-voucher"]),
      data: {
        orderId: orderId(),
        customer: customer(),
        lines: items,
        total: money(total(items)),
        voucher: chance(0.1) ? "SPRING-10" : null,
        channel: pick(["web", "web", "ios", "android", "pos"]),
        device: { ip: `198.51.100.${int(1, 254)}`, locale: pick(["fr-FR", "sv-SE", "de-DE", "ja-JP", "en-GB"]) },
      },
    };
  },
  "payments.capture": () => ({
    name: pick(["capture", "capture", "capture", "authorise"]),
    data: {
      orderId: knownOrderId(),
      paymentIntent: `pi_${hex(8)}`,
      amount: money(int(900, 48000)),
      card: { brand: pick(["visa", "mastercard", "amex"]), last4: `${int(1000, 9999)}`, token: `tok_demo_${hex(8)}` },
      idempotencyKey: randomUUID(),
    },
  }),
  "payments.refunds": () => ({
    name: "refund",
    data: {
      orderId: knownOrderId(),
      amount: money(int(500, 15000)),
      reason: pick(["damaged in transit", "wrong size", "never arrived", "Rücksendung", "返品"]),
      requestedBy: `support-${int(11, 29)}`,
    },
  }),
  "emails.transactional": () => {
    const { name, email } = customer();
    const template = pick(["order-confirmation", "shipping-notice", "password-reset", "invoice", "review-request"]);
    return {
      name: template,
      data: { template, to: { name, email }, orderId: knownOrderId(), locale: pick(["fr", "sv", "de", "ja", "en"]) },
    };
  },
  "emails.marketing": (campaign = "spring-sale") => {
    const { id, name, email } = customer();
    return {
      name: `campaign:${campaign}`,
      data: {
        campaign,
        customerId: id,
        to: { name, email },
        segment: pick(["loyal", "dormant", "new"]),
        variant: pick("AB"),
      },
    };
  },
  "media.thumbnails": () => ({
    name: "make-thumbnails",
    data: {
      asset: `products/${pick(goods)[0]}/${hex(4)}.jpg`,
      sizes: [64, 160, 320, 640, 1280, 2048],
      crop: pick(["centre", "face", "none"]),
    },
  }),
  "media.transcode": () => ({
    name: pick(["transcode-1080p", "transcode-720p", "transcode-hdr10-with-forced-subtitles-and-audio-description"]),
    data: {
      asset: `videos/${pick(goods)[0].toLowerCase()}-${hex(3)}.mov`,
      source: { codec: "prores", width: 3840, height: 2160, seconds: int(40, 240), bytes: int(2e8, 4e9) },
      renditions: ["1080p", "720p", "480p"],
    },
  }),
  "search.reindex": () => ({
    name: pick(["product", "product", "category", "synonyms"]),
    data: {
      index: "products-v7",
      sku: pick(goods)[0],
      locale: pick(["fr", "sv", "de", "ja", "en"]),
      reason: pick(["price", "stock", "copy edit", "bulk import"]),
    },
  }),
  "webhooks.outbound": () => {
    const event = pick(["order.created", "order.paid", "order.shipped", "refund.created", "stock.low"]);
    const [host, path] = pick([
      ["hooks.partner.example.com", "/v2/shop"],
      ["api.logistics.example.net", "/events"],
      ["erp.wholesale.example.org", "/inbound/orders"],
      ["hooks.loyalty.example.com", "/ingest"],
      ["old.affiliate.example.net", "/cb.php"],
    ]);
    const items = lines();
    return {
      name: event,
      data: {
        event,
        url: `https://${host}${path}`,
        headers: {
          "content-type": "application/json",
          authorization: `Bearer demo-${hex(10)}`,
          "x-signature": `sha256=${hex(32)}`,
        },
        body: { id: `evt_${hex(8)}`, orderId: knownOrderId(), lines: items, total: money(total(items)) },
      },
    };
  },
  "inventory.sync": () => ({
    name: "push-stock-level",
    data: { warehouse: pick(["HAM", "LYS", "KRK"]), sku: pick(goods)[0], onHand: int(0, 400), reserved: int(0, 40) },
  }),
  "imports.csv": () => {
    const from = int(0, 400) * 50 + 2;
    return {
      name: "import-rows",
      data: {
        file: `supplier-${int(11, 48)}/katalog_${int(1, 12)}.csv`,
        rows: { from, to: from + 49 },
        columns: ["sku", "titel", "preis", "bestand", "ean"],
        sample: some(int(4, 12), () => {
          const [sku, title, price] = pick(goods);
          return [sku, title, (price / 100).toFixed(2), String(int(0, 200)), `40${int(10_000_000_000, 99_999_999_999)}`];
        }),
      },
    };
  },
  "notifications.push": () => ({
    name: pick(["flash-sale", "order-update", "back-in-stock"]),
    data: {
      deviceToken: hex(16),
      platform: pick(["apns", "fcm"]),
      title: pick(["Flash sale ⚡", "Din order är på väg", "再入荷しました"]),
      badge: int(0, 9),
    },
  }),
  "loyalty.points": () => ({
    name: pick(["earn", "earn", "earn", "redeem"]),
    data: { customerId: customer().id, orderId: knownOrderId(), points: int(5, 400) },
  }),
  "stock.alerts": () => ({
    name: pick(["low", "low", "sold-out"]),
    data: { sku: pick(goods)[0], warehouse: pick(["HAM", "LYS", "KRK"]), left: int(0, 4) },
  }),
  "crm.sync": () => ({ name: "upsert-contact", data: { ...customer(), consent: { email: chance(0.7), sms: chance(0.2) } } }),
};

/** One order on its way out: the parent ships when it is packed (which needs picking) and labelled. */
export function shipment() {
  const order = { orderId: knownOrderId(), customer: customer() };
  const items = lines();
  const opts = { failParentOnFailure: true, attempts: 2, backoff: { type: "fixed", delay: 2000 } };
  return {
    name: "ship-order",
    queueName: "fulfilment.flow",
    data: { ...order, carrier: pick(["DHL", "PostNord", "Colissimo", "ヤマト運輸"]), parcels: int(1, 2) },
    children: [
      {
        name: "pack",
        queueName: "warehouse.tasks",
        data: { orderId: order.orderId, box: pick(["S", "M", "L"]), fragile: chance(0.2) },
        opts,
        children: [{ name: "pick", queueName: "warehouse.tasks", data: { orderId: order.orderId, lines: items }, opts }],
      },
      { name: "label", queueName: "shipping.labels", data: { orderId: order.orderId, to: order.customer }, opts },
    ],
  };
}
