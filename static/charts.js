/* Draws the size trends with uPlot, where a plain line stands in the page. Numbers come in data-trend: times in seconds,
   bytes, durations. A part of the page that htmx brings is drawn, too. */
(() => {
  "use strict";
  const units = ["B", "kB", "MB", "GB", "TB"];
  const size = (bytes) => {
    let unit = 0;
    while (bytes >= 999.5 && unit < units.length - 1) { bytes /= 1000; unit += 1; }
    return `${bytes.toFixed(unit > 1 && bytes < 9.95 ? 1 : 0)}\u00a0${units[unit]}`;
  };
  const colour = (element, name) => {
    // light-dark() is worked out only where it is used: a property of an element, not a custom one.
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const draw = (holder) => {
    const data = JSON.parse(holder.dataset.trend);
    const label = holder.querySelector("svg")?.getAttribute("aria-label") || holder.getAttribute("aria-label") || "";
    const [ink, accent] = [colour(holder, "--ink-3"), colour(holder, "--accent")];
    const day = new Intl.DateTimeFormat(document.documentElement.lang, { day: "numeric", month: "short" });
    holder.replaceChildren();
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-label", label);
    new uPlot({
      width: 88, height: 20, padding: [3, 3, 3, 3],
      legend: { show: false }, axes: [{ show: false }, { show: false }],
      scales: { x: { time: true }, y: { range: (_, low, high) => (low === high ? [low - 1, high + 1] : [low, high]) } },
      cursor: { x: false, y: false, drag: { setScale: false, x: false, y: false }, points: { size: 5, fill: accent } },
      series: [{}, { stroke: ink, width: 1.25, points: { show: (_u, _s, first, last) => last - first < 1 } }],
      hooks: {
        setCursor: [(plot) => {
          const index = plot.cursor.idx;
          holder.title = index == null ? label : `${day.format(new Date(data[0][index] * 1000))}: ${size(data[1][index])}`;
        }],
      },
    }, data.slice(0, 2), holder);
    holder.dataset.drawn = "";
  };
  const drawAll = () => {
    if (window.uPlot) document.querySelectorAll("[data-trend]:not([data-drawn])").forEach(draw);
  };
  const again = () => {
    document.querySelectorAll("[data-trend][data-drawn]").forEach((holder) => { delete holder.dataset.drawn; });
    drawAll();
  };
  drawAll();
  document.addEventListener("htmx:afterSettle", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
