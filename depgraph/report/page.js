
"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const SOFT = 1, STARTUP = 2, RUNTIME = 4, DEPLOY = 8, CONTROL = 16, PARTIAL = 32, WEAK = 64, ASSUMED = 128, STARTED = 256, READY = 512, UNTESTED = 1024, PROVEN = 2048, DISPROVED = 4096, STALE = 8192;
const PHASES = { startup: STARTUP, runtime: RUNTIME, deploy: DEPLOY };
const main = document.getElementById("main");
main.textContent = "";

// el makes an element. Text is only ever set as text, so that a name cannot
// become markup.
function el(tag, attrs, ...children) {
  const svg = ["svg", "g", "path", "rect", "text", "title", "line", "defs", "marker"].includes(tag);
  const e = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [k, v] of Object.entries(attrs || {})) {
    if (k.startsWith("on")) e.addEventListener(k.slice(2), v);
    else if (v !== undefined && v !== null && v !== false) e.setAttribute(k, v);
  }
  for (const c of children) if (c !== null && c !== undefined) e.append(c);
  return e;
}
const S = D.s, E = D.e, out = S.map(() => []), into = S.map(() => []);
const byName = new Map(S.map((s, i) => [s.n, i]));
E.forEach((e, i) => { out[e[0]].push(i); into[e[1]].push(i); });
const place = (f, l) => D.f[f] ? D.f[f] + (l ? ":" + l : "") : "";
// short cuts in the middle: names that share a beginning differ in their ends.
const short = (s) => { const r = [...s]; return r.length > 22 ? r.slice(0, 12).join("") + "…" + r.slice(-9).join("") : s; };
const seconds = (s) => s >= 60 ? Math.floor(s / 60) + "m" + Math.round(s % 60) + "s" : +s.toFixed(2) + "s";
const countOf = (n, noun) => n + " " + noun + (n === 1 ? "" : "s");
const minutes = (m) => m >= 1 ? m.toFixed(0) + " min" : m >= 1 / 60 ? (m * 60).toFixed(0) + " s" : "< 1 s";
function describe(e) {
  const g = D.g[e[3]];
  const phases = Object.keys(PHASES).filter((p) => e[2] & PHASES[p]).join("+");
  const until = (e[2] & STARTED) && (e[2] & READY) ? " until done" : e[2] & STARTED ? " until started" : e[2] & READY ? " until ready" : "";
  return (e[2] & WEAK ? "weak" : e[2] & SOFT ? "soft" : "hard") + (e[3] ? " any " + g.need + " of " + g.of : "") + " " + phases + until + (e[2] & CONTROL ? " control plane" : "") + (e[2] & ASSUMED ? " (assumed)" : "");
}
function serviceLink(name) {
  return el("button", { class: "link", type: "button", onclick: () => { select(byName.get(name)); reveal(byName.get(name)); } }, name);
}

// The blast radius, as the Go engine computes it.
function blast(lost) {
  const state = new Map([[lost, "lost"]]), missing = new Map(), queue = [lost];
  for (let h = 0; h < queue.length; h++) for (const i of into[queue[h]]) {
    const e = E[i];
    if (e[2] & PARTIAL) {
      missing.set(e[3], (missing.get(e[3]) || 0) + 1);
      if (missing.get(e[3]) <= D.g[e[3]].of - D.g[e[3]].need) continue;
    }
    if ((e[2] & RUNTIME) && !(e[2] & SOFT) && !state.has(e[0])) { state.set(e[0], "down"); queue.push(e[0]); }
  }
  const r = { down: [], degraded: new Set(), thin: new Set(), noStart: new Set() };
  for (const [v, s] of state) if (s === "down") r.down.push(v);
  for (const w of queue) for (const i of into[w]) {
    const e = E[i];
    if (state.has(e[0])) continue;
    if (e[2] & PARTIAL) {
      const spare = D.g[e[3]].of - missing.get(e[3]) - D.g[e[3]].need;
      if (spare > 0) continue;
      if (spare === 0) { r.thin.add(e[0]); continue; }
    }
    if ((e[2] & RUNTIME) && (e[2] & SOFT)) r.degraded.add(e[0]);
    else if ((e[2] & STARTUP) && !(e[2] & SOFT) && !(e[2] & RUNTIME)) r.noStart.add(e[0]);
  }
  const names = (x) => [...x].sort((a, b) => a - b);
  return { down: names(r.down), degraded: names(r.degraded), thin: names(r.thin), noStart: names(r.noStart) };
}

// why finds a shortest path, over hard edges if there is one.
function why(a, b) {
  for (const skip of [SOFT, 0]) {
    const via = new Map(), queue = [a];
    for (let h = 0; h < queue.length; h++) for (const i of out[queue[h]]) {
      const w = E[i][1];
      if ((E[i][2] & skip) || via.has(w)) continue;
      via.set(w, i);
      if (w === b) {
        const path = [];
        for (let v = b, first = true; first || v !== a; first = false) { path.unshift(via.get(v)); v = E[via.get(v)][0]; }
        return path;
      }
      queue.push(w);
    }
  }
  return null;
}

