// Conveniences. Every page does its work without this file.
(function () {
  "use strict";

  // On wide screens the menu is always open; on narrow ones it opens on demand.
  const menu = document.querySelector("details.menu");
  const wide = window.matchMedia("(min-width: 992px)");
  const fit = () => { if (menu) menu.open = wide.matches; };
  fit();
  wide.addEventListener("change", fit);

  document.addEventListener("change", (event) => {
    const box = event.target;
    if (!(box instanceof HTMLInputElement) && !(box instanceof HTMLSelectElement)) return;
    // A box in a table's head ticks all rows of the page.
    if (box.matches("[data-ticks]")) {
      document.querySelectorAll(`input[type=checkbox][name="${box.dataset.ticks}"]`).forEach((one) => { one.checked = box.checked; });
    }
    // A choice that a form follows at once.
    if (box.matches("[data-submits]")) box.form.requestSubmit();
    follow();
  });

  // Parts of a form that belong to one choice: data-for="name=value other" shows it for those values.
  function follow() {
    document.querySelectorAll("[data-for]").forEach((part) => {
      const [name, wanted] = part.dataset.for.split("=");
      const form = part.closest("form");
      const field = form && form.elements[name];
      if (!field) return;
      const value = field.type === "checkbox" ? (field.checked ? "1" : "0") : field.value;
      const fits = wanted.split(" ").includes(value);
      part.hidden = !fits;
      part.querySelectorAll("input, select, textarea").forEach((one) => { one.disabled = !fits; });
    });
  }
  follow();

  document.addEventListener("click", (event) => {
    const button = event.target.closest("[data-copies]");
    if (!button) return;
    const source = document.getElementById(button.dataset.copies);
    navigator.clipboard.writeText(source.textContent).then(() => {
      button.dataset.done = "1";
      setTimeout(() => { delete button.dataset.done; }, 1500);
    });
  });

  // What runs elsewhere refreshes by itself; a page that went out of sight waits.
  document.addEventListener("htmx:beforeRequest", (event) => {
    if (document.hidden && event.detail.elt.hasAttribute("data-live")) event.preventDefault();
  });
  document.addEventListener("htmx:afterSwap", follow);
})();
