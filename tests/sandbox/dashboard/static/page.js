// The page: what is looked at, the connection to the sandbox, and who shows what has come.

import { Charts } from "./charts.js";
import { byId, clock, fixed, gainOrLoss, short, signed } from "./format.js";
import { Panel } from "./panel.js";
import { showBook, showCalls, showRanking, showStreams, showTrades } from "./tables.js";

const PATIENCE = 6000; // milliseconds: the sandbox says something each second; longer silence is a lost connection
const MOST_CALLS = 600;

const chosen = new URLSearchParams(location.search);
const charts = new Charts();
const panel = new Panel();
let setting = null; // markets, parties, controls: of the running sandbox
let common = null; // the newest of what everyone sees
let own = null; // the newest of what belongs to the chosen party and market
let past = { height: -1, rows: [], fills: [], deals: [], calls: [] };
let source = null;
let watchdog = 0;

function connect() {
  source?.close();
  source = new EventSource(`/page/events?${new URLSearchParams({ party: chosen.get("party") ?? "", market: chosen.get("market") ?? "" })}`);
  source.addEventListener("all", (event) => receive(JSON.parse(event.data)));
  source.addEventListener("news", (event) => receive(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    sayLost();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000); // otherwise the browser comes back by itself
  });
  awaitNews();
}

function awaitNews() {
  clearTimeout(watchdog);
  watchdog = setTimeout(() => {
    sayLost();
    connect();
  }, PATIENCE);
}

function sayLost() {
  say("Connection lost. Trying again …", "lost");
}

function say(text, kind) {
  const status = byId("connection");
  if (status.textContent !== text) status.textContent = text; // or it would be read out each second
  status.className = `pill ${kind}`;
  document.body.classList.toggle("stale", kind === "lost");
}

function receive(message) {
  awaitNews();
  if (message.setting) begin(message.setting);
  if (!setting) return;
  common = message.common;
  own = message.own;
  const fresh = (one) => one.height > past.height;
  const oldest = common.time - setting.span;
  past.rows = [...past.rows, ...own.rows.filter((row) => row[0] > past.height)].slice(-setting.span);
  past.fills = [...past.fills, ...own.fills.filter(fresh)].filter((fill) => fill.time > oldest);
  past.deals = [...past.deals, ...own.deals.filter(fresh)].slice(-100);
  past.height = common.height;
  const known = past.calls.at(-1)?.number ?? 0;
  past.calls = [...past.calls, ...common.calls.map(readCall).filter((call) => call.number > known)].slice(-MOST_CALLS);
  say("Live", "live");
  show();
}

function readCall([number, time, kind, address, party, text, status, milliseconds, answer]) {
  return { number, time, kind, address, party, text, status, milliseconds, answer, failed: status >= 400 };
}

/** Start from nothing: at the first connection, after each lost one, and for another party or market. */
function begin(news) {
  setting = news;
  past = { height: -1, rows: [], fills: [], deals: [], calls: [] };
  fill("market", [["", setting.markets.map((market) => [market.name, market.id])]], setting.market);
  fill("party", [["Parties", setting.parties.map((name) => [name, name])], ["Built-in traders", setting.traders.map((name) => [name, name])]], setting.party);
  for (const place of document.querySelectorAll(".party-name")) place.textContent = setting.party;
  byId("own-title").textContent = setting.party;
  byId("profit-unit").textContent = ` in ${market().asset}`;
  panel.show(setting);
  charts.show(market(), setting.party, setting.span);
}

function fill(id, groups, value) {
  const select = byId(id);
  const wanted = JSON.stringify(groups);
  if (select.dataset.options !== wanted) {
    select.dataset.options = wanted;
    const options = groups.map(([label, entries]) => {
      const made = entries.map(([text, key]) => new Option(text, key));
      if (!label) return made;
      const group = document.createElement("optgroup");
      group.label = label;
      group.append(...made);
      return [group];
    });
    select.replaceChildren(...options.flat());
  }
  select.value = value;
}

function market() {
  return setting.markets.find((one) => one.id === setting.market);
}

function show() {
  const now = common.markets[setting.market];
  byId("height").textContent = common.height;
  byId("time").textContent = clock(common.time);
  byId("state").textContent = inWords(now);
  panel.list(common.faults);
  if (isRanking()) {
    showRanking(market(), now.ranking, setting.parties, common.streams, setting.streams);
    return;
  }
  showFigures(now);
  charts.update(past.rows, past.fills);
  showBook(market(), own.book, setting.party);
  showTrades(market(), past.deals, setting.party);
  showStreams(common.streams, setting.streams);
  showCalls(past.calls, byId("calls-filter").value, setting.party);
}

/** State and trading mode; where both are the same word, or as they should be, that once. */
function inWords({ state, mode }) {
  if (state === "ACTIVE" && mode === "CONTINUOUS") return "Active";
  return [...new Set([state, mode])].join(" · ").replaceAll("_", " ").toLowerCase();
}

function showFigures(now) {
  const { priceDecimals, sizeDecimals, asset } = market();
  const row = past.rows.at(-1);
  const rank = now.ranking.find((one) => one.party === setting.party);
  const orders = [...own.book.bids, ...own.book.offers].filter((level) => level[2]).length;
  byId("own-position").textContent = row ? short(row[6], sizeDecimals) : "–";
  const profit = row ? signed(row[7]) : "–";
  byId("own-profit").textContent = row ? `${profit} ${asset}` : profit;
  byId("own-profit").className = gainOrLoss(profit);
  byId("own-entry").textContent = fixed(own.entry, priceDecimals);
  byId("own-orders").textContent = rank?.orders ?? orders;
  byId("own-fills").textContent = rank?.fills ?? past.fills.length;
  byId("best-bid").textContent = fixed(now.bid, priceDecimals);
  byId("best-offer").textContent = fixed(now.offer, priceDecimals);
}

function isRanking() {
  return chosen.get("view") === "ranking";
}

/** Keep what is looked at in the address, so that it can be bookmarked and handed on. */
function choose(name, value) {
  chosen.set(name, value);
  history.replaceState(null, "", `?${chosen}`);
}

function showView() {
  const ranking = isRanking();
  byId("market-view").hidden = ranking;
  byId("ranking-view").hidden = !ranking;
  byId("view-market").setAttribute("aria-pressed", String(!ranking));
  byId("view-ranking").setAttribute("aria-pressed", String(ranking));
  if (common) show();
}

for (const name of ["market", "party"]) {
  byId(name).addEventListener("change", (event) => {
    choose(name, event.target.value);
    connect();
  });
}
for (const view of ["market", "ranking"]) {
  byId(`view-${view}`).addEventListener("click", () => {
    choose("view", view);
    showView();
  });
}
byId("calls-filter").addEventListener("change", () => common && show());
showView();
connect();