// A start, by definition: a service is launched when what it needs at startup
// has happened, is ready one wave later, and serves when all that it needs at
// run time does. Orders without a need are left out. It returns the wave of each
// service, or -1 for what never serves.
function start() {
  const n = S.length, launched = new Array(n).fill(false), wave = new Array(n).fill(-1);
  let ready = new Array(n).fill(false), serves = ready;
  const met = (v, phase, is) => {
    const have = new Map();
    for (const i of out[v]) {
      const e = E[i];
      if (!(e[2] & phase) || (e[2] & SOFT)) continue;
      if (e[2] & PARTIAL) { have.set(e[3], (have.get(e[3]) || 0) + (is(e) ? 1 : 0)); continue; }
      if (!is(e)) return false;
    }
    for (const [g, count] of have) if (count < D.g[g].need) return false;
    return true;
  };
  for (let step = 1; ; step++) {
    ready = launched.slice();
    serves = ready.slice();
    for (let queue = serves.map((_, v) => v).filter((v) => serves[v]), again = true; again; ) {
      again = false;
      for (const v of queue) if (serves[v] && !met(v, RUNTIME, (e) => serves[e[1]])) { serves[v] = false; again = true; }
    }
    const next = [];
    for (let v = 0; v < n; v++) if (!launched[v] && met(v, STARTUP, (e) => !(e[2] & (STARTED | READY)) ? serves[e[1]] : e[2] & READY ? ready[e[1]] : launched[e[1]])) next.push(v);
    if (!next.length) break;
    for (const v of next) { launched[v] = true; wave[v] = step; }
  }
  return wave.map((w, v) => serves[v] ? w : -1);
}

// Controls.
const search = el("input", { type: "search", id: "search", placeholder: "search ( / )", "aria-label": "search services", oninput: filter });
const selects = {};
function choice(id, label, values) {
  selects[id] = el("select", { id, "aria-label": label, onchange: filter }, el("option", { value: "" }, "any " + label), ...values.map((v) => el("option", { value: v }, v)));
  return selects[id];
}
const unique = (key) => [...new Set(S.map((s) => s[key]).filter(Boolean))].sort();
const count = el("span", { class: "dim", id: "count", "aria-live": "polite" });
main.append(el("nav", { "aria-label": "controls" }, search, choice("owner", "owner", unique("o")),
  choice("criticality", "criticality", ["critical", "high", "medium", "low"].filter((c) => S.some((s) => s.c === c))),
  choice("kind", "kind", unique("k")), choice("phase", "phase", Object.keys(PHASES)),
  el("select", { id: "group", "aria-label": "group by", onchange: () => regroup() }, el("option", { value: "" }, "every service"), ...[["o", "by owner"], ["k", "by kind"], ["c", "by criticality"]].filter(([k]) => unique(k).length > 1).map(([k, v]) => el("option", { value: k }, v))),
  el("button", { type: "button", id: "focus", "aria-pressed": "false", title: "show only what is near the selected service", onclick: () => setFocus(!focus.on) }, "focus ( f )"),
  el("select", { id: "hops", "aria-label": "how far the focus reaches", onchange: () => setFocus(true) }, ...["1", "2", "3", "all"].map((h) => el("option", { value: h }, h === "all" ? "all hops" : h + (h === "1" ? " hop" : " hops")))),
  el("select", { id: "direction", "aria-label": "direction of the focus", onchange: () => setFocus(true) }, el("option", { value: "both" }, "both ways"), el("option", { value: "needs" }, "what it needs"), el("option", { value: "needed" }, "what needs it")),
  el("button", { type: "button", onclick: () => fit() }, "fit ( 0 )"), el("button", { type: "button", id: "clear", onclick: clearAll }, "clear ( Esc )"),
  el("button", { type: "button", onclick: theme }, "light / dark"), count));

