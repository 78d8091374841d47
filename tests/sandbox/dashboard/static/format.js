// How numbers and times are written, and how elements are made: text goes in as text, never as markup.

const MINUS = "−";

export function fixed(number, decimals) {
  return number === null || number === undefined ? "–" : number.toFixed(decimals).replace("-", MINUS);
}

/** A number with no more decimals than it needs. */
export function short(number, decimals) {
  return String(Number(number.toFixed(decimals))).replace("-", MINUS);
}

/** A number with so many decimals, and its thousands apart. */
export function grouped(number, decimals) {
  return number.toLocaleString("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", MINUS);
}

/** How many decimals a number has, up to so many. */
export function decimalsOf(number, most) {
  return number.toFixed(most).replace(/0+$/, "").split(".")[1]?.length ?? 0;
}

/** How many decimals of money matter, beside the largest sum in sight. */
export function moneyDecimals(largest) {
  return Math.abs(largest) < 100 ? 4 : 2;
}

/** Money won or lost, with its sign; nothing won is written without one. */
export function signed(number, decimals = moneyDecimals(number)) {
  const text = grouped(Math.abs(number), decimals);
  return /[1-9]/.test(text) ? (number < 0 ? MINUS : "+") + text : text;
}

/** The class of such a text: zero is neither won nor lost. */
export function gainOrLoss(text) {
  return { [MINUS]: "loss", "+": "gain" }[text[0]] ?? "";
}

/** Seconds since 1970 as the time of day here. */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

/** An element with properties and children; a child that is a string becomes text. */
export function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element) element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

export function cell(text, className = "") {
  return make("td", { className, textContent: text });
}

export function byId(id) {
  return document.getElementById(id);
}
