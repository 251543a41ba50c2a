"use strict";
const page = document.getElementById("page");

// Elements are built, never written as HTML: names and cells of the data may hold anything.
function element(name, attributes, ...children) {
  const space = ["svg", "path", "line", "text", "circle", "rect", "g"].includes(name) ? "http://www.w3.org/2000/svg" : "http://www.w3.org/1999/xhtml";
  const made = document.createElementNS(space, name);
  for (const [key, value] of Object.entries(attributes || {})) if (value !== undefined) made.setAttribute(key, value);
  made.append(...children.flat().filter(child => child !== null && child !== undefined).map(child => child instanceof Node ? child : String(child)));
  return made;
}
const section = (title, note, ...children) => element("section", {}, element("h2", {}, title, note ? element("small", {}, "  " + note) : null), ...children);
const wide = made => { made.classList.add("wide"); return made; };
const color = i => `var(--c${i % 8})`;
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumSignificantDigits: 4 });
function short(x) {
  if (x === null || !Number.isFinite(x)) return "–";
  const size = Math.abs(x), rounded = +x.toPrecision(4);
  if (size !== 0 && (size < 1e-3 || size >= 1e15)) return rounded.toExponential();
  return size >= 1e5 ? compact.format(x) : String(rounded);
}
const bytes = x => x < 2 ** 30 ? `${(x / 2 ** 20).toFixed(0)} MiB` : `${(x / 2 ** 30).toFixed(2)} GiB`;
const percent = x => Number.isFinite(x) ? (100 * x).toFixed(2) + "%" : "–";

function ticks(least, most, smallest = 0, count = 5) {
  const step = Math.max((most - least) / count, smallest), power = 10 ** Math.floor(Math.log10(step));
  const nice = power * [1, 2, 5, 10].find(factor => factor * power >= step);
  const list = [];
  for (let tick = Math.ceil(least / nice) * nice; tick <= most + nice * 1e-9; tick += nice) list.push(Math.abs(tick) < nice * 1e-9 ? 0 : tick);
  return list;
}

// A key such as train.batch_size, which may be broken after its dots.
const breakable = key => key.split(/(?<=\.)/).flatMap((part, i) => i ? [element("wbr"), part] : [part]);

