// The page: what is selected, the connection to the sandbox, and the data that the other modules show.

import { Charts } from "./charts.js";
import { NARROW, byId, clock, fixed, gainOrLoss, short, signed, timeLeft } from "./format.js";
import { Inside } from "./inside.js";
import { Panel } from "./panel.js";
import { Ranking } from "./ranking.js";
import { showBook, showRequests, showStreams, showTrades } from "./tables.js";

const SILENCE_TIMEOUT = 6000; // ms. The sandbox sends an update every second; without one the connection is taken as lost.
const MAX_REQUESTS = 600;
const MAX_TRADES = 100;
const VIEWS = ["market", "ranking", "inside"];

const selection = new URLSearchParams(location.search);
const charts = new Charts();
const panel = new Panel();
const inside = new Inside();
const ranking = new Ranking(() => shared && show());
let config = null; // markets, parties, controls of the running sandbox
let shared = null; // the newest data that all pages show
let own = null; // the newest data of the selected party and market
let history = emptyHistory();
let source = null;
let silenceTimer = 0;

function emptyHistory() {
  return { height: -1, rows: [], fills: [], trades: [], requests: [] };
}

function connect() {
  source?.close();
  source = new EventSource(`/page/events?${new URLSearchParams({ party: selection.get("party") ?? "", market: selection.get("market") ?? "" })}`);
  source.addEventListener("snapshot", (event) => receive(JSON.parse(event.data)));
  source.addEventListener("update", (event) => receive(JSON.parse(event.data)));
  source.addEventListener("error", () => {
    showDisconnected();
    if (source.readyState === EventSource.CLOSED) setTimeout(connect, 1000); // in other states the browser reconnects by itself
  });
  restartSilenceTimer();
}

function restartSilenceTimer() {
  clearTimeout(silenceTimer);
  silenceTimer = setTimeout(() => {
    showDisconnected();
    connect();
  }, SILENCE_TIMEOUT);
}

function showDisconnected() {
  showConnection("Connection lost. Reconnecting …", "disconnected");
}

function showConnection(text, state) {
  const element = byId("connection");
  if (element.textContent !== text) element.textContent = text; // only changes, because screen readers announce each one
  element.className = `pill ${state}`;
  document.body.classList.toggle("stale", state === "disconnected");
}

function receive(message) {
  restartSilenceTimer();
  if (message.config) start(message.config);
  if (!config) return;
  shared = message.shared;
  own = message.own;
  const isNew = (record) => record.height > history.height;
  const begin = shared.time - config.historyLength;
  history.rows = [...history.rows, ...own.rows.filter((row) => row[0] > history.height)].slice(-config.historyLength);
  history.fills = [...history.fills, ...own.fills.filter(isNew)].filter((fill) => fill.time > begin);
  history.trades = [...history.trades, ...own.trades.filter(isNew)].slice(-MAX_TRADES);
  history.height = shared.height;
  const lastNumber = history.requests.at(-1)?.number ?? 0;
  history.requests = [...history.requests, ...shared.requests.map(readRequest).filter((request) => request.number > lastNumber)].slice(-MAX_REQUESTS);
  showConnection("Live", "live");
  show();
}

function readRequest([number, time, kind, address, party, text, status, milliseconds, error]) {
  return { number, time, kind, address, party, text, status, milliseconds, error, failed: status >= 400 };
}

/** Start with empty data: at the first connection, after a reconnect, and for another party or market. */
function start(newConfig) {
  config = newConfig;
  history = emptyHistory();
  fillSelect("market", [["", config.markets.map((market) => [market.name, market.id])]], config.market);
  byId("pnl-unit").textContent = ` in ${market().asset}`;
  panel.show(config);
  charts.show(market(), config.party, config.historyLength);
}

function fillSelect(id, groups, value) {
  const select = byId(id);
  const options = JSON.stringify(groups);
  if (select.dataset.options !== options) {
    select.dataset.options = options;
    const elements = groups.map(([label, entries]) => {
      const children = entries.map(([text, key]) => new Option(text, key));
      if (!label) return children;
      const group = document.createElement("optgroup");
      group.label = label;
      group.append(...children);
      return [group];
    });
    select.replaceChildren(...elements.flat());
  }
  select.value = value;
}

