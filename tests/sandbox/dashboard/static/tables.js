// The tables: book, trades, streams, calls, ranking. Each is made anew from what came last.

import { byId, cell, clock, decimalsOf, fixed, gainOrLoss, grouped, make, moneyDecimals, signed } from "./format.js";

const MOST_TRADES = 40;
const MOST_CALLS = 80;
const PER_COLUMN = 16; // rows of the ranking before it is in two columns

/** A size with the same number of digits in every row; four behind the point are enough to look at. */
function sized(size, market) {
  return fixed(size, Math.min(market.sizeDecimals, 4));
}

export function showBook(market, book, party) {
  const largest = Math.max(...[...book.bids, ...book.offers].map(([, size]) => size), 0);
  const rows = (levels, side) => levels.map((level) => bookRow(market, level, side, largest, party));
  byId("offers").replaceChildren(...rows(book.offers, "offer").reverse());
  byId("bids").replaceChildren(...rows(book.bids, "bid"));
  const [bid, offer] = [book.bids[0]?.[0], book.offers[0]?.[0]];
  byId("spread").textContent = bid && offer ? fixed(offer - bid, market.priceDecimals) : "a side is empty";
}

function bookRow(market, [price, size, own], side, largest, party) {
  const bar = make("i", { className: `bar ${side}` });
  bar.style.width = `${(100 * size) / largest}%`;
  const volume = make("td", { className: "sized" }, bar, make("span", { textContent: sized(size, market) }));
  const mine = cell(own ? `◆ ${sized(own, market)}` : "", "mine");
  if (own) mine.title = `${party} has ${own} here`;
  return make("tr", { className: own ? "own" : "" }, cell(fixed(price, market.priceDecimals), side), volume, mine);
}

export function showTrades(market, deals, party) {
  const rows = deals.slice(-MOST_TRADES).reverse().map((deal) => {
    const own = party === deal.buyer || party === deal.seller;
    const side = deal.side === "sell" ? "offer" : "bid";
    return make(
      "tr",
      { className: own ? "own" : "" },
      cell(clock(deal.time)),
      cell(`${fixed(deal.price, market.priceDecimals)} ${deal.side === "sell" ? "▼" : "▲"}`, side),
      cell(sized(deal.size, market)),
      cell(`${deal.buyer} ← ${deal.seller}`, "names"),
    );
  });
  byId("deals").replaceChildren(...(rows.length ? rows : [nothing("No trade yet", 4)]));
}

export function showStreams(streams, names) {
  const heads = ["Party", "From", ...names].map((text) => make("th", { scope: "col", textContent: text }));
  byId("streams-head").replaceChildren(make("tr", {}, ...heads));
  const rows = streams.map((row) =>
    make("tr", {}, make("th", { scope: "row", textContent: row.party || "unknown" }), cell(row.address, "names"), ...names.map((name) => streamCell(row.streams[name]))),
  );
  byId("streams-body").replaceChildren(...(rows.length ? rows : [nothing("Nobody follows a stream", names.length + 2)]));
}

function streamCell(stream) {
  if (!stream) return cell("–", "quiet");
  const age = stream.age === null ? "no frame yet" : `${stream.age < 10 ? stream.age.toFixed(1) : Math.round(stream.age)} s ago`;
  const waiting = stream.waiting ? ` · ${stream.waiting} waiting` : "";
  const dot = make("span", { className: stream.open ? "on" : "off", textContent: stream.open ? "● open" : "○ closed" });
  return make("td", { className: stream.open ? "" : "failed" }, dot, stream.open ? ` ${stream.rate.toFixed(1)}/s · ${age}${waiting}` : ` · last ${age}`);
}

export function showCalls(calls, filter, party) {
  const chosen = calls.filter((call) => filter === "all" || (filter === "failed" ? call.failed : call.party === party));
  const rows = chosen.slice(-MOST_CALLS).reverse().map((call) => {
    const text = make("td", { className: "call" }, make("b", { textContent: call.kind }), ` ${call.text}`);
    if (call.answer) text.append(make("span", { className: "answer", textContent: call.answer }));
    const status = call.failed ? `✕ ${call.status}` : String(call.status);
    return make("tr", { className: call.failed ? "failed" : "" }, cell(clock(call.time)), cell(call.party || call.address, "names"), text, cell(status), cell(call.milliseconds.toFixed(1)));
  });
  byId("calls-body").replaceChildren(...(rows.length ? rows : [nothing("No such call yet", 5)]));
}

export function showRanking(market, ranking, parties, streams, names) {
  const rows = rankRows(market, ranking, streams, names);
  const height = rows.length > PER_COLUMN ? Math.ceil(rows.length / 2) : Math.max(rows.length, 1);
  const tables = [];
  for (let start = 0; start < rows.length || !start; start += height) tables.push(rankTable(market, rows.slice(start, start + height), start));
  byId("ranking").replaceChildren(...tables);
  byId("ranking").className = tables.length > 1 ? "columns" : "";
  byId("ranking").style.setProperty("--rows", height); // all of them fit on the screen
  const idle = parties.filter((party) => !ranking.some((row) => row.party === party));
  byId("idle").textContent = idle.length ? `Not there yet: ${idle.join(", ")}` : "Everybody trades.";
}

function rankTable(market, rows, start) {
  const heads = ["", "Party", `PnL in ${market.asset}`, "Position", "Orders", "Fills", "Streams"].map((text) => make("th", { scope: "col", textContent: text || "#" }));
  const caption = make("caption", { className: "unseen", textContent: `Ranking by PnL, from place ${start + 1}` });
  return make("table", {}, caption, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...(rows.length ? rows : [nothing("Nobody trades here yet", 7)])));
}

/** A row for each party, with the same decimals down each column. */
function rankRows(market, ranking, streams, names) {
  const money = moneyDecimals(Math.max(0, ...ranking.map((row) => Math.abs(row.profit))));
  const size = Math.max(0, ...ranking.map((row) => decimalsOf(row.position, market.sizeDecimals)));
  return ranking.map((row, index) => {
    const open = names.filter((name) => streams.some((one) => one.party === row.party && one.streams[name]?.open)).length;
    const profit = signed(row.profit, money);
    return make(
      "tr",
      {},
      cell(String(index + 1), "place"),
      make("th", { scope: "row", textContent: row.party }),
      cell(profit, gainOrLoss(profit)),
      cell(grouped(row.position, size)),
      cell(String(row.orders)),
      cell(String(row.fills)),
      cell(`${open} of ${names.length}`, open === names.length || !open ? "" : "loss"),
    );
  });
}

function nothing(text, columns) {
  return make("tr", {}, make("td", { className: "nothing", textContent: text, colSpan: columns }));
}
