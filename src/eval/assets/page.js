// Charts, the choice of runs, and tables that sort. The page reads without it, but for the charts.
(() => {
  "use strict";
  const kColors = ["#0b62b4", "#d1480f", "#178a4c", "#8a3ab9", "#b58900", "#c2185b", "#00838f",
                   "#6d4c41", "#5c6bc0", "#7a7f1a"];
  const kShownRuns = 12;
  const kTipRows = 12;

  const make = (tag, className, text) => {
    const element = document.createElement(tag);
    if (className) element.className = className;
    if (text !== undefined) element.textContent = text;
    return element;
  };

  const short = (value) => {
    if (value === null || value === undefined) return "";
    const size = Math.abs(value);
    const trim = (number, digits) => String(Number(number.toPrecision(digits)));
    if (size >= 1e15 || (size > 0 && size < 1e-3)) {
      return value.toExponential(2).replace(/\.?0+e/, "e").replace("e+", "e");
    }
    for (const [scale, unit] of [[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e4, "k"]]) {
      if (size >= scale) return trim(value / (unit === "k" ? 1e3 : scale), 4) + unit;
    }
    return trim(value, 5);
  };

  const exact = (value) => String(Number(value.toPrecision(7)));

  // Runs: the rows of the table of runs, else the names of curves.
  const colors = new Map();
  const hidden = new Set();
  const colorOf = (name) => {
    if (!colors.has(name)) colors.set(name, kColors[colors.size % kColors.length]);
    return colors.get(name);
  };
  const swatch = (name) => {
    const mark = make("span", "swatch");
    mark.style.background = colorOf(name);
    return mark;
  };
  const table = document.querySelector("table.runs");
  const names = new Set(table && [...table.tBodies[0].rows].map((row) => row.cells[0].textContent));
  const runOf = (curve) =>
    names.has(curve) ? curve : curve.slice(0, Math.max(curve.lastIndexOf(" · "), 0)) || curve;
  const charts = [];

  const pickRuns = () => {
    const drawn = new Set(charts.flatMap((chart) => chart.data.curves.map((one) => runOf(one.name))));
    const all = [...table.querySelectorAll("tbody tr")];
    const rows = all.filter((row) => drawn.has(row.cells[0].textContent)).map((row) => {
      const cell = row.cells[0];
      const name = cell.textContent;
      const box = make("input");
      box.type = "checkbox";
      box.setAttribute("aria-label", "show " + name);
      cell.prepend(box, swatch(name));
      return {row, name, box};
    });
    const apply = () => {
      hidden.clear();
      for (const {name, box} of rows) if (!box.checked) hidden.add(name);
      for (const chart of charts) chart.refresh();
    };
    rows.forEach(({box}, i) => {
      box.checked = i < kShownRuns;
      box.addEventListener("change", apply);
    });
    if (rows.length > 1) {
      const bar = make("div", "pick");
      const filter = make("input");
      filter.placeholder = "filter runs";
      filter.addEventListener("input", () => {
        const wanted = filter.value.toLowerCase();
        for (const row of all) row.hidden = !row.textContent.toLowerCase().includes(wanted);
      });
      const set = (checked) => () => {
        for (const {row, box} of rows) if (!row.hidden) box.checked = checked;
        apply();
      };
      const showing = make("button", "", "show all");
      const hiding = make("button", "", "hide all");
      showing.addEventListener("click", set(true));
      hiding.addEventListener("click", set(false));
      bar.append(filter, showing, hiding);
      if (rows.length > kShownRuns) {
        bar.append("charts show the first " + kShownRuns + " of " + rows.length + " runs");
      }
      table.parentElement.before(bar);
    }
    apply();
  };

  // A curve of another run has points at other steps: take its nearest one, within its range.
  const nearestPoint = (u, series, at) => {
    const values = u.data[series];
    if (values[at] !== undefined && values[at] !== null) return at;
    let before = at, after = at;
    while (before >= 0 && (values[before] === undefined || values[before] === null)) --before;
    while (after < values.length && (values[after] === undefined || values[after] === null)) ++after;
    if (before < 0 || after >= values.length) return null;
    const x = u.data[0];
    return x[at] - x[before] <= x[after] - x[at] ? before : after;
  };

  const tooltip = () => {
    const tip = make("div", "tip");
    tip.hidden = true;
    const show = (u) => {
      const rows = [];
      for (let i = 1; i < u.series.length; ++i) {
        if (u.series[i].bound) continue;
        const at = u.cursor.idxs[i];
        if (!u.series[i].show || at === null || at === undefined) continue;
        const value = u.data[i][at];
        if (value === null || value === undefined) continue;
        rows.push({i, at, value, off: Math.abs(u.valToPos(value, "y") - u.cursor.top)});
      }
      tip.hidden = rows.length === 0 || u.cursor.left < 0;
      if (tip.hidden) return;
      rows.sort((a, b) => a.off - b.off);
      tip.replaceChildren(make("div", "", u.axes[0].label + " " + exact(u.data[0][rows[0].at])));
      for (const {i, at, value} of rows.slice(0, kTipRows)) {
        const line = make("div");
        const other = u.data[0][at] !== u.data[0][rows[0].at];
        const bound = (series) => exact(u.data[series][at]);
        const band = u.series[i + 1] && u.series[i + 1].bound && u.data[i + 1][at] !== null
          ? " (" + bound(i + 1) + " to " + bound(i + 2) + ")" : "";
        line.append(swatch(u.series[i].label), exact(value) + band + "  " + u.series[i].label +
                    (other ? " at " + exact(u.data[0][at]) : ""));
        tip.append(line);
      }
      if (rows.length > kTipRows) tip.append(make("div", "", rows.length - kTipRows + " more"));
      const left = u.cursor.left > u.over.clientWidth / 2;
      tip.style.left = left ? "" : u.cursor.left + 12 + "px";
      tip.style.right = left ? u.over.clientWidth - u.cursor.left + 12 + "px" : "";
      tip.style.top = Math.min(u.cursor.top + 8, u.over.clientHeight - 24) + "px";
    };
    return {hooks: {init: (u) => u.over.append(tip), setCursor: show}};
  };

  const axis = (label) => ({
    label, labelSize: 18, size: label ? 34 : 52, font: "11px system-ui", labelFont: "11px system-ui",
    stroke: "#656d76", grid: {stroke: "#eaeef2", width: 1}, ticks: {stroke: "#d8dee4", width: 1, size: 4},
    values: (u, values) => values.map(short),
  });

  class Chart {
    constructor(figure) {
      this.figure = figure;
      this.data = JSON.parse(figure.querySelector("script").textContent);
      this.logY = false;
      this.logX = false;
      this.place = figure.querySelector(".plot");
      const header = figure.querySelector("header");
      header.firstChild.title = this.data.title;
      header.append(this.toggle("log x", "logX"), this.toggle("log y", "logY"), this.saving());
      for (const curve of this.data.curves) if (!table) colorOf(curve.name);
      if (!table && this.data.curves.length > 1) figure.append(this.legend());
      new ResizeObserver(() => this.plot && this.plot.setSize(this.size())).observe(this.place);
      this.seen = new IntersectionObserver((entries) => {
        if (entries.some((entry) => entry.isIntersecting)) this.drawFirst();
      }, {rootMargin: "600px"});
      this.seen.observe(figure);
    }

    drawFirst() {
      this.seen.disconnect();
      if (!this.plot) this.draw();
    }

    isInView() { return this.figure.getBoundingClientRect().top < window.innerHeight; }

    toggle(text, field) {
      const button = make("button", "", text);
      button.setAttribute("aria-pressed", this[field]);
      button.addEventListener("click", () => {
        this[field] = !this[field];
        button.setAttribute("aria-pressed", this[field]);
        this.draw();
      });
      return button;
    }

    saving() {
      const button = make("button", "", "PNG");
      button.title = "save this chart as a picture";
      button.addEventListener("click", () => {
        const link = make("a");
        link.download = this.data.title.replace(/[^\w.-]+/g, "_") + ".png";
        link.href = this.plot.ctx.canvas.toDataURL("image/png");
        link.click();
      });
      return button;
    }

    legend() {
      const legend = make("div", "legend");
      for (const {name} of this.data.curves) {
        const entry = make("span");
        entry.append(swatch(name), name);
        legend.append(entry);
      }
      return legend;
    }

    size() { return {width: Math.max(this.place.clientWidth, 200), height: 240}; }

    // A logarithm has no place for what is not positive: such points are left out.
    columns(curve) {
      const kept = curve.x.map((x, i) => i).filter((i) => !this.logX || curve.x[i] > 0);
      const fits = (y) => (this.logY && y !== null && y <= 0 ? null : y);
      const values = curve.low ? [curve.y, curve.low, curve.high] : [curve.y];
      return [kept.map((i) => curve.x[i]), ...values.map((all) => kept.map((i) => fits(all[i])))];
    }

    // A line, and the two bounds of its band.
    series(curve) {
      const color = colorOf(table ? this.colorName(curve.name) : curve.name);
      const show = !hidden.has(runOf(curve.name));
      const line = {label: curve.name, stroke: color, width: 1.5, show, points: {size: 4}};
      if (!curve.low) return [line];
      const bound = {...line, stroke: "transparent", points: {show: false}, bound: true};
      return [line, bound, {...bound}];
    }

    draw() {
      if (this.plot) this.plot.destroy();
      const curves = this.data.curves;
      const joined = curves.length ? uPlot.join(curves.map((curve) => this.columns(curve))) : [[]];
      const series = [{label: this.data.x}];
      const bands = [];
      for (const curve of curves) {
        series.push(...this.series(curve));
        if (!curve.low) continue;
        const color = series[series.length - 3].stroke;
        bands.push({series: [series.length - 1, series.length - 2], fill: color + (curves.length > 3 ? "18" : "30")});
      }
      this.plot = new uPlot({
        ...this.size(),
        legend: {show: false},
        cursor: {drag: {x: true, y: true, uni: 20}, dataIdx: nearestPoint, focus: {prox: 24}},
        focus: {alpha: curves.length > 1 && bands.length === 0 ? 0.35 : 1},
        scales: {x: {time: false, distr: this.logX ? 3 : 1}, y: {distr: this.logY ? 3 : 1}},
        axes: [axis(this.data.x), axis("")],
        series, bands,
        plugins: [tooltip()],
      }, joined, this.place);
      this.figure.dataset.drawn = curves.length;
    }

    // With one run the curves of a chart differ in their variant, with several in their run.
    colorName(name) { return table.rows.length > 2 ? runOf(name) : name; }

    refresh() {
      if (!this.plot) return;
      this.plot.series.forEach((one, i) => {
        const show = !hidden.has(runOf(one.label));
        if (i > 0 && one.show !== show) this.plot.setSeries(i, {show});
      });
    }
  }

  const sortBy = (head, column) => {
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.cells[column] ? row.cells[column].textContent.trim() : "";
    const numeric = (text) => text !== "" && !isNaN(text);
    const down = head.dataset.order === "up";
    for (const other of head.parentElement.cells) delete other.dataset.order;
    head.dataset.order = down ? "down" : "up";
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (numeric(x) !== numeric(y)) return numeric(x) ? -1 : 1;  // numbers first, either way
      const result = numeric(x) ? x - y : x.localeCompare(y, undefined, {numeric: true});
      return down ? -result : result;
    };
    body.append(...[...body.rows].sort(order));
  };

  for (const one of document.querySelectorAll("table")) {
    if (!one.tBodies.length || one.tBodies[0].rows.length < 3) continue;
    one.classList.add("sortable");
    [...one.tHead.rows[0].cells].forEach((head, column) => {
      head.addEventListener("click", () => sortBy(head, column));
    });
  }
  for (const figure of document.querySelectorAll("figure.chart")) charts.push(new Chart(figure));
  if (table) pickRuns();
  // A page that is only printed or read has no frames in which an observer would be told.
  for (const chart of charts) if (chart.isInView()) chart.drawFirst();
})();
