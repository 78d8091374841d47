// The two charts, on uPlot: prices with the party's quotes and fills, and below them its position and PnL.

import { byId, clock, decimalsOf, fixed, grouped, short, signed } from "./format.js";

const LEAST = 3; // rem: the least width of an axis with its label
const FINEST = 8; // decimals of a tick
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
    byId("no-prices").hidden = this.seen().length > 0;
    this.prices?.setData(this.priceData());
    this.profits?.setData(this.profitData());
    this.describe();
  }

  build() {
    if (!this.market) return;
    this.colours = colours();
    this.rem = rem();
    this.needs = { left: LEAST * this.rem, right: LEAST * this.rem };
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
    const { bid, offer } = this.colours;
    const line = (stroke, width) => ({ stroke, width, paths: steps, points: { show: false } });
    return {
      ...this.options("price-chart"),
      series: [{}, line(bid, 1.25), line(offer, 1.25), line(bid, 3.5), line(offer, 3.5)],
      scales: { x: this.timeScale(), y: { range: (plot) => this.priceRange(plot) } },
      axes: [this.timeAxis(), this.axis({ size: this.fit("left"), values: (...asked) => (this.seen().length ? written(fixed, ...asked) : []) }), this.emptyAxis()],
      hooks: { drawAxes: [(plot) => this.drawBand(plot)], draw: [(plot) => this.drawFills(plot)], setCursor: [(plot) => this.read(plot)] },
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
        this.axis({ scale: "position", label: "Position", labelSize: this.rem, size: this.fit("left", this.rem), values: (...asked) => written(grouped, ...asked) }),
        this.axis({ scale: "profit", side: 1, label: "PnL", labelSize: this.rem, size: this.fit("right", this.rem), grid: { show: false }, values: (...asked) => written(grouped, ...asked) }),
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
    const font = this.font();
    return { stroke: text, font, labelFont: font, grid: { stroke: grid, width: 1 }, ticks: { show: false }, ...options };
  }

  emptyAxis() {
    return this.axis({ side: 1, size: () => this.needs.right, grid: { show: false }, values: () => [] });
  }

  font() {
    return `${0.75 * this.rem}px system-ui, sans-serif`;
  }

  /** A side's axes are as wide as the widest number at it, in both charts, so that times stand above each other. */
  fit(side, label = 0) {
    return (_plot, numbers) => {
      const needed = label + 0.6 * this.rem + widest(numbers ?? [], this.font());
      if (needed > this.needs[side]) {
        this.needs[side] = Math.ceil(needed);
        queueMicrotask(() => [this.prices, this.profits].forEach((plot) => plot?.redraw(true, true)));
      }
      return this.needs[side] - label;
    };
  }

  end() {
    return this.rows.length ? this.rows[this.rows.length - 1][1] : Date.now() / 1000;
  }

  /** Every price that the chart shows. */
  seen() {
    return [...this.rows.flatMap((row) => row.slice(2, 6)), ...this.fills.map((fill) => fill.price)].filter((price) => price !== null);
  }

  priceRange() {
    const prices = this.seen();
    if (!prices.length) return [0, 1];
    const low = Math.min(...prices);
    const high = Math.max(...prices);
    const room = (high - low || high * 0.001) * 0.08;
    return [low - room, high + room];
  }

  /** What lies between best bid and best offer, block by block. */
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

/** A step for each block, and nothing where there was no price: uPlot's own steps leave a hairline at each gap. */
function steps(plot, series, first, last) {
  const [times, prices] = [plot.data[0], plot.data[series]];
  const stroke = new Path2D();
  for (let index = first; index <= last; index += 1) {
    if (prices[index] === null) continue;
    const y = plot.valToPos(prices[index], "y", true);
    const begins = index === first || prices[index - 1] === null;
    stroke[begins ? "moveTo" : "lineTo"](plot.valToPos(times[index], "x", true), y);
    if (index < last) stroke.lineTo(plot.valToPos(times[index + 1], "x", true), y); // it holds until the next block
  }
  return { stroke, fill: null, clip: null, band: null, gaps: null, flags: 0 };
}

/** The numbers at an axis, with as many decimals as the step between them has. */
function written(write, _plot, ticks, _axis, _space, step) {
  return ticks.map((tick) => write(tick, decimalsOf(step, FINEST)));
}

function widest(texts, font) {
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
