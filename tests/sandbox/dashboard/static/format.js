// Formatting of numbers and times, and creation of elements. Text is always inserted as text, never as markup.

const MINUS = "−";

/** The layout has one column, as on a phone. The same width is in page.css. */
export const NARROW = matchMedia("(max-width: 1000px)");

/** A number with that many decimals; “–” where there is none. */
export function fixed(number, decimals) {
  return number === null || number === undefined ? "–" : number.toFixed(decimals).replace("-", MINUS);
}

/** A number without trailing zeros. */
export function short(number, decimals) {
  return String(Number(number.toFixed(decimals))).replace("-", MINUS);
}

/** A number with that many decimals and separated thousands. */
export function grouped(number, decimals) {
  return number.toLocaleString("en-GB", { minimumFractionDigits: decimals, maximumFractionDigits: decimals }).replace("-", MINUS);
}

/** The number of decimals without trailing zeros. */
export function decimalsOf(number, max) {
  return number.toFixed(max).replace(/0+$/, "").split(".")[1]?.length ?? 0;
}

/** The number of decimals for a column of money with that largest amount. */
export function moneyDecimals(largest) {
  return Math.abs(largest) < 100 ? 4 : 2;
}

/** An amount of money with its sign; zero has no sign. */
export function signed(number, decimals = moneyDecimals(number)) {
  const text = grouped(Math.abs(number), decimals);
  return /[1-9]/.test(text) ? (number < 0 ? MINUS : "+") + text : text;
}

/** The class of a text from `signed`; none for zero. */
export function gainOrLoss(text) {
  return { [MINUS]: "loss", "+": "gain" }[text[0]] ?? "";
}

/** Seconds since 1970 as local time of day. */
export function clock(seconds) {
  return new Date(seconds * 1000).toLocaleTimeString("en-GB");
}

/** The time until the end of a round, such as “4:05 left”. */
export function timeLeft(round, now) {
  const seconds = Math.max(0, Math.round(round.end - now));
  return `${Math.floor(seconds / 60)}:${String(seconds % 60).padStart(2, "0")} left`;
}

/** Create an element with properties and children; a string child becomes text. */
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
