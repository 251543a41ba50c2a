"use strict";
const report = JSON.parse(document.getElementById("data").textContent);

// Where all runs are in one folder, their names are shown without it.
const folder = run => run.name.slice(0, run.name.lastIndexOf("/") + 1), within = folder(report.runs[0]);
if (report.runs.every(run => folder(run) === within)) for (const run of report.runs) run.name = run.name.slice(within.length);

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
  return wide(section(isClass ? "Worst mistakes" : "Largest errors", isClass ? `${list.length} of ${total} wrong answers, the surest first` : `of ${total} rows`, element("div", { class: list.some(item => item.cells) ? "mistakes cells" : "mistakes" }, list.map(one))));
}

function figures(run) {
  const measured = run.measured;
  const seconds = run.epochs.reduce((sum, epoch) => sum + epoch.seconds, 0);
  const system = [["epochs", run.epochs.length], ["best epoch", `${run.best ?? "–"} by ${run.monitor}`], ["seconds of training", short(seconds)], ["samples a second", short(run.epochs.length ? run.epochs[run.epochs.length - 1].samples_per_second : null)]];
  const peak = Math.max(0, ...run.epochs.map(epoch => epoch.peak_memory ?? 0));
  if (peak) system.push(["peak memory of the process", bytes(peak)]);
  if (run.trained) system.push(["trained", run.trained]);
  if (measured?.device) system.push(["measured on", measured.device]);
  const parts = [section("Run", run.weights, table(["", ""], system, "facts"))];
  if (measured?.figures) parts.unshift(section("Figures", `${measured.rows} ${measured.part} rows${measured.origin ? ": " + measured.origin : ""}`, table(["figure", "value"], [["loss", short(measured.loss)], ...measured.figures])));
  if (measured?.reason) parts.push(section("Not measured", "", element("p", {}, measured.reason)));
  return parts;
}

// The columns of the table: their cells and their features.
function columns({ columns, measured }) {
  if (!columns?.length) return null;
  const rows = columns.map(({ name, kind, becomes }) => { const { missing, distinct, values } = measured?.cells?.[name] ?? {}; return [name, kind, becomes, ...(measured?.cells ? [missing ?? "–", distinct ?? "–", values ?? "–"] : [])]; });
  return wide(section("Columns", measured?.cells ? "over all rows of the table" : "", table(["column", "kind", "the model reads", ...(measured?.cells ? ["missing", "different", "values"] : [])], rows, "columns")));
}

const drawn = run => run.drawn ? wide(section("Model", "", element("div", { class: "scroll" }, element("img", { class: "drawn", src: run.drawn, alt: `the layers of ${run.name}` })))) : null;

function differences() {
  if (report.runs.length < 2) return null;
  const rows = report.differences.map(({ key, values }) => [breakable(key), ...values.map(value => value ?? "–")]);
  return wide(section("What differs", rows.length ? "" : "nothing: the recipes are the same", table(["key", ...report.runs.map(run => run.name)], rows, "long")));
}

function compared() {
  if (report.runs.length < 2) return null;
  const names = [...new Set(report.runs.flatMap(run => (run.measured?.figures || []).map(([name]) => name)))];
  return wide(section("Figures side by side", "each over the rows that its run is measured on", table(["", ...report.runs.map(run => run.name)], names.map(name => [name, ...report.runs.map(run => (run.measured?.figures || []).find(([other]) => other === name)?.[1] ?? "–")]))));
}

// A line a trial through its values; the first axes are the keys, the last one is what it reached.
function parallel({ by, axes, trials }) {
  const width = 260 + 190 * (axes.length - 1), height = 330, top = 34, bottom = 14, left = 70, right = 90;
  const x = i => left + i * (width - left - right) / Math.max(1, axes.length - 1), y = position => height - bottom - position * (height - top - bottom);
  const svg = element("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `the values of each trial and its ${by}`, style: `min-width:${Math.round(width * 0.8)}px;max-width:${width * 1.6}px` });
  const best = Math.ceil(trials.length / 4);
  [...trials].reverse().forEach((trial, i) => {
    const rank = trials.length - i, isGood = rank <= best;
    svg.append(element("path", { d: trial.positions.map((position, k) => `${k ? "L" : "M"}${x(k).toFixed(1)} ${y(position).toFixed(1)}`).join(""), fill: "none", stroke: isGood ? "var(--accent)" : "var(--faint)", "stroke-width": rank === 1 ? 3 : 1.4, "stroke-opacity": isGood ? 0.9 : 0.4 }, element("title", {}, `${rank}. ${trial.name}: ${trial.shown}, ${trial.settings.join(", ")}`)));
  });
  axes.forEach(({ name, ticks }, i) => {
    svg.append(element("line", { class: "axis", x1: x(i), x2: x(i), y1: y(0), y2: y(1), "stroke-width": 2 }), element("text", { x: x(i), y: 14, "text-anchor": "middle" }, name.split(".").slice(-2).join("."), element("title", {}, name)));
    for (const [position, text] of ticks) svg.append(element("text", { x: x(i) + 6, y: y(position) + 4 }, text));
  });
  return wide(section("Trials", `of the sweep by ${by}; the best quarter in colour, the best one bold`, element("div", { class: "scroll" }, svg)));
}

function importance({ importance }) {
  const bar = share => element("td", { style: "text-align:left;min-width:10rem" }, element("div", { style: `background:var(--accent);height:.6rem;border-radius:.2rem;width:${(100 * share).toFixed(1)}%` }));
  return section("Importance of keys", "how much of the differences in rank each key explains by itself", table(["key", "share", ""], importance.map(({ key, share }) => [breakable(key), share === null ? "–" : percent(share), bar(share ?? 0)])));
}

function details(run) {
  const measured = run.measured || {}, classes = measured.classes;
  return [
    ...figures(run),
    ...(classes ? [confusion(classes), perClass(classes), ...thresholds(classes), calibration(classes.calibration)] : []),
    ...(measured.values ? values(measured.values) : []),
    measured.mistakes ? mistakes(measured.mistakes, Boolean(classes)) : null,
    columns(run),
    drawn(run),
    run.summary ? wide(section("As it was trained", "", element("pre", {}, run.summary))) : null,
    wide(section("Recipe", "", element("pre", {}, run.recipe))),
  ].filter(Boolean);
}

function show(chosen) {
  const runs = chosen === null ? report.runs : [report.runs[chosen]];
  const grid = element("div", { class: "grid" });
  if (runs.length > 1) grid.append(...report.sweeps.flatMap(sweep => [parallel(sweep), importance(sweep)]), ...[compared(), differences(), ...curves(runs)].filter(Boolean));
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