// series: {name, points: [[x, y]], dashed, dots}; marks: {x, y, text}; xStep: the smallest step between ticks.
function chart(series, { x, y, xRange, yRange, xStep, marks = [], diagonal = false, legend = true }) {
  const width = 520, height = 300, bottom = 38, top = 10, right = 12;
  const all = series.flatMap(one => one.points).filter(point => point.every(value => value !== null && Number.isFinite(value)));
  if (!all.length) return element("p", { class: "note" }, "nothing to draw");
  const range = (given, k) => {
    if (given) return given;
    let least = Infinity, most = -Infinity;
    for (const point of all) { least = Math.min(least, point[k]); most = Math.max(most, point[k]); }
    const room = (most - least) * 0.04 || Math.abs(most) * 0.1 || 1;
    return k === 0 ? (most > least ? [least, most] : [least - room, most + room]) : [least - room, most + room];
  };
  const [x0, x1] = range(xRange, 0), [y0, y1] = range(yRange, 1);
  // Room for the ticks in the size that they have on a narrow page.
  const left = 36 + 8.5 * Math.max(2, ...ticks(y0, y1).map(tick => short(tick).length));
  const px = v => left + (v - x0) / (x1 - x0) * (width - left - right), py = v => height - bottom - (v - y0) / (y1 - y0) * (height - bottom - top);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y} over ${x}` });
  for (const tick of ticks(y0, y1)) svg.append(element("line", { class: "axis", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }), element("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, short(tick)));
  for (const tick of ticks(x0, x1, xStep)) svg.append(element("text", { x: px(tick), y: height - bottom + 16, "text-anchor": "middle" }, short(tick)));
  svg.append(element("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, x), element("text", { x: 10, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 10 ${(top + height - bottom) / 2})` }, y));
  if (diagonal) { const a = Math.max(x0, y0), b = Math.min(x1, y1); svg.append(element("line", { x1: px(a), y1: py(a), x2: px(b), y2: py(b), stroke: "var(--faint)", "stroke-dasharray": "4 4" })); }
  series.forEach((one, i) => {
    const finite = one.points.filter(point => point.every(value => value !== null && Number.isFinite(value)));
    // More points than pixels only cost time.
    const step = Math.ceil(finite.length / 2000), points = step > 1 ? finite.filter((_, k) => k % step === 0 || k === finite.length - 1) : finite;
    const stroke = one.color || color(i);
    if (one.dots) for (const [a, b] of points) svg.append(element("circle", { cx: px(a).toFixed(1), cy: py(b).toFixed(1), r: one.dots, fill: stroke, "fill-opacity": 0.55 }));
    else svg.append(element("path", { d: points.map(([a, b], k) => `${k ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join(""), fill: "none", stroke, "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-dasharray": one.dashed ? "5 4" : undefined }));
    if (points.length === 1 && !one.dots) svg.append(element("circle", { cx: px(points[0][0]), cy: py(points[0][1]), r: 3, fill: stroke }));
  });
  for (const mark of marks) if (Number.isFinite(mark.x) && Number.isFinite(mark.y)) svg.append(element("circle", { cx: px(mark.x), cy: py(mark.y), r: 4.5, fill: "var(--card)", stroke: mark.color || "var(--ink)", "stroke-width": 2 }, element("title", {}, mark.text)));
  const box = element("div", {}, svg);
  if (legend && (series.length > 1 || legend === "always")) box.append(element("div", { class: "legend" }, series.map((one, i) => element("span", {}, element("i", { style: `color:${one.color || color(i)}`, class: one.dashed ? "dashed" : "" }), one.name))));
  return box;
}

function table(head, rows, name) {
  return element("div", { class: "scroll" }, element("table", { class: name }, element("thead", {}, element("tr", {}, head.map(cell => element("th", {}, cell)))), element("tbody", {}, rows.map(row => element("tr", {}, row.map(cell => cell instanceof Node ? cell : element("td", {}, cell)))))));
}

function curves(runs) {
  const figures = new Map([["loss", []]]);
  const add = (key, line) => { if (!figures.has(key)) figures.set(key, []); figures.get(key).push(line); };
  const many = runs.length > 1;
  runs.forEach((run, i) => {
    const named = part => many ? `${run.name}, ${part}` : part;
    const line = (key, part, of, dashed) => { if (run.epochs.some(epoch => of(epoch) !== undefined && of(epoch) !== null)) add(key, { name: named(part), dashed, isMarked: part === "validation", run, of, points: run.epochs.map(epoch => [epoch.number, of(epoch) ?? null]), color: color(many ? i : dashed ? 0 : 1) }); };
    line("loss", "training", epoch => epoch.loss, true);
    line("loss", "validation", epoch => epoch.validation?.loss, false);
    line("accuracy", "training", epoch => epoch.accuracy, true);
    const names = new Set(run.epochs.flatMap(epoch => Object.keys(epoch.validation || {}).filter(key => !["rows", "loss"].includes(key))));
    for (const name of names) line(name, "validation", epoch => typeof epoch.validation?.[name] === "number" ? epoch.validation[name] : undefined, false);
    line("learning rate", "training", epoch => epoch.learning_rate, false);
    line("samples a second", "training", epoch => epoch.samples_per_second, false);
  });
  return [...figures].filter(([, lines]) => lines.length).map(([name, lines]) => {
    const marks = lines.filter(line => line.run.best && line.isMarked).map(line => ({ x: line.run.best, y: line.of(line.run.epochs.find(epoch => epoch.number === line.run.best) || {}), color: line.color, text: `${line.run.name}: best epoch ${line.run.best}` }));
    return section(name, marks.length ? "circle: the best epoch" : "", chart(lines, { x: "epoch", y: name, xStep: 1, marks, legend: "always" }));
  });
}
