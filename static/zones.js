/* Offers the time zone of this browser where another can be chosen. */
(() => {
  "use strict";
  const own = Intl.DateTimeFormat().resolvedOptions().timeZone;
  const offer = () => {
    const choice = document.querySelector("[data-zones]");
    if (!choice || !own || [...choice.options].some((option) => option.value === own)) return;
    choice.add(new Option(choice.dataset.zones.replace("%", own), own));
  };
  document.addEventListener("htmx:afterSettle", offer);
  offer();
})();
