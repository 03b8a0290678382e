/* Keeps the end of a log in sight, as long as the reader has not scrolled up. */
(() => {
  "use strict";
  const log = document.querySelector("[data-follow]");
  if (!log) return;
  let atEnd = true;
  const toEnd = () => { if (atEnd) log.scrollTop = log.scrollHeight; };
  log.addEventListener("scroll", () => { atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24; });
  document.addEventListener("htmx:afterSettle", toEnd);
  toEnd();
})();
