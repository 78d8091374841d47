// The tables: order book, trades, streams, requests. Each is built again from the newest data.

import { NARROW, byId, cell, clock, fixed, make } from "./format.js";

const MAX_TRADES = 40; // rows
const MAX_REQUESTS = 80; // rows
const MAX_SIZE_DECIMALS = 4; // shown in book and trades
const NARROW_LEVELS = 5; // rows of each side where the book is above the controls: always as many, so that nothing below moves

/** A size with the same number of decimals in every row. */
function sizeText(size, market) {
  return fixed(size, Math.min(market.sizeDecimals, MAX_SIZE_DECIMALS));
}

export function showBook(market, book, party) {
  const largest = Math.max(...[...book.bids, ...book.offers].map(([, size]) => size), 0);
  const rows = (levels, side) => {
    const made = levels.map((level) => bookRow(market, level, side, largest, party));
    if (!NARROW.matches) return made;
    while (made.length < NARROW_LEVELS) made.push(make("tr", {}, make("td", { textContent: "\u00a0", colSpan: 3 })));
    return made.slice(0, NARROW_LEVELS);
  };
  byId("offers").replaceChildren(...rows(book.offers, "offer").reverse());
  byId("bids").replaceChildren(...rows(book.bids, "bid"));
  const [bid, offer] = [book.bids[0]?.[0], book.offers[0]?.[0]];
  byId("spread").textContent = bid && offer ? fixed(offer - bid, market.priceDecimals) : "a side is empty";
}

function bookRow(market, [price, size, own], side, largest, party) {
  const bar = make("i", { className: `bar ${side}` });
  bar.style.width = `${(100 * size) / largest}%`;
  const volume = make("td", { className: "with-bar" }, bar, make("span", { textContent: sizeText(size, market) }));
  const ownSize = cell(own ? `◆ ${sizeText(own, market)}` : "", "own-size");
  if (own) ownSize.title = `${party} has ${own} here`;
  return make("tr", { className: own ? "own" : "" }, cell(fixed(price, market.priceDecimals), side), volume, ownSize);
}

export function showTrades(market, trades, party) {
  const rows = trades.slice(-MAX_TRADES).reverse().map((trade) => {
    const isOwn = party === trade.buyer || party === trade.seller;
    const side = trade.side === "sell" ? "offer" : "bid";
    return make(
      "tr",
      { className: isOwn ? "own" : "" },
      cell(clock(trade.time)),
      cell(`${fixed(trade.price, market.priceDecimals)} ${trade.side === "sell" ? "▼" : "▲"}`, side),
      cell(sizeText(trade.size, market)),
      cell(`${trade.buyer} ← ${trade.seller}`, "names"),
    );
  });
  byId("trade-rows").replaceChildren(...(rows.length ? rows : [emptyRow("No trades yet", 4)]));
}

export function showStreams(streams, names) {
  const headings = ["Party", "From", ...names].map((text) => make("th", { scope: "col", textContent: text }));
  byId("streams-head").replaceChildren(make("tr", {}, ...headings));
  const rows = streams.map((row) =>
    make("tr", {}, make("th", { scope: "row", textContent: row.party || "unknown" }), cell(row.address, "names"), ...names.map((name) => streamCell(row.streams[name]))),
  );
  byId("streams-body").replaceChildren(...(rows.length ? rows : [emptyRow("No open streams", names.length + 2)]));
}

function streamCell(stream) {
  if (!stream) return cell("–", "muted");
  const age = stream.age === null ? "no frame yet" : `${stream.age < 10 ? stream.age.toFixed(1) : Math.round(stream.age)} s ago`;
  const waiting = stream.waiting ? ` · ${stream.waiting} waiting` : "";
  const state = make("span", { className: stream.open ? "open" : "closed", textContent: stream.open ? "● open" : "○ closed" });
  return make("td", { className: stream.open ? "" : "failed" }, state, stream.open ? ` ${stream.rate.toFixed(1)}/s · ${age}${waiting}` : ` · last ${age}`);
}

export function showRequests(requests, filter, party) {
  const selected = requests.filter((request) => filter === "all" || (filter === "failed" ? request.failed : request.party === party));
  const rows = selected.slice(-MAX_REQUESTS).reverse().map((request) => {
    const text = make("td", { className: "request" }, make("b", { textContent: request.kind }), " ", ...breakable(request.text));
    if (request.error) text.append(make("span", { className: "error", textContent: request.error }));
    const status = request.failed ? `✕ ${request.status}` : String(request.status);
    return make("tr", { className: request.failed ? "failed" : "" }, cell(clock(request.time)), cell(request.party || request.address, "names"), text, cell(status), cell(request.milliseconds.toFixed(1)));
  });
  byId("requests-body").replaceChildren(...(rows.length ? rows : [emptyRow("No requests yet", 5)]));
}

/** Text that breaks after punctuation, so that no word of an address is broken. */
function breakable(text) {
  return text.split(/(?<=[?&=/.,])/).flatMap((part, index) => (index ? [make("wbr"), part] : [part]));
}

export function emptyRow(text, columns) {
  return make("tr", {}, make("td", { className: "empty", textContent: text, colSpan: columns }));
}
