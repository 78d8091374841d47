// The two charts, on uPlot: prices with the party's quotes and fills, and below them its position and PnL.

import { byId, clock, fixed, short, signed } from "./format.js";

const AXIS = 4; // rem left and right, the same in both charts, so that times stand above each other
const MARK = 0.32; // rem: half the width of a fill's triangle

export class Charts {
  constructor() {
    this.rows = [];
    this.fills = [];
    this.market = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    this.observer = new ResizeObserver(() => this.resize());
    for (const id of ["price-chart", "profit-chart"]) this.observer.observe(byId(id));
  }

  /** Begin anew for a market and a party. */
  show(market, party, span) {
    [this.market, this.party, this.span] = [market, party, span];
    this.build();
  }

  update(rows, fills) {
    [this.rows, this.fills] = [rows, fills];
    this.prices?.setData(this.priceData());
    this.profits?.setData(this.profitData());
    this.describe();
  }

  build() {
    if (!this.market) return;
    this.colours = colours();
    this.rem = rem();
    this.prices?.destroy();
    this.profits?.destroy();
    this.prices = new uPlot(this.priceOptions(), this.priceData(), byId("price-chart"));
    this.profits = new uPlot(this.profitOptions(), this.profitData(), byId("profit-chart"));
  }

  resize() {
    if (this.rem !== rem()) this.build(); // a window on another screen has letters of another size
    this.prices?.setSize(size("price-chart"));
    this.profits?.setSize(size("profit-chart"));
  }

  priceData() {
    return [1, 2, 3, 4, 5].map((field) => this.rows.map((row) => row[field]));
  }

  profitData() {
    return [1, 6, 7].map((field) => this.rows.map((row) => row[field]));
  }

  priceOptions() {
    const { bid, offer, band } = this.colours;
    const line = (stroke, width) => ({ stroke, width, paths: uPlot.paths.stepped({ align: 1 }), points: { show: false } });
    return {
      ...this.options("price-chart"),
      series: [{}, line(bid, 1.25), line(offer, 1.25), line(bid, 3.5), line(offer, 3.5)],
      bands: [{ series: [2, 1], fill: band }],
      scales: { x: this.timeScale(), y: { range: (plot) => this.priceRange(plot) } },
      axes: [this.timeAxis(), this.axis({ values: (_, ticks) => ticks.map((tick) => fixed(tick, this.decimals())) }), this.emptyAxis()],
      hooks: { draw: [(plot) => this.drawFills(plot)], setCursor: [(plot) => this.read(plot)] },
    };
  }

  profitOptions() {
    const { position, area, profit } = this.colours;
    const stepped = uPlot.paths.stepped({ align: 1 });
    return {
      ...this.options("profit-chart"),
      series: [
        {},
        { scale: "position", stroke: position, fill: area, width: 1.5, paths: stepped, points: { show: false } },
        { scale: "profit", stroke: profit, width: 2.25, points: { show: false } },
      ],
      scales: { x: this.timeScale(), position: { range: aroundZero }, profit: { range: aroundZero } },
      axes: [
        this.timeAxis(),
        this.axis({ scale: "position", label: "Position", labelSize: this.rem, size: (AXIS - 1) * this.rem, values: (_, ticks) => ticks.map((tick) => short(tick, 6)) }),
        this.axis({ scale: "profit", side: 1, label: "PnL", labelSize: this.rem, size: (AXIS - 1) * this.rem, grid: { show: false }, values: (_, ticks) => ticks.map((tick) => short(tick, 6)) }),
      ],
      hooks: { setCursor: [(plot) => this.read(plot)] },
    };
  }

  options(id) {
    return { ...size(id), padding: [id === "price-chart" ? 1.4 * this.rem : 0.5 * this.rem, 0, 0, 0], legend: { show: false }, cursor: { sync: { key: "time" }, drag: { x: false, y: false }, points: { show: false } } };
  }

  timeScale() {
    return { time: true, range: () => [this.end() - this.span, this.end()] };
  }

  timeAxis() {
    return this.axis({ scale: "x", size: 1.7 * this.rem, space: 5 * this.rem, values: (_, ticks) => ticks.map((tick) => clock(tick).slice(0, tick % 60 ? 8 : 5)) });
  }

  axis(options) {
    const { text, grid } = this.colours;
    const font = `${0.75 * this.rem}px system-ui, sans-serif`;
    return { stroke: text, size: AXIS * this.rem, font, labelFont: font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, ...options };
  }

  emptyAxis() {
    return this.axis({ side: 1, grid: { show: false }, values: () => [] });
  }

  end() {
    return this.rows.length ? this.rows[this.rows.length - 1][1] : Date.now() / 1000;
  }

  decimals() {
    return Math.min(this.market.priceDecimals, 3);
  }

  priceRange() {
    const prices = [...this.rows.flatMap((row) => row.slice(2, 6)), ...this.fills.map((fill) => fill.price)].filter((price) => price !== null);
    if (!prices.length) return [0, 1];
    const low = Math.min(...prices);
    const high = Math.max(...prices);
    const room = (high - low || high * 0.001) * 0.08;
    return [low - room, high + room];
  }

  /** A triangle for each fill: up where the party bought, down where it sold. */
  drawFills(plot) {
    const { ctx } = plot;
    const { bid, offer, paper } = this.colours;
    const half = MARK * this.rem * devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.strokeStyle = paper;
    for (const fill of this.fills) {
      const bought = fill.buyer === this.party;
      const [x, y] = [plot.valToPos(fill.time, "x", true), plot.valToPos(fill.price, "y", true)];
      const tip = bought ? -half : half;
      ctx.fillStyle = bought ? bid : offer;
      ctx.beginPath();
      ctx.moveTo(x, y + tip);
      ctx.lineTo(x + half, y - tip);
      ctx.lineTo(x - half, y - tip);
      ctx.closePath();
      ctx.stroke();
      ctx.fill();
    }
    ctx.restore();
  }

  /** Say in figures what is under the pointer. */
  read(plot) {
    const row = this.rows[plot.cursor.idx];
    byId("readout").textContent = row && plot.cursor.left >= 0 ? `${clock(row[1])} · block ${row[0]} · ${this.words(row)}` : "";
  }

  words(row) {
    const price = (number) => (number === null ? "none" : fixed(number, this.market.priceDecimals));
    return `bid ${price(row[2])} · offer ${price(row[3])} · position ${short(row[6], 6)} · PnL ${signed(row[7])}`;
  }

  /** What the charts show, for those who hear the page. */
  describe() {
    const row = this.rows[this.rows.length - 1];
    if (!row) return;
    byId("price-chart").setAttribute("aria-label", `Price of ${this.market.name} over ${this.rows.length} blocks, with the quotes and ${this.fills.length} fills of ${this.party}. Last: ${this.words(row)}`);
    byId("profit-chart").setAttribute("aria-label", `Position and PnL of ${this.party} over ${this.rows.length} blocks. Last: position ${short(row[6], 6)}, PnL ${signed(row[7])} ${this.market.asset}`);
  }
}

function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function size(id) {
  const { clientWidth, clientHeight } = byId(id);
  return { width: clientWidth, height: clientHeight };
}

/** A range with zero in it, and some room where nothing happens. */
function aroundZero(_plot, low, high) {
  const [bottom, top] = [Math.min(low ?? 0, 0), Math.max(high ?? 0, 0)];
  const room = (top - bottom || 1) * 0.1;
  return [bottom - room, top + room];
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["bid", "offer", "band", "position", "area", "profit", "text", "grid", "paper"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