/** The list of parties, with the names that people have chosen. */
function showNames() {
  const title = (party) => (shared.names[party] ? `${party} · ${shared.names[party]}` : party);
  fillSelect("party", config.partyGroups.map(([label, parties]) => [label, parties.map((party) => [title(party), party])]), config.party);
  byId("own-title").textContent = title(config.party);
  for (const element of document.querySelectorAll(".party-name")) if (element.textContent !== config.party) element.textContent = config.party;
}

/** Without a selected party, the page shows the first one that quotes, also where it starts to quote later. */
function followFirstActive(active) {
  if (selection.get("party") || active.some((row) => row.party === config.party)) return;
  const listed = config.partyGroups.flatMap(([, parties]) => parties);
  if (active.some((row) => listed.includes(row.party))) connect(); // the sandbox chooses it
}

function market() {
  return config.markets.find((candidate) => candidate.id === config.market);
}

function show() {
  const current = shared.markets[config.market];
  byId("height").textContent = shared.height;
  byId("time").textContent = clock(shared.time);
  byId("state").textContent = stateText(current);
  byId("round-fact").hidden = !shared.round;
  byId("round").textContent = roundText(shared.round, shared.time);
  showNames();
  panel.showFaults(shared.faults);
  followFirstActive(current.ranking);
  if (currentView() === "ranking") ranking.show(market(), current.ranking, shared, config);
  if (currentView() !== "market") return;
  showFigures(current);
  charts.update(history.rows, history.fills);
  showBook(market(), own.book, config.party);
  showTrades(market(), history.trades, config.party);
  showStreams(shared.streams, config.streams);
  showRequests(history.requests, byId("requests-filter").value, config.party);
}

/** “2 · 4:05 left”; “2 · ended” */
function roundText(round, now) {
  return round ? `${round.number} · ${round.running ? timeLeft(round, now) : "ended"}` : "–";
}

/** State and trading mode. The usual pair is “Active”; where both have the same name, it is shown once. */
function stateText({ state, mode }) {
  if (state === "ACTIVE" && mode === "CONTINUOUS") return "Active";
  return [...new Set([state, mode])].join(" · ").replaceAll("_", " ").toLowerCase();
}

function showFigures(current) {
  const { priceDecimals, sizeDecimals, asset } = market();
  const row = history.rows.at(-1);
  const ranked = current.ranking.find((entry) => entry.party === config.party);
  const orders = [...own.book.bids, ...own.book.offers].filter((level) => level[2]).length;
  byId("own-position").textContent = row ? short(row[6], sizeDecimals) : "–";
  const pnl = row ? signed(row[7]) : "–";
  byId("own-pnl").textContent = row ? `${pnl} ${asset}` : pnl;
  byId("own-pnl").className = gainOrLoss(pnl);
  byId("own-entry-price").textContent = fixed(own.entryPrice, priceDecimals);
  byId("own-orders").textContent = ranked?.orders ?? orders;
  byId("own-fills").textContent = ranked?.fills ?? history.fills.length;
  byId("best-bid").textContent = fixed(current.bid, priceDecimals);
  byId("best-offer").textContent = fixed(current.offer, priceDecimals);
}

function currentView() {
  return VIEWS.find((view) => view === selection.get("view")) ?? "market";
}

/** Keep the selection in the address, so that it can be bookmarked and shared. */
function select(name, value) {
  selection.set(name, value);
  window.history.replaceState(null, "", `?${selection}`);
}

function showView() {
  const shown = currentView();
  document.body.classList.toggle("projector", shown !== "market");
  for (const view of VIEWS) {
    byId(`${view}-view`).hidden = view !== shown;
    byId(`view-${view}`).setAttribute("aria-pressed", String(view === shown));
  }
  inside.setActive(shown === "inside");
  if (shared) show();
}

for (const name of ["market", "party"]) {
  byId(name).addEventListener("change", (event) => {
    select(name, event.target.value);
    connect();
  });
}
for (const view of VIEWS) {
  byId(`view-${view}`).addEventListener("click", () => {
    select("view", view);
    showView();
  });
}
byId("requests-filter").addEventListener("change", () => shared && show());
NARROW.addEventListener("change", () => shared && show());
showView();
connect();
