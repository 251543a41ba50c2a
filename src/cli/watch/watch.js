"use strict";
const token = location.hash.slice(1);
const runs = new Map();
let chosen = null; // The runs that the reader chose; until then those that train, or the last ones.
const MOST = 6;

const nav = document.getElementById("runs");
const list = element("section", { class: "runs" }), grid = element("div", { class: "grid" }), state = element("p", { class: "note", role: "status" }, "connecting …");
nav.replaceWith(state);
page.replaceChildren(list, grid);

// Those that train, then those that were trained last.
const ordered = () => [...runs.values()].sort((a, b) => b.running - a.running || (a.running ? 0 : b.time - a.time) || (a.id < b.id ? -1 : 1));
const shown = () => {
  const all = ordered();
  if (chosen) return all.filter(run => chosen.has(run.id));
  const busy = all.filter(run => run.running);
  return (busy.length ? busy : all).slice(0, MOST);
};

function figure(run) {
  const epoch = run.epochs.find(epoch => epoch.number === run.best);
  if (!epoch) return "–";
  const name = run.monitor.replace(/^validation-/, ""), isValidation = run.monitor.startsWith("validation-");
  return short((isValidation ? epoch.validation?.[name] : epoch[name]) ?? null);
}

function left(run) {
  const total = Number(run.keys["train.epochs"]), progress = run.progress;
  if (!run.running || !run.epochs.length || !(total > 0)) return "";
  const seconds = run.epochs[run.epochs.length - 1].seconds;
  const part = progress && progress.epoch === run.epochs.length + 1 ? progress.step / progress.steps : 0;
  const rest = Math.max(0, (total - run.epochs.length - part) * seconds);
  return rest > 3600 ? `${(rest / 3600).toFixed(1)} h left` : rest > 90 ? `${Math.round(rest / 60)} min left` : `${Math.round(rest)} s left`;
}

async function stop(run, button) {
  button.disabled = true;
  button.textContent = "stopping …";
  try {
    const answer = await fetch("/stop?run=" + encodeURIComponent(run.id), { method: "POST", headers: { "x-token": token } });
    if (!answer.ok) throw new Error((await answer.json()).error);
  } catch (error) {
    state.textContent = String(error.message || error);
    button.disabled = false;
    button.textContent = "stop";
  }
}

// A row a run, kept from one drawing to the next so that what is under the pointer stays.
const rows = new Map();
function row(run) {
  const tick = element("input", { type: "checkbox", "aria-label": `show ${run.name}` });
  tick.addEventListener("change", () => {
    chosen = chosen || new Set(shown().map(run => run.id));
    if (tick.checked) chosen.add(run.id); else chosen.delete(run.id);
    draw();
  });
  const button = element("button", { type: "button" }, "stop");
  button.addEventListener("click", () => stop(runs.get(run.id), button));
  const cells = Object.fromEntries(["name", "state", "epoch", "figure", "left"].map(name => [name, element("td", {})]));
  cells.name.append(element("label", {}, tick, element("i", {}), " ", run.name));
  const last = element("td", {}, token ? button : null);
  return { tick, button, cells, row: element("tr", { title: run.id }, cells.name, cells.state, cells.epoch, cells.figure, cells.left, last) };
}

function drawList(now) {
  for (const id of [...rows.keys()]) if (!runs.has(id)) { rows.get(id).row.remove(); rows.delete(id); }
  if (!body.isConnected) list.replaceChildren(element("div", { class: "scroll" }, element("table", {}, element("thead", {}, element("tr", {}, ["run", "", "epoch", "best", "", ""].map(cell => element("th", {}, cell)))), body)));
  const all = ordered();
  for (const run of all) if (!rows.has(run.id)) rows.set(run.id, row(run));
  // Rows are moved only where their order has changed.
  all.forEach((run, i) => { const { row } = rows.get(run.id); if (body.children[i] !== row) body.insertBefore(row, body.children[i] || null); });
  for (const run of all) {
    const { tick, button, cells } = rows.get(run.id);
    const place = now.indexOf(run), set = (cell, text) => { if (cell.textContent !== text) cell.textContent = text; };
    tick.checked = place >= 0;
    cells.name.querySelector("i").style.background = place >= 0 ? color(now.length > 1 ? place : 1) : "var(--line)";
    const total = Number(run.keys["train.epochs"]);
    set(cells.state, run.running ? "training" : run.epochs.length >= total ? "finished" : "ended");
    cells.state.className = run.running ? "busy" : "";
    const inside = run.running && run.progress?.epoch === run.epochs.length + 1 ? ` (${Math.floor(100 * run.progress.step / run.progress.steps)} %)` : "";
    set(cells.epoch, `${run.epochs.length} of ${total}${inside}`);
    set(cells.figure, run.best ? `${figure(run)} ${run.monitor}, epoch ${run.best}` : "–");
    set(cells.left, left(run));
    if (!run.running) { button.disabled = false; set(button, "stop"); }
    button.hidden = !run.running;
  }
}
const body = element("tbody", {});

function differing(now) {
  if (now.length < 2) return null;
  const keys = [...new Set(now.flatMap(run => Object.keys(run.keys)))].sort();
  const rows = keys.filter(key => now.some(run => run.keys[key] !== now[0].keys[key])).map(key => [breakable(key), ...now.map(run => run.keys[key] ?? "–")]);
  return wide(section("What differs", rows.length ? "" : "nothing: the recipes are the same", table(["key", ...now.map(run => run.name)], rows, "long")));
}

let due = 0;
function draw() {
  cancelAnimationFrame(due);
  due = requestAnimationFrame(() => {
    const now = shown();
    drawList(now);
    const drawn = now.filter(run => run.epochs.length);
    if (!runs.size) grid.replaceChildren(element("p", { class: "note" }, "no run yet: one that begins appears here"));
    else if (!now.length) grid.replaceChildren(element("p", { class: "note" }, "choose runs above"));
    else grid.replaceChildren(...(drawn.length ? curves(drawn) : [element("p", { class: "note" }, "no epoch is done yet")]), ...[differing(now)].filter(Boolean));
  });
}

const events = new EventSource("/events");
events.addEventListener("open", () => { runs.clear(); state.textContent = token ? "live" : "live; the address with its token, as it was printed, has buttons that stop runs"; });
events.addEventListener("error", () => { state.textContent = "not connected: neural watch has ended, or cannot be reached"; });
events.addEventListener("message", message => {
  const news = JSON.parse(message.data);
  for (const id of news.gone) runs.delete(id);
  for (const one of news.runs) {
    const before = one.from ? runs.get(one.id) : null;
    runs.set(one.id, { ...(before || {}), ...one, epochs: [...(before ? before.epochs.slice(0, one.from) : []), ...one.epochs] });
  }
  draw();
});
draw();
