// Two charts, drawn by uPlot: prices with the party's quotes and fills, and below it the party's position and PnL.

import { byId, clock, decimalsOf, fixed, grouped, short, signed } from "./format.js";

const MIN_AXIS_WIDTH = 3; // rem, with the label
const MAX_TICK_DECIMALS = 8;
const MIN_TIME_RANGE = 30; // seconds on the time axis
const FILL_RADIUS = 0.32; // rem, half the width of a fill's triangle

export class Charts {
  constructor() {
    this.rows = [];
    this.fills = [];
    this.market = null;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.build());
    this.observer = new ResizeObserver(() => this.resize());
    for (const id of ["price-chart", "pnl-chart"]) this.observer.observe(byId(id));
  }

  /** Start again for a market and a party; the time axis covers `historyLength` seconds. */
  show(market, party, historyLength) {
    [this.market, this.party, this.historyLength] = [market, party, historyLength];
    this.build();
  }

  update(rows, fills) {
    [this.rows, this.fills] = [rows, fills];
    byId("no-prices").hidden = this.shownPrices().length > 0;
    this.priceChart?.setData(this.priceData());
    this.pnlChart?.setData(this.pnlData());
    this.describe();
  }

  build() {
    if (!this.market) return;
    this.colours = colours();
    this.rem = rem();
    this.axisWidths = { left: MIN_AXIS_WIDTH * this.rem, right: MIN_AXIS_WIDTH * this.rem };
    this.priceChart?.destroy();
    this.pnlChart?.destroy();
    this.priceChart = new uPlot(this.priceOptions(), this.priceData(), byId("price-chart"));
    this.pnlChart = new uPlot(this.pnlOptions(), this.pnlData(), byId("pnl-chart"));
  }

  resize() {
    if (this.rem !== rem()) this.build(); // another screen can have another font size
    this.priceChart?.setSize(size("price-chart"));
    this.pnlChart?.setSize(size("pnl-chart"));
  }

  priceData() {
    return [1, 2, 3, 4, 5].map((field) => this.rows.map((row) => row[field]));
  }

  pnlData() {
    return [1, 6, 7].map((field) => this.rows.map((row) => row[field]));
  }

  priceOptions() {
    const { bid, offer } = this.colours;
    const line = (stroke, width) => ({ stroke, width, paths: steps, points: { show: false } });
    return {
      ...this.options("price-chart"),
      series: [{}, line(bid, 1.25), line(offer, 1.25), line(bid, 3.5), line(offer, 3.5)],
      scales: { x: this.timeScale(), y: { range: (plot) => this.priceRange(plot) } },
      axes: [this.timeAxis(), this.axis({ size: this.fit("left"), values: (...args) => (this.shownPrices().length ? tickLabels(fixed, ...args) : []) }), this.emptyAxis()],
      hooks: { drawAxes: [(plot) => this.drawBand(plot)], draw: [(plot) => this.drawFills(plot)], setCursor: [(plot) => this.showReadout(plot)] },
    };
  }

  pnlOptions() {
    const { position, area, pnl } = this.colours;
    const stepped = uPlot.paths.stepped({ align: 1 });
    return {
      ...this.options("pnl-chart"),
      series: [
        {},
        { scale: "position", stroke: position, fill: area, width: 1.5, paths: stepped, points: { show: false } },
        { scale: "pnl", stroke: pnl, width: 2.25, points: { show: false } },
      ],
      scales: { x: this.timeScale(), position: { range: aroundZero }, pnl: { range: aroundZero } },
      axes: [
        this.timeAxis(),
        this.axis({ scale: "position", label: "Position", labelSize: this.rem, size: this.fit("left", this.rem), values: (...args) => tickLabels(grouped, ...args) }),
        this.axis({ scale: "pnl", side: 1, label: "PnL", labelSize: this.rem, size: this.fit("right", this.rem), grid: { show: false }, values: (...args) => tickLabels(grouped, ...args) }),
      ],
      hooks: { setCursor: [(plot) => this.showReadout(plot)] },
    };
  }

  options(id) {
    return { ...size(id), padding: [id === "price-chart" ? 1.4 * this.rem : 0.5 * this.rem, 0, 0, 0], legend: { show: false }, cursor: { sync: { key: "time" }, drag: { x: false, y: false }, points: { show: false } } };
  }

  timeScale() {
    return { time: true, range: () => [this.begin(), this.end()] };
  }

  timeAxis() {
    return this.axis({ scale: "x", size: 1.7 * this.rem, space: 5 * this.rem, values: (_, ticks) => ticks.map((tick) => clock(tick).slice(0, tick % 60 ? 8 : 5)) });
  }

  axis(options) {
    const { text, grid } = this.colours;
    const font = this.font();
    return { stroke: text, font, labelFont: font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, ...options };
  }

  emptyAxis() {
    return this.axis({ side: 1, size: () => this.axisWidths.right, grid: { show: false }, values: () => [] });
  }

  font() {
    return `${0.75 * this.rem}px system-ui, sans-serif`;
  }

  /** The axes of one side have the same width in both charts, that of the widest number, so that the time axes line up. */
  fit(side, label = 0) {
    return (_plot, numbers) => {
      const width = label + 0.6 * this.rem + maxTextWidth(numbers ?? [], this.font());
      if (width > this.axisWidths[side]) {
        this.axisWidths[side] = Math.ceil(width);
        queueMicrotask(() => [this.priceChart, this.pnlChart].forEach((plot) => plot?.redraw(true, true)));
      }
      return this.axisWidths[side] - label;
    };
  }

  /** The chart begins where the data begin. */
  begin() {
    return this.rows.length ? Math.max(this.rows[0][1], this.lastTime() - this.historyLength) : this.lastTime() - this.historyLength;
  }

  end() {
    return Math.max(this.lastTime(), this.begin() + MIN_TIME_RANGE);
  }

  lastTime() {
    return this.rows.length ? this.rows[this.rows.length - 1][1] : Date.now() / 1000;
  }

  /** All prices in the chart. */
  shownPrices() {
    return [...this.rows.flatMap((row) => row.slice(2, 6)), ...this.fills.map((fill) => fill.price)].filter((price) => price !== null);
  }

  priceRange() {
    const prices = this.shownPrices();
    if (!prices.length) return [0, 1];
    const low = Math.min(...prices);
    const high = Math.max(...prices);
    const margin = (high - low || high * 0.001) * 0.08;
    return [low - margin, high + margin];
  }

  /** Fill the spread between best bid and best offer, block by block. */
  drawBand(plot) {
    const { ctx, bbox } = plot;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.fillStyle = this.colours.band;
    this.rows.slice(0, -1).forEach(([, time, bid, offer], index) => {
      if (bid === null || offer === null) return;
      const [left, right] = [time, this.rows[index + 1][1]].map((moment) => Math.round(plot.valToPos(moment, "x", true)));
      const [top, bottom] = [offer, bid].map((price) => plot.valToPos(price, "y", true));
      ctx.fillRect(left, top, right - left, bottom - top);
    });
    ctx.restore();
  }

  /** Draw a triangle for each fill: up for a buy, down for a sell. */
  drawFills(plot) {
    const { ctx } = plot;
    const { bid, offer, surface } = this.colours;
    const half = FILL_RADIUS * this.rem * devicePixelRatio;
    ctx.save();
    ctx.lineWidth = 1.5 * devicePixelRatio;
    ctx.strokeStyle = surface;
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

  /** Show the values under the pointer. */
  showReadout(plot) {
    const row = this.rows[plot.cursor.idx];
    byId("readout").textContent = row && plot.cursor.left >= 0 ? `${clock(row[1])} · block ${row[0]} · ${this.rowText(row)}` : "";
  }

  rowText(row) {
    const price = (number) => (number === null ? "none" : fixed(number, this.market.priceDecimals));
    return `bid ${price(row[2])} · offer ${price(row[3])} · position ${short(row[6], 6)} · PnL ${signed(row[7])}`;
  }

  /** Describe the charts for screen readers. */
  describe() {
    const row = this.rows[this.rows.length - 1];
    if (!row) return;
    byId("price-chart").setAttribute("aria-label", `Price of ${this.market.name} over ${this.rows.length} blocks, with the quotes and ${this.fills.length} fills of ${this.party}. Last: ${this.rowText(row)}`);
    byId("pnl-chart").setAttribute("aria-label", `Position and PnL of ${this.party} over ${this.rows.length} blocks. Last: position ${short(row[6], 6)}, PnL ${signed(row[7])} ${this.market.asset}`);
  }
}