// The graph.
const [W, H, NW, NH] = D.size;
const svg = el("svg", { id: "graph", role: "group", "aria-label": "dependency graph; columns are startup waves" },
  el("defs", {}, el("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, el("path", { d: "M0 0L8 4L0 8z" }))));
const panel = el("aside", { id: "panel", "aria-live": "polite" });
const whatIf = el("p", { id: "whatif", "aria-live": "polite" });
main.append(whatIf);
main.append(el("div", { id: "stage" }, svg, panel));
for (const c of D.columns || []) svg.append(el("text", { class: "column", x: c.X + c.Width / 2, y: 30 }, c.Title));
const cyclic = new Set();
for (const c of D.cycles) if (c.kind !== "soft") for (const e of c.cycle) cyclic.add(e.from + "\u0000" + e.to);
// Edges run through the gaps between boxes, as in route.go. boxes have x and y.
const GAP = D.gap;
function lanesOf(boxes) {
  const at = new Map();
  for (const b of boxes) { if (!at.has(b.x)) at.set(b.x, []); at.get(b.x).push(b.y); }
  const xs = [...at.keys()].sort((a, b) => a - b);
  return { xs, index: new Map(xs.map((x, i) => [x, i])), ys: xs.map((x) => at.get(x).sort((a, b) => a - b)) };
}
function route(l, a, b, edge, w, h) {
  const i = l.index.get(a.x), j = l.index.get(b.x), f = (v) => +v.toFixed(1);
  if (i === j) {
    const room = i + 1 < l.xs.length ? l.xs[i + 1] - l.xs[i] - w : 96, x = a.x + w / 2, bend = Math.min(40, room * 0.9);
    return `M${f(x)} ${a.y}C${f(x + bend)} ${a.y} ${f(x + bend)} ${b.y} ${f(x)} ${b.y}`;
  }
  const step = j < i ? -1 : 1;
  let x = a.x + step * w / 2, y = a.y, d = `M${f(x)} ${f(y)}`;
  const curve = (nx, ny) => { const m = f((x + nx) / 2); d += `C${m} ${f(y)} ${m} ${f(ny)} ${f(nx)} ${f(ny)}`; x = nx; y = ny; };
  for (let k = i + step; k !== j; k += step) {
    let want = a.y + (l.xs[k] - a.x) / (b.x - a.x) * (b.y - a.y);
    const near = l.ys[k].find((v) => Math.abs(v - want) <= h / 2 + 3);
    if (near !== undefined) want = near + (want < near ? -1 : 1) * (h + GAP) / 2 + (edge % 5 - 2) * 1.5;
    curve(l.xs[k] - step * w / 2, want);
    x = l.xs[k] + step * w / 2;
    d += `L${f(x)} ${f(y)}`;
  }
  curve(b.x - step * w / 2, b.y);
  return d;
}
const LANES = lanesOf(S);
const SHAPES = { app: "M-4 -4h8v8h-8z", cloud: "M-5 3a3 3 0 0 1 1 -5a4 4 0 0 1 7 1a2.5 2.5 0 0 1 1 4z", datastore: "M-4 -3a4 2 0 0 1 8 0v6a4 2 0 0 1 -8 0zM-4 -3a4 2 0 0 0 8 0",
  queue: "M-5 -3h10M-5 0h10M-5 3h10", external: "M-4 4L4 -4M-1 -4h5v5", observer: "M-5 0q5 -6 10 0q-5 6 -10 0zM-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0 -3 0", infra: "M-5 -4h10v3h-10zM-5 1h10v3h-10z" };
const icon = (kind, x, y) => SHAPES[kind] ? el("path", { class: "icon", d: SHAPES[kind], transform: `translate(${x} ${y})` }) : null;
const edgeClass = (e) => "edge" + (e[2] & SOFT ? " soft" : "") + (e[2] & WEAK ? " weak" : "") + (e[2] & SOFT ? (e[2] & PROVEN ? " proven" : e[2] & DISPROVED ? " disproved" : e[2] & STALE ? " stale" : e[2] & UNTESTED ? " untested" : "") : "") + (cyclic.has(S[e[0]].n + "\u0000" + S[e[1]].n) ? " cycle" : "");
const edgeEls = E.map((e, i) => {
  const a = S[e[0]], b = S[e[1]];
  const p = el("path", { d: route(LANES, a, b, i, NW, NH), "marker-end": "url(#arrow)", class: edgeClass(e), onclick: () => edgeDetails(i) },
    el("title", {}, a.n + " needs " + b.n + "\n" + describe(e) + "\n" + place(e[4], e[5])));
  svg.append(p);
  return p;
});
const nodeEls = S.map((s, i) => {
  const g = el("g", { class: "node" + (s.b ? " blocked" : ""), tabindex: i ? -1 : 0, role: "button", "aria-label": s.n + (s.k ? ", " + s.k : "") + (s.b ? ", blocked by a cycle" : ", wave " + s.w),
    onclick: () => select(i), onfocus: () => roam(i), onkeydown: (ev) => step(ev, i) },
    el("rect", { x: s.x - NW / 2, y: s.y - NH / 2, width: NW, height: NH, rx: 5 }), icon(s.k, s.x - NW / 2 + 12, s.y),
    el("text", { x: s.x + (SHAPES[s.k] ? 8 : 0), y: s.y + 4, "text-anchor": "middle" }, short(s.n)),
    el("title", {}, [s.n, s.o && "owner " + s.o, s.k, s.c].filter(Boolean).join("\n")));
  svg.append(g);
  return g;
});

// One tab stop for the whole graph: arrow keys go from box to box.
let stop = 0;
function roam(i) {
  if (nodeEls[stop]) nodeEls[stop].setAttribute("tabindex", -1);
  stop = i;
  nodeEls[i].setAttribute("tabindex", 0);
}
function step(ev, i) {
  if (ev.key === "Enter" || ev.key === " ") { ev.preventDefault(); select(i); return; }
  const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[ev.key];
  if (!way) return;
  ev.preventDefault();
  ev.stopPropagation();
  let best = -1, least = Infinity;
  S.forEach((s, v) => {
    const along = (s.x - S[i].x) * way[0] + (s.y - S[i].y) * way[1], across = Math.abs((s.x - S[i].x) * way[1]) + Math.abs((s.y - S[i].y) * way[0]);
    if (v !== i && along > 1 && along + 3 * across < least && shownNode(v)) { least = along + 3 * across; best = v; }
  });
  if (best >= 0) { nodeEls[best].focus(); reveal(best, true); }
}
const shownNode = (v) => !nodeEls[v].classList.contains("hidden") && !nodeEls[v].classList.contains("off");

// Focus: the neighbourhood of the selected service, and nothing else.
const focus = { on: false };
function near(i) {
  const hops = document.getElementById("hops").value, way = document.getElementById("direction").value;
  const seen = new Set([i]);
  const walk = (rows, end) => {
    let edge = [i], mine = new Set([i]);
    for (let h = 0; edge.length && (hops === "all" || h < +hops); h++) {
      const next = [];
      for (const v of edge) for (const e of rows[v]) { const w = E[e][end]; if (!mine.has(w)) { mine.add(w); seen.add(w); next.push(w); } }
      edge = next;
    }
  };
  if (way !== "needed") walk(out, 1);
  if (way !== "needs") walk(into, 0);
  return seen;
}
function setFocus(on) {
  focus.on = on && selected >= 0;
  document.getElementById("focus").setAttribute("aria-pressed", focus.on);
  const keep = focus.on ? near(selected) : null;
  nodeEls.forEach((n, v) => n.classList.toggle("off", keep !== null && !keep.has(v)));
  edgeEls.forEach((p, e) => p.classList.toggle("off", keep !== null && !(keep.has(E[e][0]) && keep.has(E[e][1]))));
  count.textContent = keep ? keep.size + " of " + S.length + " in focus" : count.textContent;
  if (!keep) { filter(); return; }
  const xs = [...keep].map((v) => S[v].x), ys = [...keep].map((v) => S[v].y);
  show(Math.min(...xs) - NW, Math.min(...ys) - 3 * NH, Math.max(...xs) + NW, Math.max(...ys) + 3 * NH);
}

// Groups: owners, kinds or levels instead of services. A click opens one.
const AUTO = 150, groupLayer = el("g", { id: "groups" });
svg.append(groupLayer);
const groupSelect = document.getElementById("group");
function regroup() {
  const key = groupSelect.value;
  svg.classList.toggle("grouped", key !== "");
  groupLayer.replaceChildren();
  if (!key) { fit(); return; }
  const w = 190, h = 34, groups = new Map();
  S.forEach((s) => { const n = s[key] || "(none)"; if (!groups.has(n)) groups.set(n, { n, size: 0, sum: 0 }); const g = groups.get(n); g.size++; g.sum += s.w; });
  const list = [...groups.values()].sort((a, b) => a.sum / a.size - b.sum / b.size || (a.n < b.n ? -1 : 1));
  const per = Math.max(1, Math.ceil(Math.sqrt(list.length * 1.5)));
  list.forEach((g, i) => { g.x = 140 + Math.floor(i / per) * (w + 110); g.y = 70 + (i % per) * (h + GAP + 10); });
  const links = new Map();
  for (const e of E) {
    const a = S[e[0]][key] || "(none)", b = S[e[1]][key] || "(none)";
    if (a !== b) { const k = JSON.stringify([a, b]); links.set(k, (links.get(k) || 0) + 1); }
  }
  const lanes = lanesOf(list);
  [...links].sort((a, b) => b[1] - a[1]).slice(0, 600).forEach(([k, n], i) => {
    const [a, b] = JSON.parse(k);
    groupLayer.append(el("path", { class: "edge", d: route(lanes, groups.get(a), groups.get(b), i, w, h), "marker-end": "url(#arrow)", style: "" , "stroke-width": Math.min(6, 1 + Math.log2(n)).toFixed(1) }, el("title", {}, a + " needs " + b + " " + n + " times")));
  });
  for (const g of list) {
    const open = () => { groupSelect.value = ""; regroup(); const f = { o: "owner", k: "kind", c: "criticality" }[key]; if (g.n !== "(none)") setFilter(f, g.n); };
    groupLayer.append(el("g", { class: "group", tabindex: 0, role: "button", "aria-label": g.n + ", " + g.size + " services; opens", onclick: open, onkeydown: (ev) => { if (ev.key === "Enter" || ev.key === " ") { ev.preventDefault(); open(); } } },
      el("rect", { x: g.x - w / 2, y: g.y - h / 2, width: w, height: h, rx: 8 }), el("text", { x: g.x, y: g.y + 4, "text-anchor": "middle" }, short(g.n) + " (" + g.size + ")")));
  }
  show(0, 0, Math.max(...list.map((g) => g.x)) + w, Math.max(...list.map((g) => g.y)) + h * 2);
}
function setFilter(id, value) {
  if (selects[id]) { selects[id].value = value; filter(); }
  const ys = S.map((s, v) => v).filter(shownNode);
  if (ys.length) show(Math.min(...ys.map((v) => S[v].x)) - NW, Math.min(...ys.map((v) => S[v].y)) - 3 * NH, Math.max(...ys.map((v) => S[v].x)) + NW, Math.max(...ys.map((v) => S[v].y)) + 3 * NH);
}

// Pan and zoom.
let view = [0, 0, W, H];
function apply() { svg.setAttribute("viewBox", view.map((v) => v.toFixed(1)).join(" ")); }
function fit() { view = [0, 0, Math.max(W, 400), Math.max(H, 200)]; apply(); }
// begin gives the drawing no more room than it needs, and shows all of it, or,
// where that would be too small to read, as on a phone, where it begins.
const LEGIBLE = 0.7;
function begin() {
  const width = svg.clientWidth || 800, k = Math.min(Math.max(width / Math.max(W, 400), LEGIBLE), 1.15);
  const height = Math.round(Math.min(Math.max(H * k + 24, svg.parentNode.offsetWidth > 800 ? 380 : 220), innerHeight * 0.68));
  svg.parentNode.style.setProperty("--drawing", height + "px");
  if (width / Math.max(W, 400) >= LEGIBLE) { fit(); return; }
  const h = height / LEGIBLE;
  view = [0, Math.min(0, (H - h) / 2), width / LEGIBLE, h];
  apply();
}
function show(x1, y1, x2, y2) { // no larger than life
  const least = svg.clientWidth || 600, w = Math.max(x2 - x1, least), h = Math.max(y2 - y1, 120);
  view = [x1 - (w - (x2 - x1)) / 2, y1 - (h - (y2 - y1)) / 2, w, h];
  apply();
}
function zoom(f, cx, cy) {
  const w = Math.min(Math.max(view[2] * f, 120), W * 8 + 800), k = w / view[2];
  view = [cx - (cx - view[0]) * k, cy - (cy - view[1]) * k, w, view[3] * k];
  apply();
}
function point(ev) {
  const m = svg.getScreenCTM();
  return m ? new DOMPoint(ev.clientX, ev.clientY).matrixTransform(m.inverse()) : { x: 0, y: 0 };
}
svg.addEventListener("wheel", (ev) => { ev.preventDefault(); const p = point(ev); zoom(ev.deltaY > 0 ? 1.15 : 1 / 1.15, p.x, p.y); }, { passive: false });
let drag = null;
svg.addEventListener("pointerdown", (ev) => { if (!ev.target.closest(".node")) { drag = point(ev); svg.setPointerCapture(ev.pointerId); } });
svg.addEventListener("pointermove", (ev) => { if (drag) { const p = point(ev); view[0] += drag.x - p.x; view[1] += drag.y - p.y; apply(); } });
svg.addEventListener("pointerup", () => { drag = null; });
svg.addEventListener("pointercancel", () => { drag = null; });
// reveal moves to a service, near enough to read it. What is in view already
// stays where it is.
function reveal(i, gently) {
  const s = S[i], legible = (svg.clientWidth || 800) * 1.15;
  const inside = s.x - NW / 2 > view[0] && s.x + NW / 2 < view[0] + view[2] && s.y > view[1] && s.y < view[1] + view[3];
  if (inside && view[2] <= legible) return;
  const w = Math.min(view[2], legible), h = w * view[3] / view[2];
  view = [s.x - w / 2, s.y - h / 2, w, h];
  apply();
  if (!gently) svg.scrollIntoView({ block: "nearest" });
}

// Search and filters.
function filter() {
  const q = search.value.trim().toLowerCase(), o = selects.owner.value, c = selects.criticality.value, ph = PHASES[selects.phase.value] || 0;
  let shown = 0, hits = 0, last = -1;
  const visible = S.map((s, i) => {
    const ok = (!o || s.o === o) && (!c || s.c === c) && (!selects.kind.value || s.k === selects.kind.value);
    const hit = q !== "" && s.n.toLowerCase().includes(q);
    nodeEls[i].classList.toggle("hidden", !ok);
    nodeEls[i].classList.toggle("hit", ok && hit);
    if (ok) shown++;
    if (ok && hit) { hits++; last = i; }
    return ok;
  });
  E.forEach((e, i) => edgeEls[i].classList.toggle("hidden", !visible[e[0]] || !visible[e[1]] || (ph !== 0 && !(e[2] & ph))));
  count.textContent = q ? hits + " of " + shown + " match" : shown + " services";
  if (hits === 1) reveal(last);
}
search.addEventListener("keydown", (ev) => {
  if (ev.key !== "Enter") return;
  const i = nodeEls.findIndex((n) => n.classList.contains("hit"));
  if (i >= 0) { select(i); reveal(i); }
});

// Selection.
let selected = -1;
function unmark() {
  for (const n of nodeEls) n.classList.remove("selected", "down", "degraded", "thin", "faded");
  for (const p of edgeEls) p.classList.remove("faded", "path");
}
function select(i) {
  if (i === undefined) return;
  selected = i;
  if (groupSelect.value) { groupSelect.value = ""; regroup(); reveal(i, true); }
  roam(i);
  unmark();
  link(S[i].n);
  const r = blast(i), near = new Set([i, ...r.down, ...r.degraded, ...r.thin, ...r.noStart]);
  for (const e of out[i]) near.add(E[e][1]);
  nodeEls.forEach((n, v) => n.classList.toggle("faded", !near.has(v)));
  edgeEls.forEach((p, e) => p.classList.toggle("faded", !near.has(E[e][0]) || !near.has(E[e][1])));
  nodeEls[i].classList.add("selected");
  for (const v of r.down) nodeEls[v].classList.add("down");
  for (const v of r.degraded) nodeEls[v].classList.add("degraded");
  for (const v of r.thin) nodeEls[v].classList.add("thin");
  details(i, r);
  if (focus.on) setFocus(true);
}
// link puts the selected service into the address, so that it can be sent.
function link(name) {
  try { history.replaceState(null, "", name === "" ? location.pathname + location.search : "#" + encodeURIComponent(name)); } catch { /* some viewers have no address */ }
}
function follow() {
  let name = "";
  try { name = decodeURIComponent(location.hash.slice(1)); } catch { return; }
  const i = byName.get(name);
  if (i === undefined || i === selected) return;
  select(i);
  reveal(i);
}
window.addEventListener("hashchange", follow);

// What if an edge were soft? The start and the blast radius follow.
const before = start();
function waveCount(w) { return w.reduce((a, b) => Math.max(a, b), 0); }
function soften(i) {
  const on = !(E[i][2] & SOFT), all = E[i][2] & PARTIAL ? out[E[i][0]].filter((o) => E[o][3] === E[i][3]) : [i];
  for (const e of all) { E[e][2] ^= SOFT; edgeEls[e].setAttribute("class", edgeClass(E[e])); edgeEls[e].classList.toggle("whatif", E[e][7] = on); }
  const now = start(), blocked = (w) => w.filter((x) => x < 0).length;
  now.forEach((w, v) => nodeEls[v].classList.toggle("blocked", w < 0));
  changed = E.filter((e) => e[7]).length;
  whatIf.replaceChildren(...(changed ? [el("strong", {}, "What if"), " " + changed + (changed === 1 ? " edge is" : " edges are") + " soft: ", el("span", { id: "whatif-blocked" }, blocked(now) + " blocked"),
    " instead of " + blocked(before) + ", ", el("span", { id: "whatif-waves" }, waveCount(now) + " waves"), " instead of " + waveCount(before) + ". ", el("button", { type: "button", onclick: undo }, "undo")] : []));
  const keep = selected;
  if (keep >= 0) select(keep);
  return on;
}
function undo() { E.forEach((e, i) => { if (e[7]) soften(i); }); }
let changed = 0;
function whatIfButton(i) {
  const e = E[i];
  if ((e[2] & SOFT) && !e[7]) return null;
  return el("button", { type: "button", class: "link", onclick: () => { soften(i); if (selected < 0) edgeDetails(i); } }, e[7] ? "hard again" : "what if soft?");
}
function edgeDetails(i) {
  const e = E[i];
  panel.replaceChildren(el("h2", {}, S[e[0]].n + " needs " + S[e[1]].n), el("p", {}, describe(e)), el("p", { class: "dim" }, place(e[4], e[5]) + (e[6] ? " " + D.t[e[6]] : "")),
    el("p", { id: "edge-whatif" }, whatIfButton(i)), el("p", {}, serviceLink(S[e[0]].n), " · ", serviceLink(S[e[1]].n)));
}
function details(i, r) {
  const s = S[i];
  const list = (title, vs, id) => [el("h3", {}, title + " (" + vs.length + ")"), el("ul", { id }, ...vs.slice(0, 200).map((v) => el("li", {}, serviceLink(S[v].n))),
    vs.length > 200 ? el("li", {}, "and " + (vs.length - 200) + " more") : null)];
  const target = el("input", { id: "why-target", list: "names", placeholder: "another service", "aria-label": "why does it depend on" });
  const result = el("div", { id: "why" });
  const ask = () => showWhy(i, byName.get(target.value), result, target.value);
  panel.replaceChildren(...[el("h2", {}, s.n),
    el("p", { class: "dim" }, [s.o && "owner " + s.o, s.k, s.c && "criticality " + s.c, s.start && "starts in " + seconds(s.start), s.target && "target " + s.target + "%", s.own && "own " + s.own + "%", s.b ? "blocked by a cycle" : "wave " + s.w].filter(Boolean).join(" · ")),
    s.note ? el("p", {}, s.note) : null, s.verify ? el("p", {}, "verify: " + s.verify) : null, el("p", { class: "dim" }, place(s.f, s.l)),
    ...list("goes down with it", r.down, "down"), ...list("degraded", r.degraded, "degraded"), ...list("loses redundancy", r.thin, "thin"), ...list("cannot restart", r.noStart, "nostart"),
    el("h3", {}, "depends on (" + out[i].length + ")"), el("ul", { id: "needs" }, ...out[i].map((e) => el("li", {}, serviceLink(S[E[e][1]].n), el("span", { class: "dim" }, " " + describe(E[e]) + " " + place(E[e][4], E[e][5]) + (E[e][6] ? " " + D.t[E[e][6]] : "") + " "), whatIfButton(e)))),
    el("h3", {}, "why does it depend on"), el("form", { onsubmit: (ev) => { ev.preventDefault(); ask(); } }, target, " ", el("button", { type: "submit", id: "ask" }, "why")), result].filter(Boolean));
}
function showWhy(a, b, where, typed) {
  if (b === undefined) { where.replaceChildren(el("p", {}, "no service is named " + typed)); return; }
  const path = why(a, b);
  for (const p of edgeEls) p.classList.remove("path");
  if (!path) { where.replaceChildren(el("p", {}, "it does not")); return; }
  for (const e of path) { edgeEls[e].classList.add("path"); edgeEls[e].classList.remove("faded"); for (const v of [E[e][0], E[e][1]]) nodeEls[v].classList.remove("faded"); }
  where.replaceChildren(el("ol", {}, ...path.map((e) => el("li", {}, S[E[e][0]].n + " needs " + S[E[e][1]].n, el("span", { class: "dim" }, " " + describe(E[e]) + " " + place(E[e][4], E[e][5]))))));
}
function clearAll() {
  selected = -1;
  setFocus(false);
  undo();
  link("");
  search.value = "";
  for (const k in selects) selects[k].value = "";
  unmark();
  filter();
  intro();
}
function legend() {
  const line = (cls) => el("svg", { viewBox: "0 0 34 10", width: 34, height: 10, "aria-hidden": "true" }, el("path", { class: "edge " + cls, d: "M1 5H33" }));
  const box = (cls) => el("svg", { viewBox: "0 0 34 18", width: 34, height: 18, "aria-hidden": "true" }, el("g", { class: "key " + cls }, el("rect", { x: 2, y: 2, width: 30, height: 14, rx: 3 })));
  return el("details", { id: "legend" }, el("summary", {}, "Legend"), el("ul", {},
    ...[["", "hard: down without it"], ["soft", "soft: works without it"], ["soft weak", "weak: an order, no need"], ...(E.some((e) => e[2] & (UNTESTED | PROVEN | DISPROVED | STALE)) ? [["soft proven", "soft, proven by a drill"], ["soft disproved", "soft, disproved by a drill"], ["soft stale", "soft, proven too long ago"], ["soft untested", "soft, never tested"]] : []), ["cycle", "part of a cycle"]].map(([c, t]) => el("li", {}, line(c), " ", t)),
    ...[["blocked", "never starts after a full stop"], ["selected", "selected"], ["down", "goes down with it"], ["degraded", "degraded"], ["thin", "loses redundancy"]].map(([c, t]) => el("li", {}, box(c), " ", t)),
    ...unique("k").map((k) => el("li", {}, el("svg", { viewBox: "-8 -8 16 16", width: 16, height: 16, "aria-hidden": "true" }, icon(k, 0, 0)), " ", k))));
}
function intro() {
  panel.replaceChildren(el("h2", {}, "How to read this"),
    el("p", {}, "Columns are startup waves: what stands further left has to be up first. An arrow leads to what is needed; dashed arrows are soft, thick ones are part of a cycle. Nodes with a thick dashed frame never start after a full stop; they stand where they would be once the proposed edges are soft."),
    el("p", {}, "Click a service to see what goes down with it, or press Tab, arrow keys and Enter. Click an edge, or \"what if soft?\" beside it, to see what the start would be. ", el("kbd", {}, "/"), " searches, ", el("kbd", {}, "f"), " shows only what is near, ", el("kbd", {}, "+"), " and ", el("kbd", {}, "-"), " zoom, arrow keys move the view, ", el("kbd", {}, "0"), " fits, ", el("kbd", {}, "Esc"), " clears."),
    legend(), el("h3", {}, "Takes most others down"), el("ul", {}, ...S.map((_, i) => i).filter((i) => D.impact[i] > 0).sort((a, b) => D.impact[b] - D.impact[a]).slice(0, 10).map((i) => el("li", {}, serviceLink(S[i].n), " " + D.impact[i]))));
}
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}
document.addEventListener("keydown", (ev) => {
  if (ev.key === "Escape") { clearAll(); return; }
  if (ev.target.matches("input, select") || ev.ctrlKey || ev.metaKey || ev.altKey) return;
  const cx = view[0] + view[2] / 2, cy = view[1] + view[3] / 2, step = view[2] / 12;
  const keys = { f: () => setFocus(!focus.on), "/": () => search.focus(), "+": () => zoom(1 / 1.2, cx, cy), "-": () => zoom(1.2, cx, cy), "0": fit,
    ArrowLeft: () => { view[0] -= step; apply(); }, ArrowRight: () => { view[0] += step; apply(); }, ArrowUp: () => { view[1] -= step; apply(); }, ArrowDown: () => { view[1] += step; apply(); } };
  if (keys[ev.key]) { ev.preventDefault(); keys[ev.key](); }
});

// Sections below the graph.
function section(id, title, ...children) { main.append(el("section", { id, "aria-label": title }, el("h2", {}, title), ...children)); }
const TITLES = { "bootstrap-deadlock": "Bootstrap deadlock: never comes up after a full stop", runtime: "Runtime cycle: fails together", ordering: "Ordering cycle: some order is not kept", soft: "Soft cycle: open because an edge is soft", deploy: "Deploy cycle" };
section("cycles", "Cycles (" + D.cycles.length + ")", D.cycles.length ? null : el("p", {}, "None."),
  ...D.cycles.map((c, i) => el("div", { class: "cycle-box " + c.kind }, el("strong", {}, (TITLES[c.kind] || c.kind)), el("span", { class: "dim" }, " component of " + c.services.length + ", " + c.edges + " edges"),
    el("ol", {}, ...c.cycle.map((e) => el("li", {}, serviceLink(e.from), " needs ", serviceLink(e.to), el("span", { class: "dim" }, " " + (e.soft ? "soft " : "hard ") + e.phase.join("+") + " " + e.file + (e.line ? ":" + e.line : ""))))),
    ...(c.break_glass || []).map((e) => el("p", {}, "By hand: " + e.from + " → " + e.to + ": " + e.break_glass)), D.fixes[i] ? el("p", {}, el("strong", {}, "Fix: "), D.fixes[i]) : null)));
function gantt() {
  const t = D.order.timeline.slice(0, 400), total = D.order.critical_path.seconds, row = 18, left = 190, width = 1000;
  const g = el("svg", { id: "gantt", viewBox: "0 0 " + (left + width + 60) + " " + (t.length * row + 24), role: "img", "aria-label": "timeline of a full start" });
  for (let i = 0; i <= 5; i++) {
    const x = left + width * i / 5;
    g.append(el("line", { x1: x, x2: x, y1: 18, y2: t.length * row + 20 }), el("text", { x, y: 12, "text-anchor": "middle" }, seconds(total * i / 5)));
  }
  t.forEach((s, i) => g.append(el("text", { x: left - 6, y: i * row + 33, "text-anchor": "end" }, short(s.service) + (s.critical ? " ◆" : "")),
    el("rect", { class: s.critical ? "critical" : "", x: left + width * s.begin / total, y: i * row + 22, height: row - 5, width: Math.max(2, width * (s.ready - s.begin) / total), rx: 2 },
      el("title", {}, s.service + ": " + seconds(s.begin) + " to " + seconds(s.ready)))));
  return g;
}
section("order", "Start order (" + D.order.waves.length + " waves)",
  D.order.blocked.length ? el("p", { class: "bad" }, "Blocked: " + D.order.blocked.slice(0, 100).join(", ") + (D.order.blocked.length > 100 ? " and " + (D.order.blocked.length - 100) + " more" : "")) : null,
  D.order.critical_path.seconds > 0 ? el("p", {}, "Critical path, " + seconds(D.order.critical_path.seconds) + " (◆): " + D.order.critical_path.services.join(" → ")) : el("p", { class: "dim" }, "No start durations are declared, so there is no timeline."),
  D.order.critical_path.seconds > 0 ? gantt() : null,
  D.order.timeline.length > 400 && D.order.critical_path.seconds > 0 ? el("p", { class: "dim" }, "The first 400 of " + D.order.timeline.length + " services are shown.") : null,
  el("ol", {}, ...D.order.waves.map((w) => el("li", {}, w.slice(0, 200).join(", ") + (w.length > 200 ? " and " + (w.length - 200) + " more" : "")))));
function head(...names) { return el("thead", {}, el("tr", {}, ...names.map((n) => el("th", { scope: "col" }, n)))); }
section("availability", "Availability",
  D.avail.length ? el("table", {}, head("service", "availability", "down a year", "target", "what costs it, a year"), el("tbody", {}, ...D.avail.map((a) => el("tr", {}, el("td", {}, serviceLink(S[a.s].n)),
    el("td", {}, a.v + (a.exact ? "" : " (estimate)")), el("td", {}, a.m), el("td", { class: a.missed ? "bad" : "" }, a.target ? a.target + (a.missed ? " missed" : " kept") : ""),
    el("td", {}, a.i.map((x) => x.service + " " + minutes(x.minutes_per_year)).join(", ")))))) : el("p", { class: "dim" }, "No manifest declares an availability."),
  D.availLeft && D.avail.length ? el("p", { class: "dim" }, D.availLeft + " less critical services are left out.") : null,
  el("ul", { class: "dim" }, ...D.assumptions.map((a) => el("li", {}, a))));
section("findings", D.checked ? "Findings (" + D.findings.length + ")" : "Findings", D.findings.length ? el("table", {}, head("severity", "rule", "finding", "place", "fix"), el("tbody", {}, ...D.findings.slice(0, 1000).map((f) =>
  el("tr", {}, el("td", { class: f.severity === "error" ? "bad" : "" }, f.severity), el("td", {}, f.rule), el("td", {}, f.message), el("td", {}, f.file + (f.line ? ":" + f.line : "")), el("td", { class: "dim" }, f.fix || ""))))) : el("p", {}, D.checked ? "None." : "Not checked: the rules were not run for this page."));
section("services", "Services (" + S.length + ")", el("table", {}, head("service", "owner", "kind", "criticality", "wave", "takes down", "place"), el("tbody", {}, ...S.map((s, i) =>
  el("tr", {}, el("td", {}, serviceLink(s.n)), el("td", {}, s.o || ""), el("td", {}, s.k || ""), el("td", {}, s.c || ""), el("td", {}, s.b ? "blocked" : String(s.w)), el("td", {}, String(D.impact[i])), el("td", { class: "dim" }, place(s.f, s.l)))))));
main.append(el("datalist", { id: "names" }, ...S.slice(0, 5000).map((s) => el("option", { value: s.n }))));
document.getElementById("summary").textContent = S.length + " services, " + E.length + " dependencies, " + countOf(D.cycles.filter((c) => c.kind !== "soft").length, "hard cycle") + ", " + countOf(D.order.waves.length, "wave");
// The headline: what an architect asks first.
const health = document.getElementById("health");
for (const h of D.health) health.append(el("li", { class: h.bad ? "bad" : "" }, el("strong", {}, h.n), " " + h.label));
begin();
filter();
intro();
if (S.length > AUTO && groupSelect.options.length > 1 && location.hash === "") { groupSelect.value = groupSelect.options[1].value; regroup(); }
follow();
window.addEventListener("beforeprint", fit);
})();
