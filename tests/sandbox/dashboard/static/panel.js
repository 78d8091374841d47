// The switches: a form for each control of the sandbox, made from its own table; marks at those that are on, and a list of them.

import { byId, make } from "./format.js";

export class Panel {
  constructor() {
    this.built = "";
    this.faults = [];
    this.newest = "";
    this.rows = new Map(); // how a fault is ended -> its row in the list
    this.key = sessionStorage.getItem("teacher-key") ?? "";
    this.takeKeyFromAddress();
    addEventListener("hashchange", () => this.takeKeyFromAddress()); // the link was pasted into a page that is open
    byId("heal").addEventListener("click", () => this.press("reset", {}));
    this.closeListElsewhere();
    byId("key-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.useKey(byId("key").value.trim());
    });
  }

  /** A link from the teacher's terminal carries the key behind the #, which is never sent; it does not stay in sight either. */
  takeKeyFromAddress() {
    const match = location.hash.match(/^#key=(\w+)$/);
    if (!match) return;
    this.useKey(match[1]);
    history.replaceState(null, "", location.pathname + location.search);
  }

  /** The list lies over the page: it closes when somebody turns to something else, and with Escape. */
  closeListElsewhere() {
    const list = byId("active");
    const leave = (event) => list.contains(event.target) || (list.open = false);
    for (const turn of ["pointerdown", "focusin"]) addEventListener(turn, leave);
    addEventListener("keydown", (event) => {
      if (event.key !== "Escape" || !list.open) return;
      list.open = false;
      byId("active-count").focus();
    });
    list.addEventListener("toggle", () => list.open || this.forgetEnded());
  }

  useKey(key) {
    this.key = key;
    sessionStorage.setItem("teacher-key", key);
    byId("key").value = "";
    this.allow(Boolean(key));
  }

  /** Build the forms, once: what somebody has typed survives a lost connection. */
  show(setting) {
    this.chosen = setting.market;
    this.mayAlways = setting.maySwitch;
    const wanted = JSON.stringify([setting.controls, setting.markets]);
    if (wanted !== this.built) {
      this.built = wanted;
      const groups = [...new Set(setting.controls.map((control) => control.group))];
      byId("controls").replaceChildren(...groups.map((group) => this.group(group, setting)));
      this.mark();
    }
    for (const select of document.querySelectorAll("#controls select[name=market]")) select.value = setting.market;
    this.allow(setting.maySwitch || Boolean(this.key));
  }

  allow(may) {
    byId("key-form").hidden = may;
    for (const button of document.querySelectorAll("#controls button, #active button, #heal")) button.disabled = !may;
    this.may = may;
  }

  group(name, setting) {
    const controls = setting.controls.filter((control) => control.group === name);
    return make("fieldset", {}, make("legend", { textContent: name }), ...controls.map((control) => this.form(control, setting)));
  }

  form(control, setting) {
    const hint = make("p", { className: "hint", id: `hint-${control.name}`, textContent: control.watch });
    const mark = make("span", { className: "mark", textContent: "on", hidden: true });
    const button = make("button", { type: "submit", title: control.about, "aria-describedby": hint.id }, control.title, mark);
    const fields = control.parameters.map((parameter) => this.field(control, parameter, setting));
    const form = make("form", { id: `control-${control.name}` }, make("div", { className: "row" }, button, ...fields), hint);
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      const given = [...new FormData(form)].filter(([, value]) => value !== "");
      this.press(control.name, Object.fromEntries(given));
    });
    return form;
  }

  field(control, parameter, setting) {
    const properties = { name: parameter.name, ariaLabel: `${control.title}: ${parameter.name.replace("_", " ")}` };
    if (parameter.kind === "market") return make("select", properties, ...setting.markets.map((market) => new Option(market.name, market.id)));
    if (parameter.kind === "choice") {
      const none = parameter.optional && !parameter.choices.includes("true") ? [new Option(parameter.name === "stream" ? "all streams" : "none", "")] : [];
      const select = make("select", properties, ...none, ...parameter.choices.map((choice) => new Option(inShort(choice), choice)));
      select.value = parameter.begin;
      return select;
    }
    const limits = parameter.kind === "text" ? { type: "text" } : { type: "number", step: parameter.kind === "integer" ? "1" : "any", min: "0" };
    const unit = { seconds: " s", status: " HTTP status", count: " blocks" }[parameter.name] ?? "";
    return make("span", { className: "field" }, make("input", { ...properties, ...limits, value: parameter.begin, required: !parameter.optional }), unit);
  }

  async press(name, parameters) {
    const headers = this.key && !this.mayAlways ? { "X-Teacher-Key": this.key } : {};
    const query = new URLSearchParams(parameters);
    let words;
    this.say(`${name} …`); // the same answer twice would look like none
    try {
      const answer = await fetch(`/control/${name}?${query}`, { method: "POST", headers });
      words = answer.ok ? `${name}: done at block ${(await answer.json()).height}` : await answer.text();
      if (answer.status === 403) {
        sessionStorage.removeItem("teacher-key");
        this.key = "";
        this.allow(false);
      }
    } catch {
      words = `${name}: the sandbox did not answer`;
    }
    this.say(words);
  }

  say(words) {
    byId("outcome").textContent = byId("outcome").title = words.trim();
  }

  /** Show what is active now. Nothing is touched while nothing changes, and nothing moves when it does. */
  list(faults) {
    if (JSON.stringify(faults) === JSON.stringify(this.faults)) return;
    const before = new Set(this.faults.map((fault) => fault.words));
    const now = faults.find((fault) => !before.has(fault.words)) ?? faults.find((fault) => fault.words === this.newest) ?? faults.at(-1);
    this.newest = now?.words;
    this.faults = faults;
    byId("newest").replaceChildren(...(now ? [make("strong", { textContent: now.words }), ` ${now.watch}`] : []));
    byId("newest").title = byId("newest").textContent; // a narrow window cuts it
    byId("active-count").textContent = ["No fault is on", "1 fault is on"][faults.length] ?? `${faults.length} faults are on`;
    byId("active").classList.toggle("any", faults.length > 0);
    this.mark();
    for (const fault of faults) this.showRow(fault);
    for (const [key, row] of this.rows) if (!faults.some((fault) => keyOf(fault) === key)) end(row);
    if (!byId("active").open) this.forgetEnded();
  }

  /** Mark the controls whose faults are on. */
  mark() {
    for (const form of document.querySelectorAll("#controls form")) {
      const on = this.faults.some((fault) => `control-${fault.name}` === form.id);
      form.classList.toggle("active", on);
      form.querySelector(".mark").hidden = !on;
    }
  }

  showRow(fault) {
    const key = keyOf(fault);
    if (!this.rows.has(key)) {
      const button = make("button", { type: "button", disabled: !this.may });
      button.addEventListener("click", () => button.ariaDisabled || this.press(fault.end.name, fault.end.parameters));
      this.rows.set(key, make("li", {}, button, make("strong"), make("span")));
      byId("active-list").append(this.rows.get(key));
    }
    const [button, words, watch] = this.rows.get(key).children;
    [button.textContent, button.ariaLabel, button.ariaDisabled] = ["End", `End: ${fault.words}`, null];
    [words.textContent, watch.textContent] = [fault.words, fault.watch];
  }

  /** Rows of what has ended stay while the list is open: the next one's button does not come under the pointer. */
  forgetEnded() {
    for (const [key, row] of this.rows) {
      if (this.faults.some((fault) => keyOf(fault) === key)) continue;
      row.remove();
      this.rows.delete(key);
    }
  }
}

function keyOf(fault) {
  return JSON.stringify(fault.end);
}

function end(row) {
  const [button, words] = row.children;
  [button.textContent, button.ariaLabel, button.ariaDisabled] = ["Ended", `Ended: ${words.textContent}`, "true"];
}

/** SIDE_BUY as “buy”, ORDER_ERROR_MARKET_CLOSED as “market closed”; close codes and stream names as they are. */
function inShort(name) {
  if (name === "true" || name === "false") return name === "true" ? "on" : "off";
  const match = name.match(/^(SIDE|ORDER_ERROR|STATE|TRADING_MODE)_(.+)$/);
  return match ? match[2].replaceAll("_", " ").toLowerCase() : name;
}
