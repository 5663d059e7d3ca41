"use strict";
(() => {
  const root = document.documentElement;
  const figures = JSON.parse(document.getElementById("figures").textContent);
  const drawn = new Set();

  const look = () => {
    const style = getComputedStyle(root);
    const of = (name) => style.getPropertyValue(name).trim();
    const axis = { gridcolor: of("--line"), linecolor: of("--quiet"), zerolinecolor: of("--quiet"), tickcolor: of("--line") };
    return { ink: of("--ink"), ground: of("--ground"), axis };
  };

  const layout = (figure, narrow) => {
    const { ink, ground, axis } = look();
    const own = figure.layout;
    const legend = own.showlegend ?? figure.data.length > 1;
    return {
      height: 360, margin: { l: 64, r: 16, t: 28, b: legend ? 84 : 56 }, hovermode: "closest", dragmode: narrow ? false : "zoom",
      ...own,
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { color: ink, size: 13, family: "inherit" },
      hoverlabel: { bgcolor: ground, bordercolor: ink, font: { color: ink } },
      modebar: { bgcolor: "rgba(0,0,0,0)", color: axis.linecolor, activecolor: ink },
      legend: { orientation: "h", yref: "container", y: 0, yanchor: "bottom", x: 0, font: { size: 12 } },
      xaxis: { automargin: true, zeroline: false, ...axis, ...own.xaxis },
      yaxis: { automargin: true, zeroline: false, ...axis, ...own.yaxis },
    };
  };

  // plotly takes a second to read: it waits until a figure is near, so that the verdict does not
  const library = () => {
    if (window.Plotly) return;
    const script = document.createElement("script");
    script.textContent = document.getElementById("plotly").textContent;
    document.head.append(script);
  };

  const draw = (place) => {
    library();
    const figure = figures[Number(place.dataset.figure)];
    const narrow = place.clientWidth < 480;
    const config = { responsive: true, displaylogo: false, displayModeBar: !narrow, scrollZoom: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]] };
    drawn.add(place);
    return Plotly.newPlot(place, figure.data, layout(figure, narrow), config);
  };

  const places = [...document.querySelectorAll("[data-figure]")];
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      seen.unobserve(entry.target);
      requestAnimationFrame(() => setTimeout(draw, 0, entry.target));
    }
  }, { rootMargin: "400px" });
  places.forEach((place) => seen.observe(place));
  addEventListener("beforeprint", () => places.filter((place) => !drawn.has(place)).forEach(draw));

  const redraw = () => drawn.forEach((place) => {
    Plotly.relayout(place, layout(figures[Number(place.dataset.figure)], place.clientWidth < 480));
  });
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const button = document.getElementById("theme");
  const isDark = () => (root.dataset.theme || (dark.matches ? "dark" : "light")) === "dark";
  const show = () => button.setAttribute("aria-pressed", String(isDark()));
  button.addEventListener("click", () => { root.dataset.theme = isDark() ? "light" : "dark"; show(); redraw(); });
  dark.addEventListener("change", () => { show(); redraw(); });
  show();

  // rows that are not seen at once wait as text, so that the verdict does not: they are added when the page is at rest
  const tables = [...document.querySelectorAll("table.sortable")];
  const waits = (table) => table.nextElementSibling?.matches("script.rows");
  const complete = (table) => {
    if (!waits(table)) return;
    table.tBodies[0].insertAdjacentHTML("beforeend", table.nextElementSibling.textContent);
    table.nextElementSibling.remove();
  };
  const atRest = window.requestIdleCallback ?? ((call) => setTimeout(call, 50));
  const completeNext = () => {
    const table = tables.find(waits);
    if (table) { complete(table); atRest(completeNext); }
  };
  addEventListener("load", () => atRest(completeNext));
  addEventListener("beforeprint", () => tables.forEach(complete));

  const key = (row, column) => row.cells[column].dataset.key;
  for (const table of tables) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.addEventListener("click", () => {
      complete(table);
      const up = head.getAttribute("aria-sort") !== "ascending";
      heads.forEach((other) => other.setAttribute("aria-sort", "none"));
      head.setAttribute("aria-sort", up ? "ascending" : "descending");
      const rows = [...table.tBodies[0].rows];
      const known = rows.map((row) => key(row, column)).filter((value) => value !== undefined);
      const numeric = known.length > 0 && known.every((value) => Number.isFinite(Number(value)));
      const compare = (a, b) => numeric ? Number(a) - Number(b) : a.localeCompare(b, undefined, { numeric: true });
      const value = (row) => known.length ? key(row, column) : row.cells[column].textContent;
      rows.sort((a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        return up ? compare(x, y) : compare(y, x);
      });
      table.tBodies[0].append(...rows);
    }));
  }
})();
