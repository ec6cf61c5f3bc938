
"use strict";
(() => {
const D = JSON.parse(document.getElementById("data").textContent);
const SOFT = 1, STARTUP = 2, RUNTIME = 4, DEPLOY = 8, CONTROL = 16, PARTIAL = 32;
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
const short = (s) => [...s].length > 24 ? [...s].slice(0, 23).join("") + "…" : s;
const seconds = (s) => s >= 60 ? Math.floor(s / 60) + "m" + Math.round(s % 60) + "s" : +s.toFixed(2) + "s";
const minutes = (m) => m >= 1 ? m.toFixed(0) + " min" : m >= 1 / 60 ? (m * 60).toFixed(0) + " s" : "< 1 s";
function describe(e) {
  const g = D.g[e[3]];
  const phases = Object.keys(PHASES).filter((p) => e[2] & PHASES[p]).join("+");
  return (e[2] & SOFT ? "soft" : "hard") + (e[3] ? " any " + g.need + " of " + g.of : "") + " " + phases + (e[2] & CONTROL ? " control plane" : "");
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
  choice("phase", "phase", Object.keys(PHASES)),
  el("button", { type: "button", onclick: () => fit() }, "fit ( 0 )"), el("button", { type: "button", id: "clear", onclick: clearAll }, "clear ( Esc )"),
  el("button", { type: "button", onclick: theme }, "light / dark"), count));

// The graph.
const [W, H, NW, NH] = D.size;
const svg = el("svg", { id: "graph", role: "group", "aria-label": "dependency graph; columns are startup waves" },
  el("defs", {}, el("marker", { id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 8, markerHeight: 8, markerUnits: "userSpaceOnUse", orient: "auto" }, el("path", { d: "M0 0L8 4L0 8z" }))));
const panel = el("aside", { id: "panel", "aria-live": "polite" });
main.append(el("div", { id: "stage" }, svg, panel));
for (const c of D.columns || []) svg.append(el("text", { class: "column", x: c.X + c.Width / 2, y: 30 }, c.Title));
const cyclic = new Set();
for (const c of D.cycles) if (c.kind !== "soft") for (const e of c.cycle) cyclic.add(e.from + "\u0000" + e.to);
function curve(a, b) {
  let x1 = a.x - NW / 2, x2 = b.x + NW / 2, bend = (x1 - x2) / 2, c2;
  if (a.x === b.x) { x1 = a.x + NW / 2; bend = -40; c2 = x2 + 40; }
  else if (a.x < b.x) { x1 = a.x + NW / 2; x2 = b.x - NW / 2; bend = (x1 - x2) / 2; }
  if (c2 === undefined) c2 = x2 + bend;
  return `M${x1} ${a.y}C${x1 - bend} ${a.y} ${c2} ${b.y} ${x2} ${b.y}`;
}
const edgeEls = E.map((e) => {
  const a = S[e[0]], b = S[e[1]];
  const p = el("path", { d: curve(a, b), "marker-end": "url(#arrow)", class: "edge" + (e[2] & SOFT ? " soft" : "") + (cyclic.has(a.n + "\u0000" + b.n) ? " cycle" : "") },
    el("title", {}, a.n + " needs " + b.n + "\n" + describe(e) + "\n" + place(e[4], e[5])));
  svg.append(p);
  return p;
});
const nodeEls = S.map((s, i) => {
  const g = el("g", { class: "node" + (s.b ? " blocked" : ""), tabindex: 0, role: "button", "aria-label": s.n + (s.b ? ", blocked by a cycle" : ", wave " + s.w),
    onclick: () => select(i), onkeydown: (ev) => { if (ev.key === "Enter" || ev.key === " ") { ev.preventDefault(); select(i); } } },
    el("rect", { x: s.x - NW / 2, y: s.y - NH / 2, width: NW, height: NH, rx: 5 }), el("text", { x: s.x, y: s.y + 4, "text-anchor": "middle" }, short(s.n)),
    el("title", {}, [s.n, s.o && "owner " + s.o, s.k, s.c].filter(Boolean).join("\n")));
  svg.append(g);
  return g;
});

// Pan and zoom.
let view = [0, 0, W, H];
function apply() { svg.setAttribute("viewBox", view.map((v) => v.toFixed(1)).join(" ")); }
function fit() { view = [0, 0, Math.max(W, 400), Math.max(H, 200)]; apply(); }
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
function reveal(i) {
  const s = S[i], w = Math.min(view[2], Math.max(W * 0.6, 900)), h = w * view[3] / view[2];
  view = [s.x - w / 2, s.y - h / 2, w, h];
  apply();
  svg.scrollIntoView({ block: "nearest" });
}

// Search and filters.
function filter() {
  const q = search.value.trim().toLowerCase(), o = selects.owner.value, c = selects.criticality.value, ph = PHASES[selects.phase.value] || 0;
  let shown = 0, hits = 0, last = -1;
  const visible = S.map((s, i) => {
    const ok = (!o || s.o === o) && (!c || s.c === c);
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
  unmark();
  const r = blast(i), near = new Set([i, ...r.down, ...r.degraded, ...r.thin, ...r.noStart]);
  for (const e of out[i]) near.add(E[e][1]);
  nodeEls.forEach((n, v) => n.classList.toggle("faded", !near.has(v)));
  edgeEls.forEach((p, e) => p.classList.toggle("faded", !near.has(E[e][0]) || !near.has(E[e][1])));
  nodeEls[i].classList.add("selected");
  for (const v of r.down) nodeEls[v].classList.add("down");
  for (const v of r.degraded) nodeEls[v].classList.add("degraded");
  for (const v of r.thin) nodeEls[v].classList.add("thin");
  details(i, r);
}
function details(i, r) {
  const s = S[i];
  const list = (title, vs, id) => [el("h3", {}, title + " (" + vs.length + ")"), el("ul", { id }, ...vs.slice(0, 200).map((v) => el("li", {}, serviceLink(S[v].n))),
    vs.length > 200 ? el("li", {}, "and " + (vs.length - 200) + " more") : null)];
  const target = el("input", { id: "why-target", list: "names", placeholder: "another service", "aria-label": "why does it depend on" });
  const result = el("div", { id: "why" });
  const ask = () => showWhy(i, byName.get(target.value), result, target.value);
  panel.replaceChildren(...[el("h2", {}, s.n),
    el("p", { class: "dim" }, [s.o && "owner " + s.o, s.k, s.c && s.c + " criticality", s.start && "starts in " + seconds(s.start), s.target && "target " + s.target + " %", s.own && "own " + s.own + " %", s.b ? "blocked by a cycle" : "wave " + s.w].filter(Boolean).join(" · ")),
    s.note ? el("p", {}, s.note) : null, s.verify ? el("p", {}, "verify: " + s.verify) : null, el("p", { class: "dim" }, place(s.f, s.l)),
    ...list("goes down with it", r.down, "down"), ...list("degraded", r.degraded, "degraded"), ...list("loses redundancy", r.thin, "thin"), ...list("cannot restart", r.noStart, "nostart"),
    el("h3", {}, "depends on (" + out[i].length + ")"), el("ul", { id: "needs" }, ...out[i].map((e) => el("li", {}, serviceLink(S[E[e][1]].n), el("span", { class: "dim" }, " " + describe(E[e]) + " " + place(E[e][4], E[e][5]) + (E[e][6] ? " " + D.t[E[e][6]] : ""))))),
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
  search.value = "";
  for (const k in selects) selects[k].value = "";
  unmark();
  filter();
  intro();
}
function intro() {
  panel.replaceChildren(el("h2", {}, "How to read this"),
    el("p", {}, "Columns are startup waves: what stands further left has to be up first. An arrow leads to what is needed; dashed arrows are soft, thick ones are part of a cycle. Nodes with a thick dashed frame never start after a full stop; they stand where they would be once the proposed edges are soft."),
    el("p", {}, "Click a service to see what goes down with it, or press Tab and Enter. ", el("kbd", {}, "/"), " searches, ", el("kbd", {}, "+"), " and ", el("kbd", {}, "-"), " zoom, arrow keys move, ", el("kbd", {}, "0"), " fits, ", el("kbd", {}, "Esc"), " clears."),
    el("h3", {}, "Takes most others down"), el("ul", {}, ...S.map((_, i) => i).filter((i) => D.impact[i] > 0).sort((a, b) => D.impact[b] - D.impact[a]).slice(0, 10).map((i) => el("li", {}, serviceLink(S[i].n), " " + D.impact[i]))));
}
function theme() {
  const dark = document.documentElement.dataset.theme ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
}
document.addEventListener("keydown", (ev) => {
  if (ev.key === "Escape") { clearAll(); return; }
  if (ev.target.matches("input, select") || ev.ctrlKey || ev.metaKey || ev.altKey) return;
  const cx = view[0] + view[2] / 2, cy = view[1] + view[3] / 2, step = view[2] / 12;
  const keys = { "/": () => search.focus(), "+": () => zoom(1 / 1.2, cx, cy), "-": () => zoom(1.2, cx, cy), "0": fit,
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
section("findings", "Findings (" + D.findings.length + ")", D.findings.length ? el("table", {}, head("severity", "rule", "finding", "place", "fix"), el("tbody", {}, ...D.findings.slice(0, 1000).map((f) =>
  el("tr", {}, el("td", { class: f.severity === "error" ? "bad" : "" }, f.severity), el("td", {}, f.rule), el("td", {}, f.message), el("td", {}, f.file + (f.line ? ":" + f.line : "")), el("td", { class: "dim" }, f.fix || ""))))) : el("p", {}, "None."));
section("services", "Services (" + S.length + ")", el("table", {}, head("service", "owner", "kind", "criticality", "wave", "takes down", "place"), el("tbody", {}, ...S.map((s, i) =>
  el("tr", {}, el("td", {}, serviceLink(s.n)), el("td", {}, s.o || ""), el("td", {}, s.k || ""), el("td", {}, s.c || ""), el("td", {}, s.b ? "blocked" : String(s.w)), el("td", {}, String(D.impact[i])), el("td", { class: "dim" }, place(s.f, s.l)))))));
main.append(el("datalist", { id: "names" }, ...S.slice(0, 5000).map((s) => el("option", { value: s.n }))));
document.getElementById("summary").textContent = S.length + " services, " + E.length + " dependencies, " + D.cycles.filter((c) => c.kind !== "soft").length + " hard cycles, " + D.order.waves.length + " waves";
fit();
filter();
intro();
})();
