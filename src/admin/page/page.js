/* The live page. One event stream (/live) brings the parts of the picture as JSON; each is kept, and
 * drawn by the function of its name. Every text is set as text, never read as markup: names of
 * tenants, paths and objects are what others wrote. Rows are kept by key and changed in place, so
 * that a selection, the focus and what a screen reader reads stay where they are. */
"use strict";

const HISTORY = 120; // seconds
const STALE_MS = 4000; // without news: say so
const GIVE_UP_MS = 12000; // then ask anew
const SMALL_ROWS = 6; // as page.css has it
const HIDDEN_MS = 60000; // a page that nobody sees gives its place to others

const parts = {};
const history = [];
let source = null;
let heardAt = 0;
let lostAt = null;
let refusal = ""; // why there is no stream
let retryTimer = 0;
let hiddenTimer = 0;
let isPaused = false;
let version = null;
let clockAhead = 0; // the gateway's clock, ahead of ours
let before = null; // the traffic a second ago

const at = (id) => document.getElementById(id);

// ---- words ----

const PLAIN = {
  NoMatchingParent: "It names a Gateway or listener that is not there.",
  NotAllowedByListeners: "The listeners do not allow routes of its kind or namespace.",
  NoMatchingListenerHostname: "It has no host in common with the listeners.",
  UnsupportedValue: "It asks for something that is not supported; its requests are refused.",
  BackendNotFound: "A backend that it names is not there.",
  RefNotPermitted: "It refers to another namespace, and no ReferenceGrant there allows it.",
  InvalidKind: "It refers to a kind that is not served.",
  InvalidCertificateRef: "Its certificate is missing or cannot be used.",
  InvalidRouteKinds: "It allows kinds of routes that are not known.",
  PortUnavailable: "Another listener has its port.",
  UnsupportedProtocol: "Its protocol is not served.",
  ListenersNotValid: "Some of its listeners cannot be opened.",
  NoMatchingClass: "Its GatewayClass is not there.",
  Pending: "It is another controller's.",
  InvalidParameters: "Its parameters cannot be used; the defaults are.",
  TargetNotFound: "What it is attached to is not there.",
  Conflicted: "Another object came first.",
  Overridden: "A more specific policy takes its place.",
  Invalid: "It has errors.",
};

function plain(reason) {
  return PLAIN[reason] || `${reason.replace(/([a-z])([A-Z])/g, "$1 $2").toLowerCase()}.`;
}

