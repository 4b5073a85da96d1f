"use strict";
(() => {
  const all = (selector, within = document) => [...within.querySelectorAll(selector)];
  const byId = (id) => document.getElementById(id);
  const root = document.documentElement;
  root.classList.add("js");
  const views = all(".view");

  // Texts and charts are compressed JSON.
  async function unpacked(element) {
    const bytes = Uint8Array.from(atob(element.textContent), (letter) => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).json();
  }

  const narrow = matchMedia("(max-width: 62rem)");

  // Sorting: a button in each heading; rows stay in their group, missing values come last.
  const headings = (table) => [...table.tHead.rows[0].cells];
  const plainRows = (body) => [...body.rows].filter((row) => !row.matches(".group, .opened"));

  function sort(table, index, direction) {
    const value = (row) => row.cells[index].dataset.value ?? "";
    const sign = direction === "descending" ? -1 : 1;
    const compare = (first, second) => {
      const [a, b] = [value(first), value(second)];
      if (a === "" || b === "") return (a === "") - (b === "");
      const difference = Number(a) - Number(b);
      return sign * (Number.isNaN(difference) ? a.localeCompare(b, "en", { numeric: true }) : difference);
    };
    for (const body of table.tBodies) {
      for (const row of plainRows(body).sort(compare)) body.append(row, ...(row.opened ? [row.opened] : []));
    }
    headings(table).forEach((th, i) => th.setAttribute("aria-sort", i === index ? direction : "none"));
  }

  for (const table of all(".sortable")) {
    headings(table).forEach((th, index) => {
      const button = document.createElement("button");
      button.type = "button";
      button.append(...th.childNodes);
      th.append(button);
      th.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => {
        const opposite = { ascending: "descending", descending: "ascending" };
        sort(table, index, opposite[th.getAttribute("aria-sort")] ?? th.dataset.first);
        save();
      });
    });
  }

  // A row opened: its full form moves into the table.
  function open(row, wanted) {
    if (wanted === Boolean(row.opened)) return;
    const full = byId(row.dataset.row);
    complete(full);
    row.cells[0].firstElementChild.setAttribute("aria-expanded", String(wanted));
    if (!wanted) {
      row.closest(".view").querySelector(".in-full").append(full);
      row.opened.remove();
      row.opened = null;
      return;
    }
    row.opened = document.createElement("tr");
    row.opened.className = "opened";
    row.opened.insertCell().append(full);
    row.opened.cells[0].colSpan = [...row.cells].filter((cell) => !cell.hidden).length;
    row.opened.hidden = row.hidden;
    row.after(row.opened);
  }

  // What several rows share is in the page once: a row that is opened gets a copy in place of each link to it.
  function complete(full) {
    for (const link of all("a.shared", full)) {
      const shared = byId(decodeURIComponent(link.hash.slice(1))).cloneNode(true);
      link.parentNode.replaceWith(...all(":scope > :not(h3)", shared));
    }
  }

  for (const link of all("tr[data-row] > th > a")) {
    const button = document.createElement("button");
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.append(...link.childNodes);
    link.replaceWith(button);
    const row = button.closest("tr");
    button.addEventListener("click", () => {
      open(row, !row.opened);
      save();
    });
  }

  for (const form of all(".tools")) {
    for (const th of headings(form.closest(".view").querySelector(".board")).slice(1)) {
      const label = document.createElement("label");
      const box = document.createElement("input");
      Object.assign(box, { type: "checkbox", name: "column", value: th.dataset.key, defaultChecked: th.dataset.shown === "yes" });
      label.append(box, th.dataset.key);
      form.querySelector(".columns").append(label);
    }
  }

  // Search, filters and columns: the form is the state, and the table follows it.
  const rowsOf = (view) => all("tr[data-row]", view);
  const checked = (form, name) => all(`input[name="${name}"]`, form).filter((box) => box.checked).map((box) => box.value);

  function apply(view) {
    const form = view.querySelector(".tools");
    if (!form) return;
    const table = view.querySelector(".board");
    const words = form.elements.find.value.toLowerCase().split(/\s+/).filter(Boolean);
    const family = form.elements.family?.value;
    const groups = checked(form, "group");
    const rows = rowsOf(view);
    for (const row of rows) {
      const group = row.parentNode.dataset.group;
      row.hidden = !words.every((word) => row.dataset.find.includes(word))
        || Boolean(family && row.dataset.family !== family)
        || Boolean(form.elements.group && !groups.includes(group));
      if (row.opened) row.opened.hidden = row.hidden;
    }
    for (const body of table.tBodies) body.hidden = plainRows(body).every((row) => row.hidden);
    const boxes = all('input[name="column"]', form);
    const cells = headings(table);
    const width = 1 + boxes.filter((box) => box.checked).length;
    boxes.forEach((box, i) => {
      if (cells[i + 1].hidden === !box.checked) return;
      cells[i + 1].hidden = !box.checked;
      for (const row of rows) row.cells[i + 1].hidden = !box.checked;
    });
    for (const cell of all(".group th, .opened > td", table)) cell.colSpan = width;
    table.dataset.under = form.elements.under?.value ?? "none";
    const shown = rows.filter((row) => !row.hidden).length;
    form.querySelector("output").value = shown === rows.length ? `${shown} rows` : `${shown} of ${rows.length} rows`;
  }

  // The state of the view that is shown, in the fragment of the URL: #VIEW?find=…&sort=…&open=…
  const current = () => views.find((view) => !view.hidden);

  function save() {
    const view = current();
    const form = view.querySelector(".tools");
    const state = new URLSearchParams();
    if (form) {
      for (const name of ["find", "family", "under"]) {
        const field = form.elements[name];
        if (field && field.value !== (name === "under" ? "gap" : "")) state.set(name, field.value);
      }
      for (const name of ["group", "column"]) {
        for (const box of all(`input[name="${name}"]`, form)) {
          if (box.checked !== box.defaultChecked) state.append(box.checked ? `${name}+` : `${name}-`, box.value);
        }
      }
    }
    all(".sortable", view).forEach((table, number) => {
      const index = headings(table).findIndex((th) => th.getAttribute("aria-sort") !== "none");
      if (index < 0) return;
      const th = headings(table)[index];
      state.append("sort", [number, th.getAttribute("aria-sort"), th.textContent].join(" "));
    });
    for (const row of rowsOf(view)) if (row.opened) state.append("open", row.dataset.row);
    const text = state.toString();
    history.replaceState(null, "", `#${view.id}${text && "?"}${text}`);
  }

  function restore(view, state) {
    const form = view.querySelector(".tools");
    if (form) {
      form.reset();
      for (const name of ["find", "family", "under"]) if (state.has(name) && form.elements[name]) form.elements[name].value = state.get(name);
      for (const name of ["group", "column"]) {
        for (const box of all(`input[name="${name}"]`, form)) {
          if (state.getAll(`${name}+`).includes(box.value)) box.checked = true;
          if (state.getAll(`${name}-`).includes(box.value)) box.checked = false;
        }
      }
    }
    all(".sortable", view).forEach((table, number) => {
      const wanted = state.getAll("sort").find((text) => text.startsWith(`${number} `));
      const [, direction, name] = wanted?.match(/^\d+ (ascending|descending) (.*)$/s) ?? [];
      const index = headings(table).findIndex((th) => th.textContent === name);
      if (index >= 0) sort(table, index, direction);
    });
    for (const row of rowsOf(view)) open(row, state.getAll("open").includes(row.dataset.row));
    apply(view);
  }

  function follow() {
    const [name, text = ""] = location.hash.slice(1).split(/\?(.*)/s);
    let target = null;
    try { target = byId(decodeURIComponent(name)); } catch { /* not an id */ }
    const view = target?.closest(".view") ?? byId(root.dataset.default) ?? views[0];
    if (!view) return;
    for (const other of views) other.hidden = other !== view;
    for (const link of all("nav a")) {
      if (link.hash === `#${view.id}`) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
    const state = new URLSearchParams(text);
    const row = target && rowsOf(view).find((found) => found.dataset.row === target.id);
    if (row) state.append("open", target.id);
    restore(view, state);
    (row ?? (target === view ? root : target))?.scrollIntoView();
    if (narrow.matches) document.querySelector("nav details").open = false;
    draw(view);
  }

  for (const form of all(".tools")) {
    const view = form.closest(".view");
    form.hidden = false;
    form.addEventListener("submit", (event) => event.preventDefault());
    form.addEventListener("input", () => { apply(view); save(); });
    form.elements.initial.addEventListener("click", () => {
      location.hash = "";
      location.hash = view.id;
    });
    for (const button of all("[data-format]", form)) {
      button.addEventListener("click", async () => {
        const texts = await unpacked(view.querySelector(".texts"));
        const link = document.createElement("a");
        link.href = URL.createObjectURL(new Blob([texts[button.dataset.format]], { type: "text/plain" }));
        link.download = button.dataset.file;
        link.click();
        setTimeout(() => URL.revokeObjectURL(link.href), 60000);
      });
    }
  }

  for (const command of navigator.clipboard ? all(".command") : []) {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "copy";
    button.textContent = "Copy";
    command.after(button);
    button.addEventListener("click", async () => {
      await navigator.clipboard.writeText(command.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    });
  }

  addEventListener("click", (event) => {
    for (const menu of all(".menu[open]")) if (!menu.contains(event.target)) menu.open = false;
  });
  addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    for (const menu of all(".menu[open]")) {
      menu.open = false;
      menu.querySelector("summary").focus();
    }
  });

  // Pictures are drawn when they come into sight; their text has the page's colour, light or dark.
  let charts = null;

  async function load() {
    const script = document.createElement("script");
    script.textContent = await unpacked(byId("drawing"));
    document.head.append(script);
    return unpacked(byId("charts"));
  }

  async function paint(place) {
    const chart = (await (charts ??= load()))[place.dataset.chart];
    if (!place.clientWidth) {
      // Its section was left in the meantime.
      sight.observe(place);
      return;
    }
    const sheet = document.createElement("div");
    place.append(sheet);
    const view = new window.vega.View(window.vega.parse(chart), { renderer: "svg", tooltip: explainMark });
    await view.initialize(sheet).runAsync();
  }

  // The values of the mark below the pointer.
  const hint = document.createElement("table");
  hint.className = "hint";
  hint.hidden = true;
  document.body.append(hint);

  function explainMark(handler, event, item, values) {
    hint.hidden = values === null || typeof values !== "object";
    if (hint.hidden) return;
    hint.replaceChildren(...Object.entries(values).map(([name, value]) => {
      const row = document.createElement("tr");
      row.append(document.createElement("th"), document.createElement("td"));
      row.cells[0].textContent = name;
      row.cells[1].textContent = value;
      return row;
    }));
    hint.style.left = `${Math.max(4, Math.min(event.clientX + 14, innerWidth - hint.offsetWidth - 4))}px`;
    hint.style.top = `${Math.max(4, Math.min(event.clientY + 14, innerHeight - hint.offsetHeight - 4))}px`;
  }

  const sight = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (!entry.isIntersecting) continue;
      sight.unobserve(entry.target);
      paint(entry.target);
    }
  }, { rootMargin: "300px" });

  function draw(view) {
    for (const place of all(".chart:empty", view)) sight.observe(place);
  }

  addEventListener("hashchange", follow);
  follow();
})();
