// The controls: a form for each control of the sandbox, a mark on those whose fault is on, and the list of active faults.

import { byId, make } from "./format.js";

const UNITS = { seconds: " s", minutes: " min", status: " HTTP status", tick_size: " tick size", price_decimals: " price decimals", "block count": " blocks", "lose_transactions count": " transactions" };

export class Panel {
  constructor() {
    this.builtFrom = "";
    this.faults = [];
    this.newestText = "";
    this.rows = new Map(); // the call that ends a fault -> its row in the list
    this.key = sessionStorage.getItem("teacher-key") ?? "";
    this.takeKeyFromAddress();
    addEventListener("hashchange", () => this.takeKeyFromAddress()); // the link was pasted into an open page
    byId("reset-all").addEventListener("click", () => this.call("reset", {}));
    this.closeListOnOutsideClick();
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.useKey(byId("key").value.trim());
    });
  }

  /** The teacher's link carries the key behind the #, which browsers do not send. The key is removed from the address bar. */
  takeKeyFromAddress() {
    const match = location.hash.match(/^#key=(\w+)$/);
    if (!match) return;
    this.useKey(match[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }

  /** The list covers the page, so it closes on a click or a focus elsewhere, and on Escape. */
  closeListOnOutsideClick() {
    const list = byId("active");
    const closeFrom = (event) => list.contains(event.target) || (list.open = false);
    for (const type of ["pointerdown", "focusin"]) addEventListener(type, closeFrom);
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !list.open) return;
      list.open = false;
      byId("active-count").focus();
    });
    list.addEventListener("toggle", () => list.open || this.removeEnded());
  }

  useKey(key) {
    this.key = key;
    sessionStorage.setItem("teacher-key", key);
    byId("key").value = "";
    this.setEnabled(Boolean(key));
  }

  /** Build the forms once, so that typed values survive a reconnect. */
  show(config) {
    this.needsNoKey = config.mayControl;
    const builtFrom = JSON.stringify([config.controls, config.markets]);
    if (builtFrom !== this.builtFrom) {
      this.builtFrom = builtFrom;
      const groups = [...new Set(config.controls.map((control) => control.group))];
      byId("controls").replaceChildren(...groups.map((group) => this.group(group, config)));
      this.mark();
    }
    for (const select of document.querySelectorAll("#controls select[name=market]")) select.value = config.market;
    this.setEnabled(config.mayControl || Boolean(this.key));
  }

  setEnabled(enabled) {
    byId("key-form").hidden = enabled;
    for (const button of document.querySelectorAll("#controls button, #active button, #reset-all")) button.disabled = !enabled;
    this.enabled = enabled;
  }

  group(name, config) {
    const controls = config.controls.filter((control) => control.group === name);
    return make("fieldset", {}, make("legend", { textContent: name }), ...controls.map((control) => this.form(control, config)));
  }

  form(control, config) {
    const hint = make("p", { className: "hint", id: `hint-${control.name}`, textContent: control.hint });
    const mark = make("span", { className: "mark", textContent: "on", hidden: true });
    const button = make("button", { type: "submit", title: control.description, "aria-describedby": hint.id }, control.title, mark);
    const fields = control.parameters.map((parameter) => this.field(control, parameter, config));
    const form = make("form", { id: `control-${control.name}` }, make("div", { className: "row" }, button, ...fields), hint);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const values = [...new FormData(form)].filter(([, value]) => value !== "");
      this.call(control.name, Object.fromEntries(values));
    });
    return form;
  }

  field(control, parameter, config) {
    const properties = { name: parameter.name, ariaLabel: `${control.title}: ${parameter.name.replace("_", " ")}` };
    if (parameter.kind === "market") return make("select", properties, ...config.markets.map((market) => new Option(market.name, market.id)));
    if (parameter.kind === "choice") {
      const all = parameter.name === "stream" ? [new Option("all streams", "")] : [];
      const select = make("select", properties, ...all, ...parameter.choices.map((choice) => new Option(choiceText(choice), choice)));
      if (parameter.initial) select.value = parameter.initial;
      return select;
    }
    const limits = parameter.kind === "text" ? { type: "text" } : { type: "number", step: parameter.kind === "integer" ? "1" : "any", min: "0" };
    const unit = UNITS[`${control.name} ${parameter.name}`] ?? UNITS[parameter.name] ?? "";
    // Required, also where the control itself has a default: an empty field must not end a fault by accident.
    return make("span", { className: "field" }, make("input", { ...properties, ...limits, value: parameter.initial, required: true }), unit);
  }

  async call(name, parameters) {
    const headers = this.key && !this.needsNoKey ? { "X-Teacher-Key": this.key } : {};
    const query = new URLSearchParams(parameters);
    let text;
    this.showResult(`${name} …`); // the same result twice must be visible as two results
    try {
      const response = await fetch(`/control/${name}?${query}`, { method: "POST", headers });
      text = response.ok ? doneText(name, await response.json()) : await response.text();
      if (response.status === 403) {
        sessionStorage.removeItem("teacher-key");
        this.key = "";
        this.setEnabled(false);
      }
    } catch {
      text = `${name}: the sandbox did not answer`;
    }
    this.showResult(text);
  }

  showResult(text) {
    byId("result").textContent = byId("result").title = text.trim();
  }

  /** Show the active faults. The page is changed only when they change, and nothing moves then. */
  showFaults(faults) {
    if (JSON.stringify(faults) === JSON.stringify(this.faults)) return;
    const before = new Set(this.faults.map((fault) => fault.text));
    const newest = faults.find((fault) => !before.has(fault.text)) ?? faults.find((fault) => fault.text === this.newestText) ?? faults.at(-1);
    this.newestText = newest?.text;
    this.faults = faults;
    byId("newest-fault").replaceChildren(...(newest ? [make("strong", { textContent: newest.text }), ` ${newest.hint}`] : []));
    byId("newest-fault").title = byId("newest-fault").textContent; // a narrow window cuts the text
    byId("active-count").textContent = ["No fault is on", "1 fault is on"][faults.length] ?? `${faults.length} faults are on`;
    byId("active").classList.toggle("any", faults.length > 0);
    this.mark();
    for (const fault of faults) this.showRow(fault);
    for (const [key, row] of this.rows) if (!faults.some((fault) => keyOf(fault) === key)) markEnded(row);
    if (!byId("active").open) this.removeEnded();
  }

  /** Mark the controls whose faults are on. */
  mark() {
    for (const form of document.querySelectorAll("#controls form")) {
      const isOn = this.faults.some((fault) => `control-${fault.name}` === form.id);
      form.classList.toggle("active", isOn);
      form.querySelector(".mark").hidden = !isOn;
    }
  }

  showRow(fault) {
    const key = keyOf(fault);
    if (!this.rows.has(key)) {
      const button = make("button", { type: "button", disabled: !this.enabled });
      button.addEventListener("click", () => button.ariaDisabled || this.call(fault.end.name, fault.end.parameters));
      this.rows.set(key, make("li", {}, button, make("strong"), make("span")));
      byId("active-list").append(this.rows.get(key));
    }
    const [button, text, hint] = this.rows.get(key).children;
    [button.textContent, button.ariaLabel, button.ariaDisabled] = ["End", `End: ${fault.text}`, null];
    [text.textContent, hint.textContent] = [fault.text, fault.hint];
  }

  /** Rows of ended faults stay while the list is open, so that no other button moves under the pointer. */
  removeEnded() {
    for (const [key, row] of this.rows) {
      if (this.faults.some((fault) => keyOf(fault) === key)) continue;
      row.remove();
      this.rows.delete(key);
    }
  }
}

/** The result of a control: a text such as a new code is shown, a number of connections is not. */
function doneText(name, { height, result }) {
  return typeof result === "string" ? `${name}: ${result}` : `${name}: done at block ${height}`;
}

function keyOf(fault) {
  return JSON.stringify(fault.end);
}

function markEnded(row) {
  const [button, text] = row.children;
  [button.textContent, button.ariaLabel, button.ariaDisabled] = ["Ended", `Ended: ${text.textContent}`, "true"];
}

/** SIDE_BUY as “buy”, ORDER_ERROR_MARKET_CLOSED as “market closed”; close codes and stream names stay. */
function choiceText(name) {
  if (name === "true" || name === "false") return name === "true" ? "on" : "off";
  const match = name.match(/^(SIDE|ORDER_ERROR|STATE|TRADING_MODE)_(.+)$/);
  return match ? match[2].replaceAll("_", " ").toLowerCase() : name;
}