function count(n) {
  if (n < 100000) return n.toLocaleString("en");
  for (const [size, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (n >= size) return (n / size).toFixed(n / size < 100 ? 1 : 0) + unit;
  }
  return String(n);
}

function many(n, one, more = `${one}s`) {
  return `${count(n)} ${n === 1 ? one : more}`;
}

function rate(n) {
  const windowS = (parts.traffic?.window_ms || 0) / 1000;
  return windowS > 0 ? n / windowS : null;
}

function rateText(n) {
  const r = rate(n);
  if (r === null) return "–";
  return r === 0 ? "0" : r < 10 ? r.toFixed(1) : count(Math.round(r));
}

/* Of a histogram: below its first bound and beyond its last one nothing is told apart. */
function time(us, of = {}) {
  if (!us) return ["–", ""];
  if (us >= of.most_us) return [`> ${Math.round(of.most_us / 1e6)}`, "s"];
  if (us <= of.least_us) return [`< ${of.least_us / 1000}`, "ms"];
  if (us < 1e6) return [(us / 1000).toFixed(us < 1e4 ? 1 : 0), "ms"];
  return [(us / 1e6).toFixed(us < 1e7 ? 2 : 0), "s"];
}

function share(n, of) {
  if (!of || !n) return "0";
  const percent = (100 * n) / of;
  return percent < 0.1 ? "< 0.1" : percent < 10 ? percent.toFixed(1) : String(Math.round(percent));
}

function nowS() {
  return (Date.now() + clockAhead) / 1000;
}

function span(seconds) {
  const s = Math.max(0, Math.round(seconds));
  const two = (n) => String(n).padStart(2, "0");
  if (s < 60) return `${s}\u00a0s`;
  if (s < 3600) return `${Math.floor(s / 60)}:${two(s % 60)}\u00a0min`;
  if (s < 172800) return `${Math.floor(s / 3600)}:${two(Math.floor((s % 3600) / 60))}\u00a0h`;
  return `${Math.floor(s / 86400)}\u00a0days`;
}

/* Of what nobody counts the seconds. */
function roughly(seconds) {
  if (seconds < 60) return "less than a minute";
  if (seconds < 5400) return `${Math.round(seconds / 60)}\u00a0min`;
  return seconds < 172800 ? `${Math.round(seconds / 3600)}\u00a0h` : `${Math.round(seconds / 86400)}\u00a0days`;
}

/* A time of today, else with its day. */
function clock(ms) {
  if (Math.abs(Date.now() - ms) > 43200000) return `${day(ms / 1000)} ${clockOf(ms)}`;
  return clockOf(ms);
}

function clockOf(ms) {
  return new Date(ms).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit", second: "2-digit", hour12: false });
}

function day(s) {
  return new Date(s * 1000).toISOString().slice(0, 10);
}

/* "Service/ns/name:80", "httproute/ns/name/rule/0": what is told apart by eye, then the rest. */
function splitName(text) {
  const slash = text.indexOf("/");
  return slash < 0 ? ["", text] : [text.slice(0, slash), text.slice(slash + 1)];
}

/* "ns/name": the name first, since namespaces are mostly the same. */
function withoutNamespace(text) {
  const slash = text.indexOf("/");
  return slash < 0 ? [text, ""] : [text.slice(slash + 1), text.slice(0, slash)];
}

const KINDS = { httproute: "HTTPRoute", grpcroute: "GRPCRoute", aigatewayroute: "AIGatewayRoute" };

function routeName(text) {
  if (text === "-" || text === "") return ["", "no route"];
  const [kind, name] = splitName(text);
  return [KINDS[kind] || kind, name.replace("/rule/", " rule ")];
}

// ---- drawing ----

function setText(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

function make(tag, className = "", text = "") {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text) node.textContent = text;
  return node;
}

/* Makes `node` hold these spans: [class, text]... */
function setSpans(node, ...pieces) {
  const wanted = pieces.filter(([, text]) => text !== "" && text !== null);
  while (node.children.length > wanted.length) node.lastChild.remove();
  wanted.forEach(([className, text], i) => {
    const child = node.children[i] || node.appendChild(make("span"));
    setClass(child, className);
    setText(child, text);
  });
}

const MARK_WORDS = { "": "well: ", warn: "look at it: ", bad: "not well: ", wait: "" };

function markOf(kind) {
  const mark = make("span", `mark ${kind}`);
  mark.setAttribute("role", "img");
  mark.setAttribute("aria-label", MARK_WORDS[kind]);
  return mark;
}

/* Keeps children by key in the order of `items`; `create` makes one, `update` fills it. */
function keep(parent, items, keyOf, create, update) {
  const known = new Map();
  for (const child of parent.children) known.set(child.dataset.key, child);
  const seen = new Map();
  let next = parent.firstElementChild;
  for (const item of items) {
    let key = keyOf(item);
    const n = seen.get(key) || 0;
    seen.set(key, n + 1);
    if (n > 0) key += `#${n}`;
    let child = known.get(key);
    if (!child) {
      child = create(item);
      child.dataset.key = key;
    }
    known.delete(key);
    update(child, item);
    if (child === next) next = next.nextElementSibling;
    else parent.insertBefore(child, next);
  }
  for (const child of known.values()) child.remove();
}

/* On a small screen a table shows some rows, and all when asked for. */
function allButton(node) {
  const button = make("button", "all", "Show all");
  button.type = "button";
  button.setAttribute("aria-controls", node.id);
  button.setAttribute("aria-expanded", "false");
  button.addEventListener("click", () => {
    const isAll = node.classList.toggle("is-all");
    button.setAttribute("aria-expanded", String(isAll));
    setText(button, isAll ? "Show fewer" : "Show all");
  });
  return button;
}

/* columns: {label, kind, set(td, item)}; `kind`: number, whole (on a small screen). */
function table(id, columns, items, keyOf, none) {
  const node = at(id);
  if (!node.tHead) {
    node.setAttribute("role", "table");
    node.setAttribute("aria-labelledby", node.closest("section").getAttribute("aria-labelledby"));
    const row = node.createTHead().insertRow();
    node.tHead.setAttribute("role", "rowgroup");
    row.setAttribute("role", "row");
    for (const column of columns) {
      const th = make("th", column.kind === "number" ? "number" : "", column.label);
      th.scope = "col";
      th.setAttribute("role", "columnheader");
      row.append(th);
    }
    node.createTBody().setAttribute("role", "rowgroup");
    node.after(allButton(node));
  }
  node.nextElementSibling.hidden = items.length <= SMALL_ROWS;
  const create = (item) => {
    const row = make("tr", item === null ? "empty" : "");
    row.setAttribute("role", "row");
    for (const column of item === null ? [columns[0]] : columns) {
      const td = row.insertCell();
      td.setAttribute("role", "cell");
      td.className = item === null ? "" : column.kind || "";
      td.dataset.label = column.label;
      if (item === null) td.colSpan = columns.length;
    }
    return row;
  };
  const update = (row, item) => {
    if (item === null) setText(row.cells[0], none);
    else columns.forEach((column, i) => column.set(row.cells[i], item));
  };
  keep(node.tBodies[0], items.length ? items : [null], (item) => (item === null ? "none" : keyOf(item)), create, update);
}

function more(id, n, what = "more") {
  setText(at(id), n > 0 ? `and ${count(n)} ${what}` : "");
}

function named(td, kind, name, under, mark) {
  if (!td.firstChild) td.append(make("span", "mark"), make("span"), make("span", "name"), make("span", "under"));
  const [markNode, kindNode, nameNode, underNode] = td.children;
  markNode.hidden = mark === undefined;
  if (mark !== undefined && markNode.className !== `mark ${mark}`.trim()) markNode.replaceWith(markOf(mark));
  setText(kindNode, kind ? `${kind} ` : "");
  setClass(kindNode, "soft");
  setText(nameNode, name);
  setText(underNode, under || "");
  underNode.hidden = !under;
}

// ---- traffic ----

function figure(item) {
  const node = make("div");
  node.append(make("dt", "", item.label), make("dd", "value"), make("dd", "note"));
  return node;
}

function drawFigure(node, item) {
  const value = node.children[1];
  setSpans(value, [item.tone || "", item.value], ["unit", item.unit || ""]);
  setText(node.children[2], item.note || "");
}

function drawTraffic(t) {
  const d = t.duration || {};
  const first = t.first_token || {};
  const [p50, p50Unit] = time(d.p50_us, d);
  const [p95, p95Unit] = time(d.p95_us, d);
  const [p99, p99Unit] = time(d.p99_us, d);
  const [f50, f50Unit] = time(first.p50_us, first);
  const f95 = time(first.p95_us, first).join(" ");
  const n = t.requests || 0;
  const failed = t.failed_5xx || 0;
  const left = t.left ? `, ${many(t.left, "client")} left` : "";
  keep(at("figures"), [
    { label: "Requests", value: rateText(n), unit: "/s", note: `${many(t.in_flight, "request")} under way` },
    { label: "Failed (5xx)", value: share(failed, n), unit: "%", tone: failed ? "bad" : "", note: `${count(failed)} of ${count(n)}${left}` },
    { label: "Refused (4xx)", value: share(t.refused_4xx, n), unit: "%", note: `${count(t.refused_4xx || 0)} of ${count(n)}` },
    { label: "Duration p50", value: p50, unit: p50Unit, note: "half of them are quicker" },
    { label: "Duration p95", value: p95, unit: p95Unit, note: "" },
    { label: "Duration p99", value: p99, unit: p99Unit, note: "" },
    { label: "Time to first token", value: f50, unit: f50Unit, note: first.p95_us ? `p95 ${f95}` : "no answer of a model" },
    { label: "Tokens", value: rateText((t.tokens_in || 0) + (t.tokens_out || 0)), unit: "/s", note: `in ${rateText(t.tokens_in || 0)}/s, out ${rateText(t.tokens_out || 0)}/s` },
  ], (item) => item.label, figure, drawFigure);
  setText(at("window"), t.window_ms > 0 ? `the last ${Math.round(t.window_ms / 1000)} s` : "measuring");
  setText(at("process"), `Tollgate ${t.version}, up ${span((t.now_ms - t.started_ms) / 1000)}, ${many(t.workers, "worker")}, ${many(t.connections, "connection")}, configuration ${t.generation} since ${clock(t.serving_since_ms)}.`);
  drawHistory(t);
  table("routes-table", [
    { label: "Route", set: (td, r) => named(td, ...routeName(r.route)) },
    { label: "Requests/s", kind: "number", set: (td, r) => setText(td, rateText(r.requests)) },
    { label: "Refused", kind: "number", set: (td, r) => setText(td, `${share(r.refused_4xx, r.requests)} %`) },
    { label: "Failed", kind: "number", set: (td, r) => setSpans(td, [r.failed_5xx ? "bad" : "", `${share(r.failed_5xx, r.requests)} %`]) },
    { label: "p50", kind: "number", set: (td, r) => setText(td, time(r.p50_us, d).join(" ")) },
    { label: "p95", kind: "number", set: (td, r) => setText(td, time(r.p95_us, d).join(" ")) },
  ], t.routes, (r) => r.route, "No request now.");
  more("routes-more", t.routes_more, "more routes");
  keep(at("reasons"), t.reasons, (r) => r.code, () => make("li"), (li, r) => {
    setSpans(li, ["", `${rateText(r.requests)}/s `], ["mono", r.code]);
    li.title = r.sentence;
  });
}

function drawHistory(t) {
  if (before && t.now_ms > before.now_ms && t.started_ms === before.started_ms) {
    const seconds = (t.now_ms - before.now_ms) / 1000;
    history.push({ all: ((t.requests_ever || 0) - (before.requests_ever || 0)) / seconds, failed: ((t.failed_ever || 0) - (before.failed_ever || 0)) / seconds });
    history.splice(0, Math.max(0, history.length - HISTORY));
  } else if (before && t.started_ms !== before.started_ms) {
    history.length = 0;
  }
  before = t;
  const top = Math.max(1, ...history.map((h) => h.all));
  const line = (of) => history.map((h, i) => `${HISTORY - history.length + i},${(39 - (38 * of(h)) / top).toFixed(2)}`).join(" ");
  at("history-all").setAttribute("points", line((h) => h.all));
  at("history-failed").setAttribute("points", history.some((h) => h.failed > 0) ? line((h) => h.failed) : "");
  setText(at("history-top"), history.length ? `Requests each second of the last two minutes; the most: ${top < 10 ? top.toFixed(1) : count(Math.round(top))}/s. Dashed: failed.` : "");
}

// ---- backends ----

function backendMark(b) {
  if (b.no_address || (b.sick > 0 && b.sick === b.endpoints)) return "bad";
  if (b.sick > 0 || b.no_answer > 0 || b.failed_5xx > 0 || b.waiting > 0 || b.name_pending) return "warn";
  return "";
}

function backendHealth(b) {
  if (b.name_pending) return "its name is being looked up";
  if (b.no_address) return "no address: its name leads nowhere, or nothing is behind it";
  const sick = b.sick_ones.map((s) => `${s.address} ${s.health}`).join(", ");
  const rest = b.sick > b.sick_ones.length ? ` and ${b.sick - b.sick_ones.length} more` : "";
  if (b.sick > 0) return `${b.endpoints - b.sick} of ${b.endpoints} well: ${sick}${rest}`;
  return b.watched ? `${many(b.endpoints, "endpoint")} well` : `${many(b.endpoints, "endpoint")}, not watched`;
}

function breakerText(b) {
  if (!b.breaker) return ["soft", "none"];
  if (b.waiting > 0) return ["warn", `${many(b.waiting, "request")} waiting`];
  return ["", b.overflows_ever > 0 ? `room; met ${many(b.overflows_ever, "time")}` : "room"];
}

function drawBackends(p) {
  table("backends-table", [
    { label: "Backend", set: (td, b) => {
      const [kind, full] = splitName(b.backend);
      const [name, namespace] = withoutNamespace(full);
      named(td, "", name, `${kind} in ${namespace}, ${backendHealth(b)}`, backendMark(b));
    } },
    { label: "Breaker", set: (td, b) => setSpans(td, breakerText(b)) },
    { label: "In flight", kind: "number", set: (td, b) => setText(td, count(b.in_flight)) },
    { label: "Answers/s", kind: "number", set: (td, b) => setText(td, rateText(b.answers || 0)) },
    { label: "Failed", kind: "number", set: (td, b) => {
      const failed = (b.failed_5xx || 0) + (b.no_answer || 0);
      setSpans(td, [failed ? "bad" : "", `${share(failed, (b.answers || 0) + (b.no_answer || 0))} %`]);
    } },
    { label: "First byte p95", kind: "number", set: (td, b) => setText(td, time(b.p95_us, parts.traffic?.duration).join(" ")) },
  ], p.backends, (b) => b.backend, "No backend.");
  more("backends-more", p.backends_more, "more backends, all as well as the last one");
}

// ---- limits and usage ----

function limitUnit(l) {
  return /token/i.test(l.unit) ? "tokens" : l.unit;
}

function drawMeter(td, l) {
  if (!td.firstChild) {
    const meter = make("div", "meter");
    meter.append(make("i"), make("i", "reserved"));
    meter.setAttribute("role", "meter");
    meter.setAttribute("aria-valuemin", "0");
    td.append(meter, make("span"));
  }
  const [meter, text] = td.children;
  const percent = (n) => Math.min(100, (100 * n) / Math.max(1, l.limit));
  const used = percent(l.used);
  const taken = percent(l.used + l.reserved);
  setClass(meter, `meter ${taken >= 100 ? "is-bad" : taken >= 90 ? "is-warn" : ""}`);
  meter.setAttribute("aria-valuemax", String(l.limit));
  meter.setAttribute("aria-valuenow", String(Math.min(l.used, l.limit)));
  meter.setAttribute("aria-label", `used by ${limitWho(l)}`);
  meter.children[0].style.width = `${used}%`;
  meter.children[1].style.width = `${taken - used}%`;
  setSpans(text, ["", `${count(l.used)} of ${count(l.limit)} ${limitUnit(l)} `], ["soft", l.reserved > 0 ? `${count(l.reserved)} more reserved ` : ""],
    [taken >= 100 ? "bad" : "", taken >= 100 ? (l.only_counts ? "full (only counts)" : "full") : ""]);
}

function limitWho(l) {
  return [l.scope, l.who].filter(Boolean).join(",").replace(/,/g, ", ") || "all requests";
}

function drawLimits(p) {
  table("limits-table", [
    { label: "Who", set: (td, l) => {
      const [policy] = withoutNamespace(splitName(l.policy)[1]);
      named(td, "", limitWho(l), `${policy} ${l.rule}${l.route ? `, ${routeName(l.route).join(" ")}` : ""}`);
      td.title = `${l.policy} ${l.rule}`;
    } },
    { label: "Used", kind: "whole", set: drawMeter },
    { label: "Begins anew in", kind: "number", set: (td, l) => setText(td, span(l.resets_at_s - nowS())) },
  ], p.limits, (l) => `${l.policy} ${l.rule} ${l.route} ${l.who}`, "No rate limit has counted anything yet.");
  more("limits-more", p.limits_more, "more, less full");
}

function drawUsage(p) {
  const most = Math.max(1, ...p.usage.map((u) => u.tokens_in_ever + u.tokens_out_ever));
  table("usage-table", [
    { label: "Tenant", set: (td, u) => named(td, "", u.tenant === "-" ? "no tenant" : u.tenant, u.model) },
    { label: "Tokens", kind: "whole", set: (td, u) => {
      if (!td.firstChild) {
        const meter = make("div", "meter");
        meter.append(make("i"));
        meter.setAttribute("aria-hidden", "true");
        td.append(meter, make("span"));
      }
      td.firstChild.firstChild.style.width = `${(100 * (u.tokens_in_ever + u.tokens_out_ever)) / most}%`;
      setSpans(td.children[1], ["", `${count(u.tokens_in_ever)} in, ${count(u.tokens_out_ever)} out `], ["soft", u.tokens ? `${rateText(u.tokens)}/s` : ""]);
    } },
    { label: "Requests", kind: "number", set: (td, u) => setText(td, count(u.requests_ever)) },
    { label: "Requests/s", kind: "number", set: (td, u) => setText(td, rateText(u.requests)) },
    { label: "Refused", kind: "number", set: (td, u) => setText(td, `${share(u.refused_4xx, u.requests)} %`) },
  ], p.usage, (u) => `${u.tenant} ${u.model}`, "No request to a model yet.");
  more("usage-more", p.usage_more, "more, with fewer tokens");
}

// ---- refusals ----

/* Asks about it again, by what is kept of it: nothing secret. What is cut or hidden is another request. */
function explainUrl(r) {
  if (!r.host || !r.port || !r.path.startsWith("/") || [r.method, r.host, r.path].some((text) => text.endsWith("…"))) return "";
  const query = new URLSearchParams({ request: `${r.method} ${r.tls ? "https" : "http"}://${r.host}:${r.port}${r.path}` });
  if (r.client) query.set("from", r.client);
  return `/explain?${query}`;
}

function drawRefused(td, r) {
  if (!td.firstChild) {
    const link = make("a", "", "explain");
    link.target = "_blank";
    link.rel = "noopener";
    td.append(make("span", "mono"), link, make("span", "under"));
  }
  const [what, link, where] = td.children;
  const name = `${r.method} ${r.path}`.trim();
  const url = explainUrl(r);
  setText(what, name || "a head that cannot be read");
  setText(where, r.route ? routeName(r.route).join(" ") : r.listener);
  link.hidden = !url;
  if (url && link.getAttribute("href") !== url) link.href = url;
  link.setAttribute("aria-label", `explain ${name}`);
}

function drawRefusals(p) {
  setText(at("refusals-count"), p.refusals_ever ? `${count(p.refusals_ever)} since the start` : "");
  table("refusals-table", [
    { label: "When", set: (td, r) => setSpans(td, ["mono time", clock(r.at_ms)], ["soft", r.times > 1 ? ` ${r.times} times` : ""]) },
    { label: "Answer", kind: "whole", set: (td, r) => setSpans(td, ["name", `${r.status || "none"} `], ["mono time", r.code]) },
    { label: "Why", kind: "whole", set: (td, r) => setSpans(td, ["", r.sentence], ["under", r.detail]) },
    { label: "Request", kind: "whole", set: drawRefused },
    { label: "Tenant", set: (td, r) => setSpans(td, [r.tenant ? "name" : "soft time", r.tenant || "not known"], ["under", r.model]) },
  ], p.refusals, (r) => `${r.at_ms} ${r.code} ${r.path} ${r.tenant}`, "Nothing was refused.");
  more("refusals-more", p.refusals_more, "earlier ones");
}

// ---- configuration ----

function drawTrouble(li, o) {
  const name = `${o.kind} ${o.namespace ? `${o.namespace}/` : ""}${o.name}`;
  const found = o.finding;
  const about = o.about ? ` (${o.about})` : "";
  setSpans(li, ["name", `${name}${about}: `], ["", `${o.message || (o.reason ? plain(o.reason) : "It has errors.")} `],
    ["soft", o.type ? `${o.type}: ${o.reason}. ` : ""],
    ["", found ? `${found.text}${found.hint ? `: ${found.hint}` : ""}. ` : ""],
    ["mono soft", found ? [found.place, found.path].filter(Boolean).join(" ") : o.place || ""]);
}

function drawTree(rows) {
  const root = document.createDocumentFragment();
  const lists = [root];
  let home = ""; // the first Gateway's namespace, which most have
  let last = null;
  for (const row of rows) {
    while (lists.length > row.depth + 1) lists.pop();
    while (lists.length < row.depth + 1 && last) lists.push(last.appendChild(make("ul")));
    const [kind, name] = row.kind ? [row.kind, `${row.namespace ? `${row.namespace}/` : ""}${row.name}`] : splitName(row.name);
    last = make("li");
    const [short, namespace] = row.kind === "Listener" ? [`${name} :${row.port}`, ""] : withoutNamespace(name);
    last.append(markOf(row.well ? "" : "bad"), make("span", "soft", `${kind} `), make("span", "name", short === "-" ? "a backend that is not there" : short), make("span", "soft", namespace && namespace !== home ? ` in ${namespace}` : ""),
      make("span", `says ${row.well ? "soft" : "bad"}`, row.says || ""));
    home ||= namespace;
    lists[lists.length - 1].append(last);
  }
  at("tree").replaceChildren(root);
  at("tree").classList.toggle("is-long", rows.length > 14);
}

function drawObjects(p) {
  const troubles = p.troubles || [];
  const counts = [many(p.objects || 0, "object"), p.errors ? many(p.errors, "error") : "", p.warnings ? many(p.warnings, "warning") : ""];
  setText(at("objects-count"), counts.filter(Boolean).join(", "));
  keep(at("troubles"), troubles, (o) => `${o.kind} ${o.namespace} ${o.name}`, () => make("li"), drawTrouble);
  more("troubles-more", p.troubles_more || 0, "more objects that are not well: tollgate check names them all");
  drawTree(p.tree || []);
  more("tree-more", p.tree_more || 0, "more objects");
}

// ---- keys and certificates ----

function keyState(k) {
  if (k.keys === 0) return ["bad", "no keys: its routes answer 503"];
  if (k.state === "retrying") return ["warn", `cannot be fetched; serves until ${clock(k.serves_until_s * 1000)}`];
  return ["", k.state === "local" ? "given in the configuration" : `fetched ${clock(k.fetched_s * 1000)}`];
}

function certificateState(c) {
  const left = c.until_s - nowS();
  if (left <= 0) return ["bad", "has ended"];
  return [left < 14 * 86400 ? "warn" : "", `in ${roughly(left)}`];
}

function drawCredentials(p) {
  table("keys-table", [
    { label: "Provider", set: (td, k) => named(td, "", k.provider, k.last_error, keyState(k)[0]) },
    { label: "State", set: (td, k) => setSpans(td, keyState(k)) },
    { label: "Keys", kind: "number", set: (td, k) => setText(td, String(k.keys)) },
  ], p.key_sets || [], (k) => k.provider, "No key set.");
  more("keys-more", p.key_sets_more || 0, "more, all well");
  const certificates = p.certificates || { list: [], list_more: 0 };
  table("certificates-table", [
    { label: "Secret", set: (td, c) => named(td, "", `${c.namespace}/${c.name}`, "", certificateState(c)[0]) },
    { label: "Ends", set: (td, c) => setText(td, day(c.until_s)) },
    { label: "Left", kind: "number", set: (td, c) => setSpans(td, certificateState(c)) },
  ], certificates.list, (c) => `${c.namespace}/${c.name}`, "No certificate.");
  more("certificates-more", certificates.list_more, "more, which end later");
}

// ---- what needs attention ----

function attention() {
  const found = [];
  const note = (level, text, to) => found.push({ level, text, to });
  const t = parts.traffic;
  if (!t) return null;
  if (t.draining) note("bad", "The gateway is shutting down.");
  else if (!t.ready) note("bad", `Not ready: ${t.not_ready_because}.`, "objects");
  if (t.overload >= 2) note("bad", "Overloaded: requests are refused.", "traffic");
  else if (t.overload === 1) note("warn", "Near the limit of memory or connections: idle connections are closed.", "traffic");
  if (/^kept /.test(t.last_reload)) note("bad", `The last reload was refused: ${t.last_reload}`, "objects");
  if (t.failed_5xx > 0) note(t.failed_5xx > 0.01 * t.requests ? "bad" : "warn", `${share(t.failed_5xx, t.requests)} % of requests fail (5xx).`, "traffic");
  for (const b of parts.backends?.backends || []) {
    const mark = backendMark(b);
    const failed = (b.failed_5xx || 0) + (b.no_answer || 0);
    if (b.sick || b.no_address) note(mark, `${b.backend}: ${backendHealth(b)}.`, "backends");
    else if (failed) note("warn", `${b.backend}: ${share(failed, b.answers + b.no_answer)} % of its answers fail.`, "backends");
    else if (b.waiting) note("warn", `${b.backend}: ${breakerText(b)[1]} for its circuit breaker.`, "backends");
  }
  for (const l of parts.limits?.limits || []) {
    if (l.used + l.reserved < 0.9 * l.limit || l.limit === 0 || l.window_s < 60) continue;
    const isFull = l.used + l.reserved >= l.limit;
    note("warn", `${limitWho(l)}: ${isFull ? "used up" : `${share(l.used + l.reserved, l.limit)} % used`}, ${count(l.used)} of ${count(l.limit)} ${limitUnit(l)}; begins anew in ${roughly(l.resets_at_s - nowS())}.`, "limits");
  }
  const n = (parts.objects?.troubles || []).length + (parts.objects?.troubles_more || 0);
  if (n > 0) note("warn", `${many(n, "object")} of the configuration ${n === 1 ? "is" : "are"} not well.`, "objects");
  for (const k of parts.credentials?.key_sets || []) {
    const [level, text] = keyState(k);
    if (level) note(level, `Key set of ${k.provider}: ${text}.`, "credentials");
  }
  for (const c of parts.credentials?.certificates?.list || []) {
    const [level, text] = certificateState(c);
    if (level) note(level, `Certificate ${c.namespace}/${c.name} ${level === "bad" ? text : `ends ${text}`}.`, "credentials");
  }
  return found.sort((a, b) => (a.level === b.level ? 0 : a.level === "bad" ? -1 : 1));
}

function drawAttention() {
  const found = attention();
  if (!found) return;
  // What is read aloud changes with how much there is, not with every figure in it.
  const urgent = found.filter((i) => i.level === "bad").length;
  setText(at("attention-count"), `${urgent} urgent, ${found.length - urgent} to look at`);
  const shown = found.slice(0, 8);
  if (found.length > shown.length) shown.push({ level: "warn", text: `and ${found.length - shown.length} more below.` });
  if (!found.length) shown.push({ level: "", text: "Nothing." });
  keep(at("attention-list"), shown, (i) => `${i.level} ${i.to || ""} ${i.text.split(":")[0].replace(/[\d.<]+ ?%?/g, "")}`, (item) => {
    const li = make("li", item.level ? `is-${item.level}` : "is-well");
    const link = make("a", "", "show");
    link.href = `#${item.to || "main"}`;
    link.hidden = !item.to;
    li.append(markOf(item.level), make("span"), link);
    return li;
  }, (li, item) => {
    setText(li.children[1], item.text);
    li.children[2].setAttribute("aria-label", `show ${item.to || ""}`);
  });
  const worst = found[0]?.level;
  document.title = worst === "bad" ? "✖ Tollgate" : worst === "warn" ? "▲ Tollgate" : "Tollgate";
}

// ---- the stream ----

const DRAW = { traffic: drawTraffic, backends: drawBackends, limits: drawLimits, usage: drawUsage, refusals: drawRefusals, objects: drawObjects, credentials: drawCredentials };

function draw(name) {
  if (isPaused || !parts[name]) return;
  DRAW[name](parts[name]);
  drawAttention();
}

function take(name, event) {
  const part = JSON.parse(event.data);
  parts[name] = part;
  heardAt = Date.now();
  lostAt = null;
  refusal = "";
  if (name === "traffic") {
    if (version !== null && version !== part.version) location.reload(); // another binary, another page
    version = part.version;
    clockAhead = part.now_ms - heardAt;
    if (parts.limits) draw("limits"); // its times go down
  }
  draw(name);
  showState();
}

function showState() {
  const isStale = Date.now() - heardAt > STALE_MS;
  let mark = "";
  let text = "Live";
  if (isStale) {
    lostAt ??= heardAt || null;
    mark = heardAt ? "bad" : "wait";
    text = refusal || (lostAt ? `No answer since ${clock(lostAt)}; trying again` : "Connecting");
  } else if (isPaused) {
    mark = "wait";
    text = "Paused: the figures stand still";
  } else if (parts.traffic?.draining) {
    mark = "warn";
    text = "Shutting down";
  }
  document.body.classList.toggle("is-stale", isStale && heardAt > 0);
  setClass(at("state").firstElementChild, `mark ${mark}`);
  setText(at("state-text"), text);
}

function close() {
  source?.close();
  source = null;
}

function open() {
  close();
  clearTimeout(retryTimer);
  source = new EventSource("/live");
  for (const name of Object.keys(DRAW)) source.addEventListener(name, (event) => take(name, event));
  source.onerror = () => {
    // What it does not try again by itself (no room, another answer) is tried here.
    if (source?.readyState === EventSource.CLOSED) askWhy();
    showState();
  };
}

/* Why there is no stream: its answer says so, which an EventSource keeps to itself. */
async function askWhy() {
  retry();
  try {
    const answer = await fetch("/live", { method: "HEAD" });
    refusal = answer.status === 503 ? "The page is open as often as it may be; waiting for room" : "";
  } catch {
    refusal = "";
  }
  showState();
}

function retry() {
  clearTimeout(retryTimer);
  retryTimer = setTimeout(open, 2000);
}

function watch() {
  showState();
  if (source && heardAt && Date.now() - heardAt > GIVE_UP_MS) {
    heardAt = Date.now() - GIVE_UP_MS + 2 * STALE_MS; // and give the next one as long
    open();
  }
}

at("pause").addEventListener("click", () => {
  isPaused = !isPaused;
  at("pause").setAttribute("aria-pressed", String(isPaused));
  setText(at("pause"), isPaused ? "Go on" : "Pause");
  if (!isPaused) Object.keys(DRAW).forEach(draw);
  showState();
});

document.addEventListener("visibilitychange", () => {
  clearTimeout(hiddenTimer);
  if (document.hidden) hiddenTimer = setTimeout(close, HIDDEN_MS);
  else if (!source) open();
});

setInterval(watch, 1000);
open();
