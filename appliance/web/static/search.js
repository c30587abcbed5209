// The search's form: each field offers only what can be asked of it.
(function () {
  "use strict";
  const form = document.getElementById("criteria");
  if (!form) return;
  const known = JSON.parse(form.dataset.operators);
  const fit = (field) => {
    const operator = document.getElementById(field.id.replace("f", "o"));
    const allowed = known[field.value];
    if (!operator || !allowed) return;
    for (const option of operator.options) option.hidden = option.disabled = !allowed.includes(option.value);
    if (!allowed.includes(operator.value)) operator.value = allowed[0];
    const value = document.getElementById(field.id.replace("f", "v"));
    if (value) value.hidden = ["ISNULL", "ISNOTEMPTY"].includes(operator.value);
  };
  const all = () => form.querySelectorAll("select[name=f]").forEach(fit);
  form.addEventListener("change", all);
  all();
})();
