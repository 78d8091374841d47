// “Inside the bot”: the way of one frame through the bot, live, as the observer in the bot's process reports it.

import { byId, make } from "./format.js";

const STREAMS = ["markets/data", "orders", "positions", "accounts"];
const AGE_INTERVAL = 250; // ms
const STALE_AGE = 5; // seconds
const MAX_FRAME_TEXT = 460; // characters shown
const FIELDS = { // those that a reader follows; the others are in the record as well
  Market: ["best_bid_price", "best_offer_price", "mark_price", "state", "trading_mode"],
  Order: ["side", "price", "size", "remaining_size", "status", "reason"],
  Position: ["open_volume", "average_entry_price", "realised_pnl", "unrealised_pnl"],
  Account: ["account_type", "balance"],
  OrderSubmission: ["side", "price", "size"],
  OrderCancellation: ["order_id"],
  OrderAmendment: ["price", "size_delta"],
};
const ID = /\b([0-9a-f]{6})[0-9a-f]{58}\b/gi; // shown as its first six digits: whole ids would fill the screen
const PRICE = /("?best_?(bid|offer)_?price"?[=:]\s*"?[\d.]+"?)/i; // in a frame and in a record

export class Inside {
  constructor() {
    this.source = null;
    this.message = null; // the newest one that is shown
    this.receivedAt = 0;
    this.paused = false;
    this.cards = new Map(); // step -> its elements
    this.build();
    byId("inside-pause").addEventListener("click", () => this.pause(!this.paused));
    setInterval(() => this.showAges(), AGE_INTERVAL);
  }

  /** Connect while the view is open, and only then. */
  setActive(active) {
    if (active === Boolean(this.source)) return;
    if (!active) {
      this.source.close();
      this.source = null;
      return;
    }
    this.source = new EventSource("/page/inside");
    this.source.addEventListener("message", (event) => this.receive(JSON.parse(event.data)));
  }

  /** Stop and go on showing. The bot does not notice: its observer goes on sending. */
  pause(paused) {
    this.paused = paused;
    byId("inside-pause").textContent = paused ? "Continue" : "Pause";
    byId("inside-pause").setAttribute("aria-pressed", String(paused));
  }

  receive(message) {
    if (this.paused) return;
    [this.message, this.receivedAt] = [message, performance.now()];
    byId("inside-empty").hidden = true;
    byId("inside-steps").hidden = false;
    const cost = message.cost === null ? "" : `Observing takes ${message.cost.toFixed(2)} ms of each turn (median).`;
    byId("inside-cost").textContent = cost;
    for (const [step, card] of this.cards) this.showStep(card, step, message.steps);
    this.showAges();
  }

  build() {
    const rows = STREAMS.flatMap((stream) => [
      this.card(`frame ${stream}`, "Frame", stream),
      this.card(`record ${stream}`, "→ Record", stream),
      this.card(`store ${stream}`, "→ Store", stream),
    ]);
    byId("inside-streams").replaceChildren(...rows);
    const turn = [
      this.card("quotes", "What quotes was given and returned", ""),
      this.card("batch", "→ The batch, in padded integers", ""),
      this.card("wallet", "→ The wallet’s answer", ""),
      this.card("order", "→ The next frame on the orders stream", ""),
    ];
    byId("inside-turn").replaceChildren(...turn);
  }

  card(step, title, stream) {
    const [age, thread, source, content] = [make("span", { className: "age" }), make("span", { className: "thread" }), make("code", { className: "source" }), make("div", { className: "content" })];
    const heading = make("h4", {}, title, stream ? make("small", { textContent: ` ${stream}` }) : "");
    const element = make("article", { className: `step ${stream === "markets/data" ? "wide" : ""}`, id: `step-${step.replace(/[ /]/g, "-")}` }, make("div", { className: "meta" }, heading, thread, age), source, content);
    this.cards.set(step, { step: element, age, thread, source, content });
    return element;
  }

  showStep(card, step, steps) {
    const note = steps[step];
    if (!note) {
      card.content.replaceChildren("nothing yet");
      return;
    }
    card.thread.textContent = note.thread;
    const kind = note.thread === "MainThread" ? "main" : "loop";
    card.thread.className = `thread ${kind}`;
    card.step.dataset.thread = kind;
    card.step.title = note.raw ?? "";
    card.source.textContent = note.function;
    card.content.replaceChildren(...this.lines(step, note, steps));
  }

  lines(step, note, steps) {
    const [kind, stream] = step.split(" ");
    if (kind === "frame") return [line(...marked(frameText(note)))];
    if (kind === "record") return [...(stream === "markets/data" ? conversion(steps[`frame ${stream}`], note.records[0]) : []), ...note.records.map(recordLine)];
    if (kind === "store") return [line(`${note.getter}(${note.getter.endsWith("_by_id") ? "…" : ""}) → ${note.count} ${note.count === 1 ? "record" : "records"} held`), ...note.records.map(recordLine)];
    if (kind === "quotes") return quotesLines(note, steps["store markets/data"]?.age < note.age);
    if (kind === "batch") return batchLines(note, steps.quotes);
    if (kind === "wallet") return [line(note.error ? `✕ ${note.error}` : `✓ accepted, transaction ${cut(note.answer ?? "", 12)}`), line(`answered after ${(note.seconds * 1000).toFixed(1)} ms`)];
    return [...note.records.map(recordLine), line(frameText(note))];
  }

