"use strict";
const report = JSON.parse(document.getElementById("data").textContent);
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
const short = x => x === null || !Number.isFinite(x) ? "–" : x === 0 ? "0" : Math.abs(x) >= 1e5 || Math.abs(x) < 1e-3 ? x.toExponential(2) : String(+x.toPrecision(4));
const percent = x => Number.isFinite(x) ? (100 * x).toFixed(2) + " %" : "–";

function ticks(least, most, count = 5) {
  const step = (most - least) / count, power = 10 ** Math.floor(Math.log10(step));
  const nice = power * [1, 2, 5, 10].find(factor => factor * power >= step);
  const list = [];
  for (let tick = Math.ceil(least / nice) * nice; tick <= most + nice * 1e-9; tick += nice) list.push(Math.abs(tick) < nice * 1e-9 ? 0 : tick);
  return list;
}

// series: {name, points: [[x, y]], dashed, dots}; marks: {x, y, text}.
function chart(series, { x, y, xRange, yRange, marks = [], diagonal = false, legend = true }) {
  const width = 520, height = 300, left = 64, bottom = 38, top = 10, right = 12;
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
  const px = v => left + (v - x0) / (x1 - x0) * (width - left - right), py = v => height - bottom - (v - y0) / (y1 - y0) * (height - bottom - top);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${y} over ${x}` });
  for (const tick of ticks(y0, y1)) svg.append(element("line", { class: "axis", x1: left, x2: width - right, y1: py(tick), y2: py(tick) }), element("text", { x: left - 6, y: py(tick) + 4, "text-anchor": "end" }, short(tick)));
  for (const tick of ticks(x0, x1)) svg.append(element("text", { x: px(tick), y: height - bottom + 16, "text-anchor": "middle" }, short(tick)));
  svg.append(element("text", { x: (left + width - right) / 2, y: height - 4, "text-anchor": "middle" }, x), element("text", { x: 12, y: (top + height - bottom) / 2, "text-anchor": "middle", transform: `rotate(-90 12 ${(top + height - bottom) / 2})` }, y));
  if (diagonal) { const a = Math.max(x0, y0), b = Math.min(x1, y1); svg.append(element("line", { x1: px(a), y1: py(a), x2: px(b), y2: py(b), stroke: "var(--faint)", "stroke-dasharray": "4 4" })); }
  series.forEach((one, i) => {
    const points = one.points.filter(point => point.every(value => value !== null && Number.isFinite(value)));
    const stroke = one.color || color(i);
    if (one.dots) for (const [a, b] of points) svg.append(element("circle", { cx: px(a).toFixed(1), cy: py(b).toFixed(1), r: one.dots, fill: stroke, "fill-opacity": 0.55 }));
    else svg.append(element("path", { d: points.map(([a, b], k) => `${k ? "L" : "M"}${px(a).toFixed(1)} ${py(b).toFixed(1)}`).join(""), fill: "none", stroke, "stroke-width": 1.8, "stroke-linejoin": "round", "stroke-dasharray": one.dashed ? "5 4" : undefined }));
    if (points.length === 1 && !one.dots) svg.append(element("circle", { cx: px(points[0][0]), cy: py(points[0][1]), r: 3, fill: stroke }));
  });
  for (const mark of marks) if (Number.isFinite(mark.x) && Number.isFinite(mark.y)) svg.append(element("circle", { cx: px(mark.x), cy: py(mark.y), r: 4.5, fill: "var(--card)", stroke: mark.color || "var(--ink)", "stroke-width": 2 }, element("title", {}, mark.text)));
  const box = element("div", {}, svg);
  if (legend && (series.length > 1 || legend === "always")) box.append(element("div", { class: "legend" }, series.map((one, i) => element("span", {}, element("i", { style: `background:${one.color || color(i)}` }), one.name))));
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
    return section(name, marks.length ? "circle: the best epoch" : "", chart(lines, { x: "epoch", y: name, marks, legend: "always" }));
  });
}

function confusion({ names, matrix }) {
  const most = Math.max(1, ...matrix.flat());
  const rows = matrix.map((row, i) => [element("th", {}, names[i]), ...row.map((count, j) => element("td", { class: i === j ? "right" : "", style: `background:rgb(var(--good) / ${(0.75 * Math.sqrt(count / most)).toFixed(3)})`, title: `${names[i]} taken for ${names[j]}: ${count}` }, count || "·"))]);
  return section("Confusion matrix", "rows: the truth, columns: the answer", table(["", ...names], rows, "matrix"));
}

function perClass({ names, matrix }) {
  const rows = names.map((name, i) => {
    const tp = matrix[i][i], support = matrix[i].reduce((a, b) => a + b, 0), said = matrix.reduce((sum, row) => sum + row[i], 0);
    const precision = tp / said, recall = tp / support;
    return [name, support, percent(precision), percent(recall), percent(2 * tp / (said + support))];
  });
  return section("Each class", "", table(["class", "rows", "precision", "recall", "F1"], rows));
}

// ROC, precision-recall and what a threshold does, of one class against the rest.
function thresholds({ names, curves, threshold }) {
  if (!curves) return [];
  let chosen = names.length === 2 ? 1 : 0;
  const select = element("select", { "aria-label": "class" }, names.map((name, i) => element("option", { value: i }, name)));
  select.value = chosen;
  const slider = element("input", { type: "range", min: 0, max: 1, step: 0.001, value: threshold ?? 0.5, "aria-label": "threshold" });
  const shown = element("output", {}), roc = element("div", {}), pr = element("div", {}), counts = element("div", {});
  function draw() {
    const points = curves[chosen], [, P, N] = points[points.length - 1], at = Number(slider.value);
    let here = [Infinity, 0, 0];
    for (const point of points) if (point[0] > at) here = point;
    const [, tp, fp] = here;
    shown.textContent = at.toFixed(3);
    if (!P || !N) { roc.replaceChildren("these rows hold no two kinds"); pr.replaceChildren(); counts.replaceChildren(); return; }
    const mark = (x, y) => [{ x, y, text: `threshold ${at}` }];
    roc.replaceChildren(chart([{ name: "ROC", points: [[0, 0], ...points.map(([, t, f]) => [f / N, t / P])] }], { x: "false positive rate", y: "true positive rate", xRange: [0, 1], yRange: [0, 1], diagonal: true, marks: mark(fp / N, tp / P) }));
    pr.replaceChildren(chart([{ name: "PR", points: points.map(([, t, f]) => [t / P, t / (t + f)]) }], { x: "recall", y: "precision", xRange: [0, 1], yRange: [0, 1], marks: tp + fp ? mark(tp / P, tp / (tp + fp)) : [] }));
    counts.replaceChildren(table(["", "precision", "recall", "F1", "true +", "false +", "missed", "true –"], [[names[chosen], percent(tp / (tp + fp)), percent(tp / P), percent(2 * tp / (P + tp + fp)), tp, fp, P - tp, N - fp]]));
  }
  select.addEventListener("change", () => { chosen = Number(select.value); draw(); });
  slider.addEventListener("input", draw);
  draw();
  return [
    wide(section("Threshold", "a row is taken for the class where its probability is above it, against all other classes", select, element("label", { class: "slider" }, "threshold", slider, shown), counts)),
    section("ROC", "", roc), section("Precision and recall", "", pr),
  ];
}

function calibration(bins) {
  if (!bins) return null;
  return section("Calibration", "how often answers of a probability are right; below the diagonal: too sure", chart([{ name: "bins", points: bins.map(([p, right]) => [p, right]) }, { name: "bin", dots: 3.5, color: color(0), points: bins.map(([p, right]) => [p, right]) }], { x: "probability", y: "right", xRange: [0, 1], yRange: [0, 1], diagonal: true, legend: false }));
}

function values({ pairs, of, least, most, bins }) {
  const step = (most - least) / bins.length;
  const bars = bins.flatMap((count, i) => [[least + i * step, 0], [least + i * step, count], [least + (i + 1) * step, count], [least + (i + 1) * step, 0]]);
  const note = pairs.length < of ? `${pairs.length} of ${of} rows, evenly spaced` : "";
  return [
    section("Answers over targets", note, chart([{ name: "rows", dots: 2.2, points: pairs }], { x: "target", y: "answer", diagonal: true })),
    section("Residuals over answers", note, chart([{ name: "rows", dots: 2.2, points: pairs.map(([t, y]) => [y, y - t]) }], { x: "answer", y: "answer - target" })),
    section("Residuals", `${of} rows`, chart([{ name: "rows", points: bars }], { x: "answer - target", y: "rows" })),
  ];
}

function mistakes({ total, list }, isClass) {
  if (!list.length) return null;
  const one = item => element("figure", {}, item.picture ? element("img", { src: item.picture, alt: `row ${item.row}` }) : null, element("figcaption", {}, `row ${item.row}: `, item.truth, " → ", element("b", {}, item.answer), isClass ? ` (${item.figure})` : ` (off by ${item.figure})`), item.cells ? element("dl", {}, item.cells.flatMap(([name, value]) => [element("dt", { title: name }, name), element("dd", { title: value }, value === "" ? "(missing)" : value)])) : null);
  return wide(section(isClass ? "Worst mistakes" : "Largest errors", isClass ? `${list.length} of ${total} wrong answers, the surest first` : `of ${total} rows`, element("div", { class: "mistakes" }, list.map(one))));
}

function figures(run) {
  const measured = run.measured;
  const seconds = run.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const system = [["epochs", run.epochs.length], ["best epoch", `${run.best ?? "–"} by ${run.monitor}`], ["seconds of training", short(seconds)], ["samples a second", short(run.epochs.length ? run.epochs[run.epochs.length - 1].samples_per_second : null)]];
  if (measured?.device) system.push(["measured on", measured.device]);
  const parts = [section("Run", run.weights, table(["", ""], system))];
  if (measured?.figures) parts.unshift(section("Figures", `${measured.rows} ${measured.part} rows${measured.origin ? ": " + measured.origin : ""}`, table(["figure", "value"], [["loss", short(measured.loss)], ...measured.figures])));
  if (measured?.reason) parts.push(section("Not measured", "", element("p", {}, measured.reason)));
  return parts;
}

function differences() {
  if (report.runs.length < 2) return null;
  const rows = report.differences.map(({ key, values }) => [key, ...values.map(value => value ?? "–")]);
  return wide(section("What differs", rows.length ? "" : "nothing: the recipes are the same", table(["key", ...report.runs.map(run => run.name)], rows, "long")));
}

function compared() {
  if (report.runs.length < 2) return null;
  const names = [...new Set(report.runs.flatMap(run => (run.measured?.figures || []).map(([name]) => name)))];
  return wide(section("Figures side by side", "each over the rows that its run is measured on", table(["", ...report.runs.map(run => run.name)], names.map(name => [name, ...report.runs.map(run => (run.measured?.figures || []).find(([other]) => other === name)?.[1] ?? "–")]))));
}

function details(run) {
  const measured = run.measured || {}, classes = measured.classes;
  return [
    ...figures(run),
    ...(classes ? [confusion(classes), perClass(classes), ...thresholds(classes), calibration(classes.calibration)] : []),
    ...(measured.values ? values(measured.values) : []),
    measured.mistakes ? mistakes(measured.mistakes, Boolean(classes)) : null,
    run.summary ? wide(section("As it was trained", "", element("pre", {}, run.summary))) : null,
    wide(section("Recipe", "", element("pre", {}, run.recipe))),
  ].filter(Boolean);
}

function show(chosen) {
  const runs = chosen === null ? report.runs : [report.runs[chosen]];
  const grid = element("div", { class: "grid" });
  if (runs.length > 1) grid.append(...[compared(), differences(), ...curves(runs)].filter(Boolean));
  else grid.append(...curves(runs), ...details(runs[0]));
  page.replaceChildren(grid);
  document.querySelectorAll("nav button").forEach((button, i) => button.setAttribute("aria-pressed", String((chosen === null ? 0 : chosen + 1) === i)));
}

if (report.runs.length > 1) {
  const nav = document.getElementById("runs");
  [["all runs", null], ...report.runs.map((run, i) => [run.name, i])].forEach(([name, i]) => {
    const button = element("button", { type: "button" }, name);
    button.addEventListener("click", () => show(i));
    nav.append(button);
  });
  show(null);
} else show(0);
