/* Keeps the end of a log in sight, as long as the reader has not scrolled up. */
(() => {
  "use strict";
  let log = null, atEnd = true;
  const toEnd = () => {
    const present = document.querySelector("[data-follow]");
    if (present !== log) { log = present; atEnd = true; }
    if (log && atEnd) log.scrollTop = log.scrollHeight;
  };
  document.addEventListener("scroll", (event) => {
    if (event.target === log) atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 24;
  }, true);
  document.addEventListener("htmx:afterSettle", toEnd);
  toEnd();
})();
