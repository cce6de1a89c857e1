"use strict";
// The page's own script. What the data's lists hold, by position, is said where they are written: content.py.
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const byId = (id) => document.getElementById(id);
  const make = (tag, properties = {}, ...children) => {
    const made = Object.assign(document.createElement(tag), properties);
    made.append(...children);
    return made;
  };
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  const count = (number) => number.toLocaleString("en");
  const percent = (part, whole) => {
    const share = (100 * part) / whole;
    return share >= 99.95 ? "100 %" : share >= 0.1 ? `${share.toFixed(1)} %` : "under 0.1 %";
  };

  // ---------------------------------------------------------------- rows

  const rows = [];
  {
    const open = [];
    for (const [depth, label, facts, view, from, line, call, name] of data.rows) {
      open.length = depth;
      const parent = depth ? open[depth - 1] : null;
      const [kind, output, parameters, macs, memory, ...measures] = data.facts[facts];
      const [[field, stride, padding, taps, translation, symmetry], seen] = data.views[view];
      const row = {
        index: rows.length, depth, label, parent, from, line, kind, output, seen, measures,
        name: name ?? (parent ? `${parent.name}.${label}` : label),
        cells: [kind, output, parameters, macs, memory, field],
        words: { field, stride, padding, taps, translation, symmetry },
        call: data.calls[call], children: [], unfolded: false, line_of: null,
      };
      if (parent) parent.children.push(row);
      open.push(row);
      rows.push(row);
    }
  }
  const outermost = rows.filter((row) => !row.parent);
  const leaves = rows.filter((row) => !row.children.length);
  const MEASURES = [
    { name: "parameters", cell: 2 },
    { name: "MACs", cell: 3 },
    { name: "of activation memory", cell: 4 },
  ];
  const wholes = MEASURES.map((_, i) =>
    leaves.every((row) => row.measures[i] !== null) ? leaves.reduce((sum, row) => sum + row.measures[i], 0) : null,
  );

  let chosen = null;
  const choose = (row) => {
    if (!row || row === chosen) return;
    const before = chosen;
    chosen = row;
    if (before) marked(before, false);
    marked(row, true);
    byId("layer").value = row.index;
    // Of several inputs, one that the row sees something of.
    if (row.seen[byId("input").value] === null) {
      byId("input").value = Math.max(0, row.seen.findIndex((field) => field !== null));
    }
    explore();
  };
  const marked = (row, is) => {
    row.line_of?.setAttribute("aria-selected", is);
    row.tile?.setAttribute("aria-selected", is);
  };

  // ---------------------------------------------------------------- the table, a tree

  const table = byId("layers");
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];

  const bar = (row, measure) => {
    const size = row.measures[measure];
    if (!wholes[measure] || !size) return null;
    const share = make("i");
    share.style.width = `${(100 * size) / wholes[measure]}%`;
    return make("span", { className: "share", title: percent(size, wholes[measure]) }, share);
  };

  const written = (row) => {
    const opener = make("span", { className: "opener" });
    opener.setAttribute("aria-hidden", "true");
    const name = make("th", { scope: "row", title: row.name }, opener, row.label);
    name.setAttribute("role", "rowheader");
    name.style.paddingLeft = `${0.2 + row.depth * 1.1}rem`;
    const line = make("tr", { tabIndex: -1 }, name);
    row.cells.forEach((text, i) => {
      const cell = make("td", { className: headings[i + 1].className, title: text.length > 30 ? text : "" }, text);
      cell.setAttribute("role", "gridcell");
      const measure = MEASURES.findIndex((one) => one.cell === i);
      const share = measure < 0 ? null : bar(row, measure);
      if (share) cell.append(share);
      line.append(cell);
    });
    const siblings = row.parent ? row.parent.children : outermost;
    for (const [key, value] of [
      ["role", "row"],
      ["aria-level", row.depth + 1],
      ["aria-setsize", siblings.length],
      ["aria-posinset", siblings.indexOf(row) + 1],
      ["aria-selected", row === chosen],
    ]) line.setAttribute(key, value);
    line.row = row;
    row.line_of = line;
    dressed(row);
    return line;
  };
  const dressed = (row) => {
    if (!row.children.length) return;
    row.line_of.setAttribute("aria-expanded", row.unfolded);
    row.line_of.querySelector(".opener").textContent = row.unfolded ? "▾" : "▸";
  };
  const lines = (members) => members.flatMap((row) => [written(row), ...(row.unfolded ? lines(row.children) : [])]);
  const forget = (row) => {
    for (const child of row.children) {
      if (!child.line_of) continue;
      forget(child);
      child.line_of.remove();
      child.line_of = null;
    }
  };
  const setUnfolded = (row, unfolded) => {
    if (!row.children.length || row.unfolded === unfolded) return;
    const entered = body.querySelector('tr[tabindex="0"]')?.row;
    if (!unfolded && entered && inside(entered, row)) enter(row, false);
    row.unfolded = unfolded;
    if (unfolded) row.line_of.after(...lines(row.children));
    else forget(row);
    dressed(row);
  };
  const inside = (row, scope) => {
    for (let one = row; one; one = one.parent) if (one === scope) return true;
    return false;
  };
  const unfoldAll = (unfolded) => {
    for (const row of rows) if (row.children.length) row.unfolded = unfolded;
    let entered = body.querySelector('tr[tabindex="0"]')?.row ?? outermost[0];
    if (!unfolded) while (entered.parent) entered = entered.parent;
    for (const row of rows) row.line_of = null;
    body.replaceChildren(...lines(outermost));
    enter(entered, false);
  };
  const enter = (row, focused = true) => {
    const around = [];
    for (let above = row.parent; above; above = above.parent) around.unshift(above);
    for (const scope of around) setUnfolded(scope, true);
    for (const line of body.querySelectorAll('tr[tabindex="0"]')) line.tabIndex = -1;
    row.line_of.tabIndex = 0;
    if (focused) row.line_of.focus();
  };

  let typed = "";
  let typedAt = 0;
  const typeAhead = (letter, from) => {
    const now = performance.now();
    typed = now - typedAt > 800 ? letter : typed + letter;
    typedAt = now;
    const shown = [...body.rows];
    const start = shown.indexOf(from) + (typed.length === 1 ? 1 : 0);
    const turned = [...shown.slice(start), ...shown.slice(0, start)];
    return turned.find((line) => line.row.label.toLowerCase().startsWith(typed.toLowerCase()));
  };

  body.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const line = event.target.closest("tr");
    const row = line?.row;
    if (!row) return;
    let next = null;
    switch (event.key) {
      case "ArrowDown": next = line.nextElementSibling; break;
      case "ArrowUp": next = line.previousElementSibling; break;
      case "Home": next = body.firstElementChild; break;
      case "End": next = body.lastElementChild; break;
      case "ArrowRight":
        if (row.unfolded) next = row.children[0].line_of;
        else setUnfolded(row, true);
        break;
      case "ArrowLeft":
        if (row.unfolded) setUnfolded(row, false);
        else next = row.parent?.line_of;
        break;
      case "Enter":
      case " ": setUnfolded(row, !row.unfolded); break;
      default:
        if (event.key.length !== 1) return;
        next = typeAhead(event.key, line);
    }
    event.preventDefault();
    if (next) enter(next.row);
  });
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr")?.row;
    if (!row) return;
    enter(row);
    if (event.target.closest(".opener")) setUnfolded(row, !row.unfolded);
  });
  body.addEventListener("dblclick", (event) => {
    const row = event.target.closest("tr")?.row;
    if (row && !event.target.closest(".opener")) setUnfolded(row, !row.unfolded);
  });
  body.addEventListener("focusin", (event) => choose(event.target.closest("tr")?.row));

  const drawTable = () => {
    table.setAttribute("role", "treegrid");
    table.tHead.setAttribute("role", "rowgroup");
    table.tHead.rows[0].setAttribute("role", "row");
    headings.forEach((heading) => heading.setAttribute("role", "columnheader"));
    body.setAttribute("role", "rowgroup");
    body.replaceChildren(...lines(outermost));
    const scrolled = table.parentElement;
    scrolled.removeAttribute("tabindex");
    if (outermost.length) enter(outermost[0], false);
    byId("folding").hidden = !rows.some((row) => row.children.length);
    byId("unfold").addEventListener("click", () => unfoldAll(true));
    byId("fold").addEventListener("click", () => unfoldAll(false));
  };

  // ---------------------------------------------------------------- the treemap

  const treemap = byId("treemap");
  let measure = 0;
  const kindsBySize = (at) => {
    const sums = new Map();
    for (const row of leaves) sums.set(row.kind, (sums.get(row.kind) ?? 0) + row.measures[at]);
    return [...sums].filter(([, sum]) => sum > 0).sort((a, b) => b[1] - a[1]);
  };

  // Bruls, Huizing and van Wijk, "Squarified Treemaps": rows are begun along the shorter side, and a row takes
  // members as long as its worst proportion gets no worse.
  const squarified = (members, sizeOf, [x, y, width, height], place) => {
    let rest = members.filter((one) => sizeOf(one) > 0).sort((a, b) => sizeOf(b) - sizeOf(a));
    let left = rest.reduce((sum, one) => sum + sizeOf(one), 0);
    while (rest.length) {
      const along = Math.min(width, height);
      const scale = (width * height) / left;
      let taken = 0;
      let area = 0;
      let worst = Infinity;
      while (taken < rest.length) {
        const more = area + sizeOf(rest[taken]) * scale;
        const largest = sizeOf(rest[0]) * scale;
        const smallest = sizeOf(rest[taken]) * scale;
        const next = Math.max((along ** 2 * largest) / more ** 2, more ** 2 / (along ** 2 * smallest));
        if (taken && next > worst) break;
        [area, worst] = [more, next];
        taken += 1;
      }
      const thick = along ? area / along : 0;
      let at = 0;
      for (const one of rest.slice(0, taken)) {
        const length = thick ? (sizeOf(one) * scale) / thick : 0;
        place(one, width >= height ? [x, y + at, thick, length] : [x + at, y, length, thick]);
        at += length;
      }
      if (width >= height) [x, width] = [x + thick, Math.max(0, width - thick)];
      else [y, height] = [y + thick, Math.max(0, height - thick)];
      for (const one of rest.slice(0, taken)) left -= sizeOf(one);
      rest = rest.slice(taken);
    }
  };

  // Across, in parts of the whole: on paper it is narrower.
  const placed = (element, [x, y, width, height]) => {
    const part = (length) => `${(100 * length) / treemap.clientWidth}%`;
    Object.assign(element.style, { left: part(x), top: `${y}px`, width: part(width), height: `${height}px` });
    treemap.append(element);
  };
  const HEADING = 18;

  const drawTreemap = () => {
    const width = treemap.clientWidth;
    const height = Math.round(clamp(width * 0.45, 240, 480));
    const whole = wholes[measure];
    const { name, cell } = MEASURES[measure];
    const said = byId("treemap-said");
    rows.forEach((row) => (row.tile = null));
    treemap.replaceChildren();
    treemap.hidden = !whole;
    byId("kinds").replaceChildren();
    if (!whole) {
      said.textContent = whole === 0 ? `There are no ${name.replace("of ", "")}.` : "It depends on the sizes: give them, as in --size H=224.";
      return;
    }
    treemap.style.height = `${height}px`;
    const kinds = kindsBySize(measure);
    const colour = new Map(kinds.map(([kind], i) => [kind, `kind${Math.min(i, 7)}`]));
    const sizeOf = (row) => row.measures[measure];
    let tiles = 0;
    const place = (above) => (row, [x, y, w, h]) => {
      const parts = row.children.filter((child) => sizeOf(child) > 0);
      if (parts.length === 1) return place(above)(parts[0], [x, y, w, h]);
      if (parts.length) {
        const headed = w > 60 && h > 48;
        if (headed) {
          const label = row.name.startsWith(`${above}.`) ? row.name.slice(above.length + 1) : row.name;
          const frame = make("div", { className: "frame" }, label);
          frame.setAttribute("aria-hidden", "true");
          placed(frame, [x, y, w, h]);
        }
        const gap = headed ? 3 : 0;
        const top = headed ? HEADING : 0;
        const room = [x + gap, y + top, Math.max(0, w - 2 * gap), Math.max(0, h - top - gap)];
        return squarified(parts, sizeOf, room, place(headed ? row.name : above));
      }
      tiles += 1;
      const label = row.name.startsWith(`${above}.`) ? row.name.slice(above.length + 1) : row.name;
      const share = percent(sizeOf(row), whole);
      const tile = make("div", { className: `tile ${colour.get(row.kind)}`, tabIndex: -1 });
      tile.title = `${row.name} (${row.kind}): ${row.cells[cell]} ${name}, ${share}`;
      if (w > 46 && h > 20) tile.append(make("span", {}, label));
      if (w > 56 && h > 38) tile.append(make("span", {}, share));
      tile.setAttribute("role", "option");
      tile.setAttribute("aria-label", tile.title);
      tile.setAttribute("aria-selected", row === chosen);
      tile.row = row;
      row.tile = tile;
      placed(tile, [x, y, w, h]);
    };
    squarified(outermost, sizeOf, [0, 0, width, height], place(""));
    const first = chosen?.tile ?? treemap.querySelector(".tile");
    first.tabIndex = 0;
    const layers = tiles === 1 ? "1 layer" : `${count(tiles)} layers`;
    const total = measure === 2 ? "All activation memory" : `${count(whole)} ${name}`;
    said.textContent = `${total}, in ${layers}. The arrow keys move from one to the next.`;
    byId("kinds").append(
      ...kinds.slice(0, 7).map(([kind, sum]) => {
        const swatch = make("i", { className: colour.get(kind) });
        return make("li", {}, swatch, `${kind} ${percent(sum, whole)}`);
      }),
    );
    if (kinds.length > 7) {
      const others = kinds.slice(7).reduce((sum, [, one]) => sum + one, 0);
      byId("kinds").append(make("li", {}, make("i", { className: "kind7" }), `others ${percent(others, whole)}`));
    }
  };

  const enterTile = (tile) => {
    if (!tile) return;
    for (const one of treemap.querySelectorAll('.tile[tabindex="0"]')) one.tabIndex = -1;
    tile.tabIndex = 0;
    tile.focus();
  };
  treemap.addEventListener("keydown", (event) => {
    const tiles = [...treemap.querySelectorAll(".tile")];
    const at = tiles.indexOf(event.target);
    const to = { ArrowRight: at + 1, ArrowDown: at + 1, ArrowLeft: at - 1, ArrowUp: at - 1, Home: 0, End: tiles.length - 1 };
    if (!(event.key in to) || at < 0) return;
    event.preventDefault();
    enterTile(tiles[to[event.key]]);
  });
  treemap.addEventListener("click", (event) => enterTile(event.target.closest(".tile")));
  treemap.addEventListener("focusin", (event) => {
    const row = event.target.closest(".tile")?.row;
    if (row) choose(row);
  });

  // ---------------------------------------------------------------- memory

  const chart = byId("chart");
  let pass = "forward";
  let step = 0;
  const NS = "http://www.w3.org/2000/svg";
  const shape = (tag, attributes) => {
    const made = document.createElementNS(NS, tag);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    return made;
  };
  const nameOf = (layer) => (typeof layer === "number" ? rows[layer].name : layer);

  const drawChart = () => {
    const { amounts } = data.memory;
    const steps = data.memory[pass];
    const sizes = steps.map(([amount]) => amounts[amount][0]);
    const peak = sizes.reduce((a, b) => Math.max(a, b), 0);
    const at = sizes.indexOf(peak);
    const high = (size) => 100 - (peak ? (94 * size) / peak : 0);
    let path = "M0 100";
    sizes.forEach((size, i) => (path += `V${high(size).toFixed(2)}H${i + 1}`));
    const svg = shape("svg", { viewBox: `0 0 ${steps.length} 100`, preserveAspectRatio: "none", "aria-hidden": "true" });
    const back = steps.findIndex((one) => one[2]);
    svg.append(
      shape("path", { d: `${path}V100Z`, class: "area" }),
      shape("line", { x1: 0, x2: steps.length, y1: high(peak), y2: high(peak), class: "peak" }),
      ...(back > 0 ? [shape("line", { x1: back, x2: back, y1: 0, y2: 100, class: "back" })] : []),
      shape("rect", { y: 0, height: 100, width: 1, class: "at" }),
    );
    const label = make("b", {}, `peak ${amounts[steps[at][0]][1]}, ${nameOf(steps[at][1])}`);
    label.style.top = "10%";
    label.style[at * 2 < steps.length ? "left" : "right"] =
      `${Math.min(60, (100 * (at * 2 < steps.length ? at + 1 : steps.length - at)) / steps.length)}%`;
    chart.replaceChildren(svg, label);
    if (back > 0) {
      const turn = make("b", {}, "backward →");
      Object.assign(turn.style, { bottom: "0.2rem", left: `${Math.min(85, (100 * back) / steps.length)}%` });
      chart.append(turn);
    }
    chart.setAttribute("aria-valuemax", steps.length);
    setStep(at);
  };

  const setStep = (to) => {
    const { amounts, held } = data.memory;
    const steps = data.memory[pass];
    step = clamp(to, 0, steps.length - 1);
    const [amount, layer, back] = steps[step];
    const each = data.memory.each[pass];
    const whole = data.memory.counts[pass];
    const which = each === 1 ? `step ${count(step + 1)}` : `steps ${count(step * each + 1)} to ${count(Math.min(step * each + each, whole))}`;
    const most = each === 1 ? "" : "at most, ";
    const said = `${which} of ${count(whole)}, ${most}${nameOf(layer)}${back ? ", backward" : ""}: ${amounts[amount][1]} alive`;
    chart.querySelector(".at").setAttribute("x", step);
    chart.setAttribute("aria-valuenow", step + 1);
    chart.setAttribute("aria-valuetext", said);
    byId("step").textContent = `${said[0].toUpperCase()}${said.slice(1)}.`;
    const holding = pass === "forward" && held ? held.filter(([, , birth, death]) => birth <= step && step <= death) : [];
    holding.sort((a, b) => amounts[b[1]][0] - amounts[a[1]][0]);
    byId("held").hidden = !holding.length;
    byId("held").replaceChildren(
      ...holding.slice(0, 8).map(([maker, size]) => {
        const share = make("i");
        share.style.width = `${(100 * amounts[size][0]) / amounts[amount][0]}%`;
        return make("li", {}, share, make("span", {}, nameOf(maker)), make("span", {}, amounts[size][1]));
      }),
      ...(holding.length > 8 ? [make("li", {}, make("span", {}, `and ${holding.length - 8} smaller ones`))] : []),
    );
  };

  const startMemory = () => {
    if (!data.memory) {
      for (const id of ["chart", "step", "held", "passes"]) byId(id).hidden = true;
      byId("memory-none").hidden = false;
      return;
    }
    drawChart();
    const pointed = (event) => {
      const { left, width } = chart.getBoundingClientRect();
      setStep(Math.floor(((event.clientX - left) / width) * data.memory[pass].length));
    };
    chart.addEventListener("pointermove", pointed);
    chart.addEventListener("pointerdown", (event) => {
      pointed(event);
      const layer = data.memory[pass][step][1];
      if (typeof layer === "number") choose(rows[layer]);
    });
    chart.addEventListener("keydown", (event) => {
      const far = Math.max(1, Math.round(data.memory[pass].length / 10));
      const to = {
        ArrowRight: step + 1, ArrowUp: step + 1, ArrowLeft: step - 1, ArrowDown: step - 1,
        PageUp: step + far, PageDown: step - far, Home: 0, End: Infinity,
      };
      if (!(event.key in to)) return;
      event.preventDefault();
      setStep(to[event.key]);
    });
    for (const radio of document.getElementsByName("pass")) {
      radio.addEventListener("change", () => {
        pass = radio.value;
        drawChart();
      });
    }
  };

  // ---------------------------------------------------------------- what a unit sees

  const MOST_POSITIONS = 2 ** 20;
  const merged = (runs) => {
    const found = [];
    for (const [a, b] of runs.sort((left, right) => left[0] - right[0])) {
      const last = found[found.length - 1];
      if (last && a <= last[1] + 1) last[1] = Math.max(last[1], b);
      else found.push([a, b]);
    }
    return found;
  };
  const runsOf = (bits) => {
    const found = [];
    bits.forEach((is, i) => {
      if (!is) return;
      if (i && bits[i - 1]) found[found.length - 1][1] = i;
      else found.push([i, i]);
    });
    return found;
  };
  // The positions of a phase as runs, counted from its first; `ends` says that what lies between isn't known.
  const known = new Map();
  const phaseRuns = (phase) => {
    if (!known.has(phase)) known.set(phase, positions(phase));
    return known.get(phase);
  };
  const positions = ([first, last, pattern]) => {
    const length = last - first + 1;
    if (pattern === undefined) return { runs: [[0, length - 1]], ends: false };
    if (pattern === 0 || length > MOST_POSITIONS) return { runs: [[0, length - 1]], ends: true };
    const bits = new Uint8Array(length);
    if (typeof pattern === "string") {
      for (let i = 0; i < length; i++) {
        const digit = parseInt(pattern[pattern.length - 1 - (i >> 2)] ?? "0", 16);
        bits[i] = (digit >> (i & 3)) & 1;
      }
    } else {
      bits[0] = 1;
      let reach = 0;
      for (const [step, times] of pattern) {
        const before = bits.slice(0, reach + 1);
        for (let k = 1; k <= times; k++) before.forEach((is, i) => is && (bits[i + k * step] = 1));
        reach += step * times;
      }
    }
    return { runs: runsOf(bits), ends: false };
  };
  // What a unit sees along an axis: [first, last] of each run.
  const sees = (axis, unit) => {
    const runs = [];
    let ends = false;
    for (const [period, step, phases] of axis) {
      const turns = Math.floor(unit / period);
      const phase = phases[unit - turns * period];
      if (!phase) continue;
      const found = phaseRuns(phase);
      const first = phase[0] + turns * step;
      ends ||= found.ends;
      for (const [a, b] of found.runs) runs.push([first + a, first + b]);
    }
    return { runs: merged(runs), ends };
  };
  // The ends of all that units see along an axis, and from end to end the least and the most that one sees.
  const outermostOf = (axis, units) => {
    let [low, high, least, most] = [Infinity, -Infinity, Infinity, 0];
    const look = (unit) => {
      let [first, last] = [Infinity, -Infinity];
      for (const [period, step, phases] of axis) {
        const turns = Math.floor(unit / period);
        const phase = phases[unit - turns * period];
        if (!phase) continue;
        first = Math.min(first, phase[0] + turns * step);
        last = Math.max(last, phase[1] + turns * step);
      }
      const length = Math.max(0, last - first + 1);
      [low, high] = [Math.min(low, first), Math.max(high, last)];
      [least, most] = [Math.min(least, length), Math.max(most, length)];
    };
    const few = 1024;
    for (let unit = 0; unit < units; unit++) if (unit < few || unit >= units - few) look(unit);
    return [low, high, least, most];
  };

  const AXES = { 1: ["sample"], 2: ["row", "column"], 3: ["slice", "row", "column"] };
  const signed = (number) => (number < 0 ? `−${-number}` : `${number}`);
  const MOST_RUNS = 16;
  const runsInWords = (runs, plural) => {
    if (!runs.length) return `no ${plural}`;
    const texts = runs.map(([a, b]) => (a === b ? signed(a) : `${signed(a)} to ${signed(b)}`));
    if (texts.length > MOST_RUNS) texts.splice(MOST_RUNS - 1, texts.length - MOST_RUNS, "…");
    return `${runs.length === 1 && runs[0][0] === runs[0][1] ? plural.slice(0, -1) : plural} ${texts.join(", ")}`;
  };
  const within = (runs, extent) =>
    runs.reduce((sum, [a, b]) => sum + Math.max(0, Math.min(b, extent - 1) - Math.max(a, 0) + 1), 0);
  const all = (runs) => runs.reduce((sum, [a, b]) => sum + b - a + 1, 0);

  let at = null; // the field that is explored: its axes, units and the unit that is pointed at
  let shown = []; // the axes that the picture shows
  let axesOf = 0; // of how many
  let own = null; // a picture of one's own

  const colourOf = (name) => {
    const probe = make("i");
    probe.style.color = `var(${name})`;
    document.body.append(probe);
    const { color } = getComputedStyle(probe);
    probe.remove();
    return color;
  };
  const sized = (canvas, width, height) => {
    const ratio = window.devicePixelRatio || 1;
    canvas.width = Math.max(1, Math.round(width * ratio));
    canvas.height = Math.max(1, Math.round(height * ratio));
    canvas.style.width = `${width}px`;
    canvas.style.height = `${height}px`;
    const pen = canvas.getContext("2d");
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    return pen;
  };

  const explore = () => {
    const row = chosen;
    if (!row) return;
    const { words } = row;
    byId("about").textContent = [
      row.call && `${row.call}, line ${row.line}`,
      !row.call && `${row.kind}, line ${row.line}`,
      `from ${row.from || "nothing"}`,
      `output ${row.output}`,
      words.field && `field ${words.field}`,
      words.stride && `stride ${words.stride}`,
      words.padding && `padding ${words.padding}`,
      words.taps && words.taps !== words.field && `${words.taps} positions used`,
      words.translation && `translation: ${words.translation}`,
      words.symmetry,
    ].filter(Boolean).join(" · ");
    const number = Number(byId("input").value);
    const input = data.inputs[number];
    const field = row.seen[number] === null ? null : data.fields[row.seen[number]];
    const said = whyNot(field, input);
    byId("unseen-field").textContent = said;
    byId("unseen-field").hidden = !said;
    byId("seeing").hidden = Boolean(said) && field?.reach !== "global";
    const whole = field?.reach === "global" && input.extents.length > 0;
    if (said && !(whole && closed(input.extents))) {
      byId("seeing").hidden = true;
      at = null;
      return;
    }
    byId("seeing").hidden = false;
    const axes = whole ? input.extents.map(() => null) : field.axes.map((axis) => data.axes[axis]);
    const units = whole ? input.extents.map(() => 1) : field.extents;
    const before = at;
    at = { row, input, field, axes, units, whole, unit: units.map((n) => Math.floor((n - 1) / 2)) };
    if (before && before.row === row && before.input === input) at.unit = before.unit;
    at.ends = axes.map((axis, i) => (axis ? outermostOf(axis, units[i]) : [0, input.extents[i] - 1, 0, 0]));
    const names = AXES[units.length];
    if (axesOf !== names.length) shown = names.length === 1 ? [0] : [names.length - 2, names.length - 1];
    axesOf = names.length;
    byId("unit").hidden = whole;
    byId("units").parentElement.hidden = whole;
    byId("unit").replaceChildren(
      "Unit",
      ...names.map((name, i) => {
        const box = make("input", { type: "number", min: 0, max: units[i] - 1, value: at.unit[i] });
        box.addEventListener("input", () => {
          if (box.value === "" || !Number.isInteger(box.valueAsNumber)) return;
          at.unit[i] = clamp(box.valueAsNumber, 0, units[i] - 1);
          drawUnit();
        });
        return make("label", {}, name, box);
      }),
    );
    byId("shown-axes").hidden = names.length < 3;
    if (names.length === 3) {
      const pairs = [[1, 2], [0, 1], [0, 2]];
      const choice = make("select");
      pairs.forEach((pair, i) => choice.append(make("option", { value: i }, `${names[pair[0]]}s and ${names[pair[1]]}s`)));
      choice.value = pairs.findIndex(([a, b]) => a === shown[0] && b === shown[1]);
      choice.addEventListener("change", () => {
        shown = pairs[choice.value];
        drawUnit();
      });
      byId("shown-axes").replaceChildren(make("label", {}, "The picture shows", choice));
    }
    byId("own-picture").hidden = names.length === 1;
    drawUnit();
  };

  const closed = (extents) => extents.every((n) => typeof n === "number");
  const whyNot = (field, input) => {
    if (!field) return `It sees nothing of ${input.name}.`;
    if (!input.extents.length) return `${input.name} is a vector: it has features and no positions, and every unit may depend on all of them.`;
    if (field.reach === "global")
      return field.at_most ? "Every unit may see the whole input, or any part of it: the values decide." : "Global: every unit sees the whole input.";
    if (field.reach === "unknown") return "What its units see can't be said exactly.";
    if (!closed(input.extents) || !closed(field.extents))
      return "How many units there are depends on the sizes: give them, as in archdsl analyze FILE --size H=224 --html OUT.html.";
    if (field.axes.includes(null)) return "The positions that its units see are too many to be written in this page.";
    return "";
  };

  const drawUnit = () => {
    if (!at) return;
    const names = AXES[at.units.length];
    const seen = at.axes.map((axis, i) =>
      axis ? sees(axis, at.unit[i]) : { runs: [[0, at.input.extents[i] - 1]], ends: false },
    );
    const boxes = byId("unit").querySelectorAll("input");
    boxes.forEach((box, i) => {
      if (box !== document.activeElement || Number(box.value) !== at.unit[i]) box.value = at.unit[i];
    });
    drawUnits();
    drawInput(seen);
    const parts = seen.map(({ runs }, i) => runsInWords(runs, `${names[i]}s`));
    const counted = seen.map(({ runs }) => all(runs));
    const inInput = seen.map(({ runs }, i) => within(runs, at.input.extents[i]));
    const product = (numbers) => numbers.reduce((a, b) => a * b, 1);
    const rest = product(counted) - product(inInput);
    const where = at.whole ? "Every unit" : `Unit ${names.map((name, i) => `${name} ${at.unit[i]}`).join(", ")}`;
    const most = at.ends.map((axis) => count(axis[3])).join(" × ");
    const differ = at.ends.some(([, , less, more]) => less < more);
    const differing = differ ? ` Units differ in this: the field, ${most}, is that of those that see the most.` : "";
    byId("seen").textContent = product(counted)
      ? `${where} sees ${at.field.at_most ? "at most " : ""}${parts.join("; ")} of ${at.input.name}: ` +
        `${counted.map(count).join(" × ")} positions${rest ? `, ${count(rest)} of them padding outside it` : ""}.` +
        `${seen.some(({ ends }) => ends) ? " Between the ends there may be holes." : ""}${differing}`
      : `${where} sees nothing of ${at.input.name}.${differing}`;
  };

  // ---- the units

  const unitsFrame = byId("units");
  const unitsCanvas = unitsFrame.firstElementChild;
  // The height and width of a unit; a strip is as wide as there is room, a map no larger than leaves room beside it.
  const unitScale = () => {
    const [vertical, across] = grid();
    const room = byId("seeing").clientWidth;
    if (shown.length === 1) return [24, Math.min(24, room / across)];
    const each = Math.min(24, Math.min(150, room) / Math.max(vertical, across));
    return [each, each];
  };
  const grid = () => (shown.length === 1 ? [1, at.units[0]] : shown.map((axis) => at.units[axis]));
  const drawUnits = () => {
    if (at.whole) return;
    const [vertical, across] = grid();
    const [high, wide] = unitScale();
    const pen = sized(unitsCanvas, Math.max(2, across * wide), Math.max(2, vertical * high));
    pen.fillStyle = colourOf("--bar");
    pen.fillRect(0, 0, across * wide, vertical * high);
    pen.fillStyle = colourOf("--page");
    if (wide >= 4) for (let i = 1; i < across; i++) pen.fillRect(i * wide - 0.5, 0, 1, vertical * high);
    if (high >= 4) for (let i = 1; i < vertical; i++) pen.fillRect(0, i * high - 0.5, across * wide, 1);
    const [i, j] = shown.length === 1 ? [0, at.unit[0]] : shown.map((axis) => at.unit[axis]);
    const mark = (size, place, cell) => [Math.max(0, place * cell + cell / 2 - size / 2), size];
    const [top, tall] = mark(Math.max(high, 5), i, high);
    const [left, broad] = mark(Math.max(wide, 5), j, wide);
    pen.fillStyle = colourOf("--marked");
    pen.fillRect(left, top, broad, tall);
  };
  const moveTo = (vertical, across) => {
    if (!at || at.whole) return;
    const to = [...at.unit];
    if (shown.length === 1) to[0] = across;
    else [to[shown[0]], to[shown[1]]] = [vertical, across];
    const next = to.map((unit, axis) => clamp(unit, 0, at.units[axis] - 1));
    if (next.every((unit, axis) => unit === at.unit[axis])) return;
    at.unit = next;
    drawUnit();
  };
  const pointedUnit = (event) => {
    if (!at) return;
    const { left, top, width, height } = unitsCanvas.getBoundingClientRect();
    const [vertical, across] = grid();
    moveTo(Math.floor(((event.clientY - top) / height) * vertical), Math.floor(((event.clientX - left) / width) * across));
  };
  unitsFrame.addEventListener("pointermove", pointedUnit);
  unitsFrame.addEventListener("pointerdown", pointedUnit);
  unitsFrame.addEventListener("keydown", (event) => {
    if (!at || at.whole) return;
    const [i, j] = shown.length === 1 ? [0, at.unit[0]] : shown.map((axis) => at.unit[axis]);
    const to = {
      ArrowRight: [i, j + 1], ArrowLeft: [i, j - 1], ArrowDown: [i + 1, j], ArrowUp: [i - 1, j],
      Home: [i, 0], End: [i, Infinity], PageUp: [i - 10, j], PageDown: [i + 10, j],
    };
    if (!(event.key in to)) return;
    event.preventDefault();
    moveTo(...to[event.key]);
  });

  // ---- the input

  const inputFrame = byId("picture");
  const inputCanvas = inputFrame.firstElementChild;

  // What is shown of an axis: the input, and of what lies outside it as much as half the input again.
  const shownOf = (axis) => {
    const extent = at.input.extents[axis];
    const most = Math.ceil(extent / 2);
    const [low, high] = at.ends[axis];
    return [-clamp(-low, 0, most), extent + clamp(high - extent + 1, 0, most)];
  };
  const drawInput = (seen) => {
    const single = shown.length === 1;
    const [rowAxis, columnAxis] = single ? [null, shown[0]] : shown;
    const [left, right] = shownOf(columnAxis);
    const [top, bottom] = single ? [0, 1] : shownOf(rowAxis);
    const extentX = at.input.extents[columnAxis];
    const extentY = single ? 1 : at.input.extents[rowAxis];
    const room = Math.max(120, Math.min(400, byId("seeing").clientWidth));
    const across = single ? Math.min(28, room / (right - left)) : Math.min(28, room / (right - left), 400 / (bottom - top));
    const down = single ? 90 : across;
    const width = (right - left) * across;
    const height = (bottom - top) * down;
    const pen = sized(inputCanvas, width, height);
    pen.fillStyle = colourOf("--raised");
    pen.fillRect(0, 0, width, height);
    pen.strokeStyle = colourOf("--hatch");
    for (let x = -height; x < width; x += 8) {
      pen.beginPath();
      pen.moveTo(x, height);
      pen.lineTo(x + height, 0);
      pen.stroke();
    }
    const area = [-left * across, -top * down, extentX * across, extentY * down];
    if (single) drawSignal(pen, area, extentX);
    else {
      pen.imageSmoothingEnabled = across < 3;
      pen.drawImage(pictureOf(extentX, extentY, at.input.channels === 1), ...area);
    }
    const runsX = seen[columnAxis].runs;
    const runsY = single ? (runsX.length ? [[0, 0]] : []) : seen[rowAxis].runs;
    if (single) for (const [axis, { runs }] of seen.entries()) if (axis !== columnAxis && !runs.length) runsX.length = 0;
    // One path for all that isn't seen: what two of its rectangles cover is no darker.
    const unseen = new Path2D();
    const gaps = (runs, from, to) => {
      const found = [];
      let start = from;
      for (const [a, b] of runs) {
        if (a > start) found.push([start, Math.min(a, to)]);
        start = Math.max(start, b + 1);
      }
      if (start < to) found.push([start, to]);
      return found.filter(([a, b]) => b > a);
    };
    for (const [a, b] of gaps(runsY, top, bottom)) unseen.rect(0, (a - top) * down, width, (b - a) * down);
    for (const [a, b] of gaps(runsX, left, right)) unseen.rect((a - left) * across, 0, (b - a) * across, height);
    pen.fillStyle = colourOf("--dark-picture");
    pen.fill(unseen, "nonzero");
    pen.lineWidth = 1;
    pen.strokeStyle = colourOf("--text");
    pen.strokeRect(area[0] + 0.5, area[1] + 0.5, area[2] - 1, area[3] - 1);
    if (runsX.length && runsY.length) {
      const box = (runs) => [runs[0][0], runs[runs.length - 1][1] + 1];
      const [x0, x1] = box(runsX);
      const [y0, y1] = box(runsY);
      pen.lineWidth = 2.5;
      pen.strokeStyle = colourOf("--marked");
      pen.strokeRect((x0 - left) * across, (y0 - top) * down, (x1 - x0) * across, (y1 - y0) * down);
    }
    const extents = at.input.extents.map(count).join(" × ");
    const cut = [rowAxis, columnAxis].some((axis) => axis !== null && (at.ends[axis][0] < shownOf(axis)[0] || at.ends[axis][1] >= shownOf(axis)[1]));
    byId("input-caption").textContent =
      `${at.input.name}, ${extents}; hatched is outside it${cut ? ", as far as it is shown" : ""}`;
  };

  const drawSignal = (pen, [x, y, width, height], samples) => {
    pen.fillStyle = colourOf("--page");
    pen.fillRect(x, y, width, height);
    pen.strokeStyle = colourOf("--accent");
    pen.lineWidth = 1.5;
    pen.beginPath();
    const few = Math.min(samples, 2000);
    for (let i = 0; i < few; i++) {
      const t = (i + 0.5) / few;
      const value = 0.5 * Math.sin(12.6 * t) + 0.3 * Math.sin(41 * t + 1) + 0.15 * Math.sin(97 * t);
      pen[i ? "lineTo" : "moveTo"](x + t * width, y + height * (0.5 - 0.45 * value));
    }
    pen.stroke();
    const each = width / samples;
    if (each >= 5) {
      pen.fillStyle = colourOf("--line");
      for (let i = 1; i < samples; i++) pen.fillRect(x + i * each - 0.5, y, 1, height);
    }
  };

  // A picture at the input's own resolution, so that one sees what the network is given.
  let drawnPicture = null;
  const pictureOf = (width, height, grey) => {
    const key = [width, height, grey, own].join();
    if (drawnPicture?.key === key && drawnPicture.own === own) return drawnPicture.canvas;
    const most = 1024;
    const shrink = Math.min(1, most / Math.max(width, height));
    const canvas = make("canvas", { width: Math.ceil(width * shrink), height: Math.ceil(height * shrink) });
    const pen = canvas.getContext("2d", { willReadFrequently: grey });
    const from = own ?? testPicture();
    const scale = Math.max(canvas.width / from.width, canvas.height / from.height);
    const [w, h] = [canvas.width / scale, canvas.height / scale];
    pen.imageSmoothingQuality = "high";
    pen.drawImage(from, (from.width - w) / 2, (from.height - h) / 2, w, h, 0, 0, canvas.width, canvas.height);
    if (grey) {
      const pixels = pen.getImageData(0, 0, canvas.width, canvas.height);
      for (let i = 0; i < pixels.data.length; i += 4) {
        const light = 0.299 * pixels.data[i] + 0.587 * pixels.data[i + 1] + 0.114 * pixels.data[i + 2];
        pixels.data.fill(light, i, i + 3);
      }
      pen.putImageData(pixels, 0, 0);
    }
    drawnPicture = { key, own, canvas };
    return canvas;
  };

  // A harbour: large and small things, edges in every direction, and fine stripes.
  let harbour = null;
  const testPicture = () => {
    if (harbour) return harbour;
    const side = 512;
    harbour = make("canvas", { width: side, height: side });
    const pen = harbour.getContext("2d");
    const filled = (colour, ...points) => {
      pen.fillStyle = colour;
      pen.beginPath();
      points.forEach(([x, y]) => pen.lineTo(x, y));
      pen.fill();
    };
    const disc = (colour, x, y, radius) => {
      pen.fillStyle = colour;
      pen.beginPath();
      pen.arc(x, y, radius, 0, 2 * Math.PI);
      pen.fill();
    };
    const sky = pen.createLinearGradient(0, 0, 0, 300);
    sky.addColorStop(0, "#5f9fd8");
    sky.addColorStop(1, "#f6e3c5");
    pen.fillStyle = sky;
    pen.fillRect(0, 0, side, 300);
    disc("#fff3b8", 405, 90, 46);
    disc("#ffd84d", 405, 90, 34);
    for (const [x, y, size] of [[90, 80, 26], [120, 70, 34], [155, 82, 24], [250, 130, 16], [272, 124, 22]]) disc("#ffffff", x, y, size);
    filled("#7d8f9f", [0, 300], [0, 230], [90, 160], [170, 240], [250, 190], [350, 300]);
    filled("#93a48c", [180, 300], [330, 200], [430, 250], [512, 215], [512, 300]);
    pen.fillStyle = "#2f6f9a";
    pen.fillRect(0, 300, side, 212);
    for (let y = 310; y < side; y += 10) {
      pen.fillStyle = y % 20 ? "#3d80ac" : "#5796bd";
      for (let x = (y * 7) % 37; x < side; x += 37) pen.fillRect(x, y, 10 + ((x * y) % 14), 2);
    }
    pen.fillStyle = "#f4f1ea";
    pen.fillRect(60, 190, 46, 150);
    pen.fillStyle = "#c8372d";
    for (const y of [210, 250, 290, 330]) pen.fillRect(60, y, 46, 18);
    filled("#5b2b23", [54, 190], [83, 160], [112, 190]);
    pen.fillStyle = "#ffe9a3";
    pen.fillRect(74, 172, 18, 14);
    filled("#4e4339", [20, 350], [40, 335], [130, 335], [160, 352]);
    filled("#6b3a1f", [230, 380], [440, 380], [400, 430], [262, 430]);
    pen.fillStyle = "#3a2a1e";
    pen.fillRect(330, 190, 7, 190);
    filled("#fbf6e9", [340, 200], [340, 366], [440, 366]);
    filled("#d9553f", [326, 220], [326, 366], [250, 366]);
    for (let y = 236; y < 366; y += 12) {
      pen.fillStyle = "#b8c7d4";
      pen.fillRect(341, y, (y - 200) * 0.58, 2);
    }
    pen.fillStyle = "#ffffff";
    for (let x = 262; x < 410; x += 24) pen.fillRect(x, 394, 12, 12);
    pen.strokeStyle = "#22313d";
    pen.lineWidth = 3;
    for (const [x, y] of [[170, 150], [205, 170], [290, 60]]) {
      pen.beginPath();
      pen.arc(x - 9, y, 9, Math.PI, 0);
      pen.arc(x + 9, y, 9, Math.PI, 0);
      pen.stroke();
    }
    for (let i = 0; i < 8; i++) for (let j = 0; j < 3; j++) {
      pen.fillStyle = (i + j) % 2 ? "#e8dcc2" : "#8c7a5e";
      pen.fillRect(i * 24, 440 + j * 24, 24, 24);
    }
    return harbour;
  };

  const take = async (file) => {
    if (!file) return;
    try {
      own = await createImageBitmap(file);
      byId("drawn").hidden = false;
      drawUnit();
    } catch {
      byId("seen").textContent = `${file.name} can't be read as a picture.`;
    }
  };

  const startExplorer = () => {
    const layer = byId("layer");
    layer.append(...rows.map((row) => make("option", { value: row.index }, row.name)));
    layer.addEventListener("change", () => {
      const row = rows[layer.value];
      choose(row);
      enter(row, false);
    });
    const input = byId("input");
    input.append(...data.inputs.map((one, i) => make("option", { value: i }, one.name)));
    input.addEventListener("change", explore);
    byId("input-choice").hidden = data.inputs.length < 2;
    byId("file").addEventListener("change", (event) => take(event.target.files[0]));
    byId("drawn").addEventListener("click", () => {
      own = null;
      byId("file").value = "";
      byId("drawn").hidden = true;
      drawUnit();
    });
    for (const [kind, over] of [["dragenter", true], ["dragover", true], ["dragleave", false], ["drop", false]]) {
      inputFrame.addEventListener(kind, (event) => {
        event.preventDefault();
        inputFrame.classList.toggle("over", over);
        if (kind === "drop") take(event.dataTransfer.files[0]);
      });
    }
    byId("explorer").hidden = false;
    byId("explorer").parentElement.classList.add("both");
    const local = (row) => row.seen.some((field) => field !== null && data.fields[field].reach === "local");
    choose(leaves.findLast(local) ?? leaves[0]);
  };

  // ---------------------------------------------------------------- the page

  const THEMES = ["system", "light", "dark"];
  const theme = byId("theme");
  theme.hidden = false;
  theme.addEventListener("click", () => {
    const next = THEMES[(THEMES.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % THEMES.length];
    if (next === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = next;
    theme.textContent = `Theme: ${next}`;
    drawUnit();
  });

  byId("shares").hidden = false;
  byId("memory").hidden = false;
  drawTable();
  startExplorer();
  drawTreemap();
  startMemory();
  for (const radio of document.getElementsByName("measure")) {
    radio.addEventListener("change", () => {
      measure = Number(radio.value);
      drawTreemap();
    });
  }
  let width = window.innerWidth;
  window.addEventListener("resize", () => {
    if (window.innerWidth === width) return;
    width = window.innerWidth;
    drawTreemap();
    drawUnit();
  });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawUnit);
})();
