// How numbers and times are written, and how elements are made: text goes in as text, never as markup.

const MINUS = "−";

export function fixed(number, decimals) {
  return number === null || number === undefined ? "–" : number.toFixed(decimals).replace("-", MINUS);
}

/** A number with no more decimals than it needs. */
export function short(number, decimals) {
  return String(Number(number.toFixed(decimals))).replace("-", MINUS);
}

/** Money won or lost: with its sign, and four digits behind the point where they matter. */
export function signed(number) {
  const text = fixed(Math.abs(number), Math.abs(number) < 100 ? 4 : 2);
  return Number(text) === 0 ? text : (number < 0 ? MINUS : "+") + text;
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
