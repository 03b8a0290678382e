/* The address of a database, taken apart in the browser: the fields are filled and the address is dropped, because it
   holds a password in the clear. Without this script the server reads the address when the form is sent. */
(() => {
  "use strict";
  const parts = (text) => {
    let url;
    try { url = new URL(text.trim().replace(/^postgres(ql)?:/i, "http:")); } catch { return null; }
    if (!/^\s*postgres(ql)?:\/\//i.test(text) || !url.hostname || !url.username || url.hash) return null;
    const known = new Set(["sslmode", "sslrootcert", "connect_timeout", "application_name"]);
    for (const name of url.searchParams.keys()) if (!known.has(name)) return null;
    try {
      return {
        host: url.hostname.replace(/^\[|\]$/g, ""),
        // new URL() drops the port that is usual for http
        port: url.port || (/:80(?=[/?]|$)/.test(text) ? "80" : "5432"),
        user: decodeURIComponent(url.username),
        password: decodeURIComponent(url.password),
        dbname: decodeURIComponent(url.pathname.slice(1)) || decodeURIComponent(url.username),
        sslmode: url.searchParams.get("sslmode") || "",
        sslrootcert: url.searchParams.get("sslrootcert") || "",
      };
    } catch { return null; }
  };
  document.addEventListener("change", (event) => {
    const field = event.target;
    if (!(field instanceof HTMLInputElement) || field.name !== "url" || !field.form) return;
    const found = parts(field.value);
    if (!found) return;
    for (const [name, value] of Object.entries(found)) {
      const target = field.form.elements.namedItem(name);
      if (target && (value || name !== "password")) target.value = value || (name === "sslmode" ? "prefer" : "");
    }
    const title = field.form.elements.namedItem("name");
    if (title instanceof HTMLInputElement && !title.value) {
      title.value = found.dbname.toLowerCase().replace(/[^a-z0-9_.-]+/g, "-").replace(/^[^a-z0-9]+/, "").slice(0, 63);
    }
    field.value = "";
  });
})();
