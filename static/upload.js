/* The upload's page: a file can be dropped, what cannot be taken is not sent, and how much is sent is shown. */
(() => {
  "use strict";
  const byId = (id) => document.getElementById(id);
  const form = byId("upload"), drop = byId("drop"), input = byId("archive"), sending = byId("sending"), sent = byId("sent");
  if (!form) return;
  const bar = sending.querySelector("progress");

  const refuse = (id) => { for (const one of ["too-large", "other-kind"]) byId(one).hidden = one !== id; };
  const look = async () => {
    const file = input.files[0];
    refuse("");
    input.setCustomValidity("");
    if (!file) return;
    const kind = file.size > Number(form.dataset.limit) ? "too-large"
      : (await file.slice(0, 5).text()) !== "PGDMP" ? "other-kind" : "";
    refuse(kind);
    input.setCustomValidity(kind ? byId(kind).textContent.trim() : "");
  };
  input.addEventListener("change", look);

  for (const name of ["dragenter", "dragover"]) {
    drop.addEventListener(name, (event) => { event.preventDefault(); drop.classList.add("over"); });
  }
  for (const name of ["dragleave", "drop"]) drop.addEventListener(name, () => drop.classList.remove("over"));
  drop.addEventListener("drop", (event) => {
    event.preventDefault();
    if (!event.dataTransfer.files.length) return;
    input.files = event.dataTransfer.files;
    look();
  });

  form.addEventListener("htmx:beforeSend", () => { sending.hidden = false; bar.value = 0; sent.textContent = ""; });
  form.addEventListener("htmx:xhr:progress", (event) => {
    const { loaded, total, lengthComputable } = event.detail;
    if (!lengthComputable || !total) return;
    bar.value = loaded * 100 / total;
    if (loaded < total) return;
    bar.removeAttribute("value");
    sent.textContent = sent.dataset.checking;
  });
  form.addEventListener("htmx:afterRequest", () => { sending.hidden = true; });
})();
