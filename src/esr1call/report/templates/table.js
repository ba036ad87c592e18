"use strict";
(function () {
  document.documentElement.classList.add("js");

  function compare(a, b, index) {
    const x = a.cells[index], y = b.cells[index];
    const numeric = x.dataset.v !== undefined || y.dataset.v !== undefined;
    const p = numeric ? x.dataset.v : x.textContent.trim(), q = numeric ? y.dataset.v : y.textContent.trim();
    if (!p || !q) return { unknown: true, order: (p ? 0 : 1) - (q ? 0 : 1) };
    return { unknown: false, order: numeric ? p - q : p.localeCompare(q, "en", { numeric: true }) };
  }

  function sortable(table) {
    const heads = Array.from(table.tHead.rows[0].cells);
    heads.forEach(function (head, index) {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = head.textContent.trim();
      head.replaceChildren(button);
      button.addEventListener("click", function () {
        const down = head.getAttribute("aria-sort") === "ascending";
        heads.forEach(function (other) { other.removeAttribute("aria-sort"); });
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const rows = Array.from(table.tBodies[0].rows);
        rows.sort(function (a, b) { // what is not known comes last either way
          const found = compare(a, b, index);
          return found.unknown || !down ? found.order : -found.order;
        });
        table.tBodies[0].append(...rows);
      });
    });
  }

  function filterable(table) {
    const tools = document.getElementById("tools");
    const [text, status, kind] = tools.querySelectorAll("input, select");
    const told = tools.querySelector("output");
    function apply() {
      const wanted = text.value.trim().toLowerCase();
      let shown = 0;
      for (const row of table.tBodies[0].rows) {
        const fits = (!wanted || row.textContent.toLowerCase().includes(wanted)) &&
          (!status.value || row.dataset.status === status.value) && (!kind.value || row.dataset.kind === kind.value);
        row.hidden = !fits;
        shown += fits ? 1 : 0;
      }
      told.textContent = shown + " of " + table.tBodies[0].rows.length + " samples";
    }
    text.addEventListener("input", apply);
    for (const tool of [status, kind]) tool.addEventListener("change", apply);
    apply();
  }

  function openTarget() {
    const target = document.getElementById(location.hash.slice(1));
    if (target instanceof HTMLDetailsElement) target.open = true;
  }

  const table = document.getElementById("summary-table");
  sortable(table);
  filterable(table);
  openTarget();
  window.addEventListener("hashchange", openTarget);
})();