/** Draw a step for each block, and a gap where there is no price. uPlot's own steps draw a thin line at each gap. */
function steps(plot, series, first, last) {
  const [times, prices] = [plot.data[0], plot.data[series]];
  const stroke = new Path2D();
  for (let index = first; index <= last; index += 1) {
    if (prices[index] === null) continue;
    const y = plot.valToPos(prices[index], "y", true);
    const isStart = index === first || prices[index - 1] === null;
    stroke[isStart ? "moveTo" : "lineTo"](plot.valToPos(times[index], "x", true), y);
    if (index < last) stroke.lineTo(plot.valToPos(times[index + 1], "x", true), y); // the price is valid until the next block
  }
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 };
}

/** The numbers at an axis, with as many decimals as the step between them. */
function tickLabels(format, _plot, ticks, _axis, _space, step) {
  return ticks.map((tick) => format(tick, decimalsOf(step, MAX_TICK_DECIMALS)));
}

function maxTextWidth(texts, font) {
  const context = document.createElement("canvas").getContext("2d");
  context.font = font;
  return Math.max(0, ...texts.map((text) => context.measureText(text).width));
}

function rem() {
  return parseFloat(getComputedStyle(document.documentElement).fontSize);
}

function size(id) {
  const { clientWidth, clientHeight } = byId(id);
  return { width: clientWidth, height: clientHeight };
}

/** A range that contains zero, with a margin. */
function aroundZero(_plot, low, high) {
  const [bottom, top] = [Math.min(low ?? 0, 0), Math.max(high ?? 0, 0)];
  const margin = (top - bottom || 1) * 0.1;
  return [bottom - margin, top + margin];
}

function colours() {
  const style = getComputedStyle(document.documentElement);
  const names = ["bid", "offer", "band", "position", "area", "pnl", "text", "grid", "surface"];
  return Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
}
