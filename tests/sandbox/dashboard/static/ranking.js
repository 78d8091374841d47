// The ranking, made for a projector: the running round, or the results of a finished one.

import { NARROW, byId, cell, clock, decimalsOf, gainOrLoss, grouped, make, moneyDecimals, signed, timeLeft } from "./format.js";
import { emptyRow } from "./tables.js";

const MAX_ROWS_PER_TABLE = 15; // with more rows there are two tables side by side, except on narrow screens
const MEASURING_SIZE = 10; // px, the font size at which the width of a table is measured
const GAP = 2; // em between two tables

export class Ranking {
  /** `onChange` is called when other data are selected or have arrived. */
  constructor(onChange) {
    this.onChange = onChange;
    this.rounds = []; // the finished ones
    this.requested = 0; // number of finished rounds for which the results were requested
    this.choice = "auto";
    byId("round-select").addEventListener("change", (event) => {
      this.choice = event.target.value;
      onChange();
    });
  }

  show(market, rows, shared, config) {
    if (shared.finishedRounds !== this.requested) this.fetchRounds(shared.finishedRounds);
    this.fillSelect();
    const finished = this.selectedRound(shared.round);
    byId("ranking-title").textContent = finished ? `Round ${finished.number}: results` : shared.round ? `Round ${shared.round.number}` : "Ranking";
    byId("round-clock").textContent = clockText(finished ?? shared.round, !finished && shared.round?.running, shared.time);
    const inactive = config.expected.filter((party) => !rows.some((row) => row.party === party));
    byId("inactive").textContent = inactive.length && !finished ? `No orders yet: ${inactive.map((party) => shared.names[party] ?? party).join(", ")}` : "";
    const results = finished ? (finished.results[market.id] ?? []).map((result) => ({ ...result, largestPosition: result.largest_position })) : rows;
    this.showTables(market, results, finished ? null : { streams: shared.streams, names: config.streams }, shared.names);
  }

  async fetchRounds(count) {
    this.requested = count;
    try {
      this.rounds = count ? await (await fetch("/page/rounds.json")).json() : [];
      this.onChange();
    } catch {
      this.requested = -1; // the next update tries again
    }
  }

  fillSelect() {
    const select = byId("round-select");
    const options = ["auto", "live", ...this.rounds.map((round) => String(round.number))];
    if (select.dataset.options === options.join()) return;
    select.dataset.options = options.join();
    const title = { auto: "automatic", live: "live" };
    select.replaceChildren(...options.map((value) => new Option(title[value] ?? `round ${value}`, value)));
    if (!options.includes(this.choice)) this.choice = "auto";
    select.value = this.choice;
    byId("round-choice").hidden = !this.rounds.length;
  }

  /** The finished round to show; null for the live ranking. Automatic shows the last results until the next round starts. */
  selectedRound(current) {
    if (this.choice === "live") return null;
    if (this.choice !== "auto") return this.rounds.find((round) => String(round.number) === this.choice) ?? null;
    return current && !current.running ? (this.rounds.find((round) => round.number === current.number) ?? null) : null;
  }

  showTables(market, results, live, names) {
    const rows = rankingRows(market, results, live, names);
    const height = rows.length > MAX_ROWS_PER_TABLE && !NARROW.matches ? Math.ceil(rows.length / 2) : Math.max(rows.length, 1);
    const tables = [];
    for (let start = 0; start < rows.length || !start; start += height) {
      const table = rankingTable(market, rows.slice(start, start + height), start, live);
      table.style.setProperty("--own-rows", Math.max(1, Math.min(height, rows.length - start)));
      tables.push(table);
    }
    const element = byId("ranking");
    element.replaceChildren(...tables);
    element.className = tables.length > 1 ? "two" : "";
    element.style.setProperty("--rows", height); // the font is as large as height and width of the screen allow
    element.classList.add("measuring");
    const widest = Math.max(...tables.map((table) => table.offsetWidth)) / MEASURING_SIZE;
    element.classList.remove("measuring");
    element.style.setProperty("--width", tables.length * (widest + GAP));
  }
}

function clockText(round, running, now) {
  if (!round) return "";
  return running ? timeLeft(round, now) : `ended at ${clock(round.end)} chain time`;
}

function rankingTable(market, rows, start, live) {
  const headings = ["#", "Name", "Score", `PnL in ${market.asset}`, "Largest position", "Fills", ...(live ? ["Position", "Streams"] : [])];
  const caption = make("caption", { className: "visually-hidden", textContent: `Ranking by score, from rank ${start + 1}` });
  const head = make("thead", {}, make("tr", {}, ...headings.map((text) => make("th", { scope: "col", textContent: text }))));
  return make("table", {}, caption, head, make("tbody", {}, ...(rows.length ? rows : [emptyRow("No party trades here yet", headings.length)])));
}

/** A row for each party, with the same number of decimals in each column. */
function rankingRows(market, results, live, names) {
  const decimals = moneyDecimals(Math.max(0, ...results.flatMap((row) => [Math.abs(row.pnl), Math.abs(row.score)])));
  const sizes = results.flatMap((row) => [row.largestPosition, row.position ?? 0]);
  const sizeDecimals = Math.max(0, ...sizes.map((size) => decimalsOf(size, market.sizeDecimals)));
  return results.map((row, index) => {
    const [pnl, score] = [signed(row.pnl, decimals), signed(row.score, decimals)];
    const name = row.name && row.name !== row.party ? row.name : names[row.party];
    const title = name ? [name, " ", make("small", { textContent: row.party })] : [row.party];
    return make(
      "tr",
      {},
      cell(String(index + 1), "rank"),
      make("th", { scope: "row" }, ...title),
      cell(score, gainOrLoss(score)),
      cell(pnl, gainOrLoss(pnl)),
      cell(grouped(row.largestPosition, sizeDecimals)),
      cell(String(row.fills)),
      ...(live ? [cell(grouped(row.position, sizeDecimals)), streamsCell(row.party, live)] : []),
    );
  });
}

function streamsCell(party, { streams, names }) {
  const open = names.filter((name) => streams.some((entry) => entry.party === party && entry.streams[name]?.open)).length;
  return cell(`${open} of ${names.length}`, open === names.length || !open ? "" : "loss");
}
