/* Draws the numbers of days with uPlot, where bars from the server stand in the page. They come in data-days: seconds of
   each day's midnight, taken as UTC, and one number for each. What the pointer is at is said beside the title. */
(() => {
  "use strict";
  const lang = document.documentElement.lang;
  const day = new Intl.DateTimeFormat(lang, { day: "numeric", month: "short", timeZone: "UTC" });
  const colour = (element, name) => {
    const probe = document.createElement("i");
    probe.style.color = `var(${name})`;
    element.append(probe);
    const found = getComputedStyle(probe).color;
    probe.remove();
    return found;
  };
  const numbers = (currency) => (currency
    ? new Intl.NumberFormat(lang, { style: "currency", currency })
    : new Intl.NumberFormat(lang));
  const short = new Intl.NumberFormat(lang, { notation: "compact", maximumFractionDigits: 1 });
  const plots = new Map();
  const draw = (figure) => {
    const data = JSON.parse(figure.dataset.days);
    const holder = figure.querySelector(".plot");
    const said = figure.querySelector("output");
    const form = numbers(figure.dataset.currency);
    const fill = colour(figure, figure.classList.contains("s-failed") ? "--tone" : "--accent");
    const [ink, line] = [colour(figure, "--ink-3"), colour(figure, "--line")];
    figure.dataset.drawn = "";
    holder.setAttribute("role", "img");
    holder.setAttribute("aria-labelledby", figure.querySelector("figcaption").id);
    holder.replaceChildren();
    const plot = new uPlot({
      width: holder.clientWidth, height: 88, padding: [6, 2, 7, 0],
      legend: { show: false },
      tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), "UTC"),
      scales: { x: { time: true, range: (_, low, high) => [low - 43200, high + 43200] }, y: { range: (_, _low, high) => [0, high || 1] } },
      axes: [
        { show: false },
        { stroke: ink, size: 40, gap: 4, space: 28, font: "11px system-ui, sans-serif", ticks: { show: false },
          grid: { stroke: line, width: 1 }, values: (_, marks) => marks.map((mark) => short.format(mark)) },
      ],
      cursor: { x: false, y: false, points: { show: false }, drag: { setScale: false, x: false, y: false }, sync: { key: "days" } },
      series: [{}, { fill, width: 0, points: { show: false }, paths: uPlot.paths.bars({ size: [0.8, 40] }) }],
      hooks: {
        setCursor: [(one) => {
          const at = one.cursor.idx;
          said.textContent = at == null ? "" : `${day.format(new Date(data[0][at] * 1000))}: ${form.format(data[1][at])}`;
        }],
      },
    }, data, holder);
    plots.set(holder, plot);
    watcher.observe(holder);
  };
  const watcher = new ResizeObserver((changes) => changes.forEach(({ target }) => {
    const plot = plots.get(target);
    if (!target.isConnected) { plot?.destroy(); plots.delete(target); watcher.unobserve(target); return; }
    if (plot && plot.width !== target.clientWidth) plot.setSize({ width: target.clientWidth, height: 88 });
  }));
  const drawAll = () => {
    if (window.uPlot) document.querySelectorAll("[data-days]:not([data-drawn])").forEach(draw);
  };
  const again = () => {
    document.querySelectorAll("[data-days][data-drawn]").forEach((figure) => { delete figure.dataset.drawn; });
    drawAll();
  };
  drawAll();
  document.addEventListener("htmx:afterSettle", drawAll);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", again);
})();
