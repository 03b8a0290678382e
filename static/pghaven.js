/* What forms and links cannot do by themselves. Everything works without it, only less comfortably. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);

  // Copy buttons: shown only where the browser can copy.
  if (!navigator.clipboard) document.documentElement.classList.add("no-copy");
  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const source = button.dataset.copy ? byId(button.dataset.copy) : button.parentElement.querySelector("code");
    try { await navigator.clipboard.writeText(source.textContent.trim()); } catch { return; }
    const milestone = byId("milestone");
    if (milestone) milestone.textContent = button.dataset.done || "";
    button.classList.add("done");
    setTimeout(() => button.classList.remove("done"), 1500);
  });

  // A link to a page that asks becomes a dialog, where the page brought the dialog along.
  document.addEventListener("click", (event) => {
    const opener = event.target.closest("[data-dialog]");
    if (!opener || event.defaultPrevented || event.ctrlKey || event.metaKey || event.shiftKey) return;
    const dialog = byId(opener.dataset.dialog);
    if (!dialog || !dialog.showModal || dialog.open) return;
    event.preventDefault();
    dialog.showModal();
  });
  document.addEventListener("click", (event) => {
    const closer = event.target.closest("[data-close]");
    const dialog = closer && closer.closest("dialog");
    if (!dialog) return;
    event.preventDefault();
    dialog.close();
  });

  // The button of a form that is on its way rests, so that one press is one request.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (event.defaultPrevented || form.method !== "post") return;
    setTimeout(() => form.querySelectorAll("button[type=submit]").forEach((button) => { button.disabled = true; }));
  });
  addEventListener("pageshow", () => {
    document.querySelectorAll("form button[type=submit]:disabled:not([data-off])").forEach((button) => { button.disabled = false; });
  });

  // The first field that was refused.
  const focusRefused = (root) => { const field = root.querySelector("[aria-invalid=true]"); if (field) field.focus(); };
  focusRefused(document);

  // htmx: polls are marked (they do not keep a session open), rest in a hidden tab, and say when nobody answers.
  const lost = byId("lost");
  let lastGood = new Date();
  // An event that the server set off (HX-Trigger) is no person either.
  const isPoll = (detail) => !detail.triggeringEvent?.isTrusted;
  document.addEventListener("htmx:configRequest", (event) => {
    if (isPoll(event.detail)) event.detail.headers["X-Poll"] = "1";
  });
  document.addEventListener("htmx:confirm", (event) => {
    // What is fetched once (load) is fetched in a hidden tab, too: nobody would ask again.
    const trigger = event.detail.elt.getAttribute("hx-trigger") || "";
    if (document.hidden && isPoll(event.detail) && trigger.startsWith("every")) event.preventDefault();
  });
  document.addEventListener("htmx:sendError", () => {
    if (!lost) return;
    const time = lost.querySelector("time");
    if (time) { time.dateTime = lastGood.toISOString(); time.textContent = lastGood.toLocaleTimeString(document.documentElement.lang, { hour12: false }); }
    lost.hidden = false;
  });
  document.addEventListener("htmx:beforeSwap", (event) => {
    const trouble = byId("trouble");
    const { xhr } = event.detail;
    if (xhr.status < 500 || xhr.status === 503 || xhr.status === 502) lastGood = new Date();
    if (lost) lost.hidden = true;
    const updated = byId("updated"), time = xhr.getResponseHeader("X-Updated");
    if (updated && time && xhr.status < 400) updated.textContent = time;
    if (!trouble) return;
    if (xhr.status >= 400 && xhr.status !== 422) {
      // The same trouble is not said again every second.
      const answer = new DOMParser().parseFromString(xhr.responseText, "text/html").querySelector("#refusal");
      if (answer && trouble.textContent.trim() === answer.textContent.trim()) event.detail.shouldSwap = false;
    } else if (trouble.childElementCount) {
      trouble.replaceChildren();
    }
  });
  document.addEventListener("htmx:afterSettle", (event) => {
    if (event.detail.xhr && event.detail.xhr.status === 422) focusRefused(event.detail.elt);
  });
})();