  showAges() {
    if (!this.message || this.paused || !this.source) return;
    const since = (performance.now() - this.receivedAt) / 1000;
    for (const [step, { age }] of this.cards) {
      const note = this.message.steps[step];
      const seconds = note ? note.age + since : null;
      age.textContent = seconds === null ? "" : `${seconds < 10 ? seconds.toFixed(1) : Math.round(seconds)} s ago`;
      age.classList.toggle("old", seconds > STALE_AGE);
    }
  }
}

/** How the best bid of a frame, a padded integer, became the price of the record. */
function conversion(frame, market) {
  const padded = frame?.raw.match(/"bestBidPrice":"(\d+)"/)?.[1];
  if (!padded || !market) return [];
  return [line(make("mark", { className: "bid", textContent: `best_bid_price = ${padded} / 10**${market.fields.decimal_places}` }))];
}

function quotesLines({ market, position, limit, returned, reason, error }, storeIsNewer) {
  const given = [
    line("quotes(  ", comment(storeIsNewer ? "by now the store has a newer Market" : "Market: get_market_by_id() of the store")),
    indented(...record(market, ["best_bid_price", "best_offer_price"]), ","),
    indented(`open_volume=${position}, max_abs_position=${limit})`),
  ];
  if (error) return [...given, line(`✕ raised ${error}`)];
  if (reason && !returned?.length) return [...given.slice(1), line(`✕ no quote: ${reason}`)];
  return [...given, line("→ returned"), ...(returned ?? []).map((order) => indented(...record(order)))];
}

export function batchLines({ transaction }, quotes) {
  const batch = transaction?.batchMarketInstructions ?? {};
  const { cancellations = [], amendments = [], submissions = [] } = batch;
  const cancelled = cancellations.map((one) => (one.orderId ? `cancel order ${cut(one.orderId, 8)}` : "cancel all orders of the market"));
  return [
    ...cancelled.map((text) => line(text)),
    ...amendments.map((one) => line(`amend ${cut(one.orderId ?? "", 8)}`)),
    ...submissions.map((one) => line(`{"side": "${one.side}", `, make("mark", { className: sideOf(one.side), textContent: `"price": "${one.price}"` }), `, "size": "${one.size}"}`)),
    ...cutLines(submissions, quotes),
  ];
}

/** Say on which sides the batch has less than quotes returned. */
function cutLines(submissions, quotes) {
  const returned = (quotes?.returned ?? []).map(({ fields }) => [fields.side, Math.round(fields.size * 10 ** quotes.market.fields.position_decimal_places)]);
  const sent = submissions.map(({ side, size }) => [side, Number(size)]);
  const total = (orders, side) => orders.filter(([one]) => one === side).reduce((sum, [, size]) => sum + size, 0);
  const sides = ["SIDE_BUY", "SIDE_SELL"].filter((side) => total(sent, side) < total(returned, side));
  return sides.length ? [line(comment(`${sides.length === 2 ? "both sides" : sides[0]} cut, so that the position stays within the limit`))] : [];
}

function recordLine(one) {
  return line(...record(one));
}

/** A record as Python writes it, with the fields that a reader follows. */
function record({ type, fields }, shown = FIELDS[type] ?? Object.keys(fields)) {
  const names = shown.filter((name) => name in fields && fields[name] !== "");
  const side = sideOf(fields.side);
  const parts = names.flatMap((name, index) => {
    const text = `${name}=${String(fields[name]).replace(ID, "$1…")}`;
    const part = name === "price" && side ? [make("mark", { className: side, textContent: text })] : marked(text);
    return index ? [", ", ...part] : part;
  });
  const others = Object.keys(fields).length > names.length ? ", …" : "";
  return [`${type}(`, ...parts, `${others})`];
}

function sideOf(side) {
  return { SIDE_BUY: "bid", SIDE_SELL: "offer" }[side] ?? "";
}

/** Text with its best prices marked, in the colours of the page. */
function marked(text) {
  const parts = text.split(new RegExp(PRICE, "gi"));
  const nodes = [];
  for (let index = 0; index < parts.length; index += 3) {
    nodes.push(parts[index]);
    if (index + 1 < parts.length) nodes.push(make("mark", { className: parts[index + 2].toLowerCase(), textContent: parts[index + 1] }));
  }
  return nodes;
}

function comment(text) {
  return make("span", { className: "comment", textContent: `# ${text}` });
}

function line(...children) {
  return make("p", {}, ...children);
}

function indented(...children) {
  return make("p", { className: "indented" }, ...children);
}

function frameText(note) {
  return cut(note.raw.replace(ID, "$1…"), MAX_FRAME_TEXT);
}

function cut(text, length) {
  return text.length > length ? `${text.slice(0, length)}…` : text;
}
