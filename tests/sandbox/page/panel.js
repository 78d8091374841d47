// The switches: a form for each control of the sandbox, made from its own table, and a list of what is active now.

import { byId, make } from "./format.js";

export class Panel {
  constructor() {
    this.built = "";
    this.listed = "";
    this.key = sessionStorage.getItem("teacher-key") ?? "";
    this.takeKeyFromAddress();
    byId("heal").addEventListener("click", () => this.press("reset", {}));
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
    }
    for (const select of document.querySelectorAll("#controls select[name=market]")) select.value = setting.market;
    this.allow(setting.maySwitch || Boolean(this.key));
  }

  allow(may) {
    byId("key-form").hidden = may;
    for (const button of document.querySelectorAll("#controls button, #active button")) button.disabled = !may;
    this.may = may;
  }

  group(name, setting) {
    const controls = setting.controls.filter((control) => control.group === name);
    return make("fieldset", {}, make("legend", { textContent: name }), ...controls.map((control) => this.form(control, setting)));
  }

  form(control, setting) {
    const hint = make("p", { className: "hint", id: `hint-${control.name}`, textContent: control.watch });
    const button = make("button", { type: "submit", textContent: control.title, title: control.about, "aria-describedby": hint.id });
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
    byId("outcome").textContent = words;
  }

  /** List what is active now. Nothing is touched while nothing changes, so that whoever stands on a button stays there. */
  list(faults) {
    const wanted = JSON.stringify(faults);
    if (wanted === this.listed) return;
    this.listed = wanted;
    const wasInside = byId("active").contains(document.activeElement);
    byId("active").hidden = !faults.length;
    byId("active-list").replaceChildren(...faults.map((fault) => this.fault(fault)));
    if (wasInside) (faults.length ? byId("active-title") : byId("main")).focus();
  }

  fault(fault) {
    const end = make("button", { type: "button", textContent: "End", ariaLabel: `End: ${fault.words}`, disabled: !this.may });
    end.addEventListener("click", () => this.press(fault.end.name, fault.end.parameters));
    return make("li", {}, end, make("strong", { textContent: fault.words }), make("span", { textContent: fault.watch }));
  }
}

/** SIDE_BUY as “buy”, ORDER_ERROR_MARKET_CLOSED as “market closed”; close codes and stream names as they are. */
function inShort(name) {
  if (name === "true" || name === "false") return name === "true" ? "on" : "off";
  const match = name.match(/^(SIDE|ORDER_ERROR|STATE|TRADING_MODE)_(.+)$/);
  return match ? match[2].replaceAll("_", " ").toLowerCase() : name;
}
