// Wakes the widgets of a built page: a classic script, so that it also works on a
// page opened from disk, where modules and fetch do not.
(() => {
  const base = document.currentScript.src.replace(/[^/]*$/, "");
  globalThis.llmWidgets = {};
  globalThis.llmShared = {}; // what several pages need, such as a model

  // The part of anywidget's model that a widget's script uses.
  class Model {
    constructor(state) {
      this.state = state;
      this.listeners = [];
    }
    get(name) { return this.state[name]; }
    set(name, value) {
      if (this.state[name] === value) return;
      this.state[name] = value;
      for (const [event, listener] of this.listeners) {
        if (event === `change:${name}`) listener();
      }
    }
    save_changes() {}
    on(event, listener) { this.listeners.push([event, listener]); }
  }

  const scripts = {};
  const load = (name) => scripts[name] ??= new Promise((resolve, reject) => {
    if (name in llmWidgets || name in llmShared) return resolve(); // the page has it
    const script = document.createElement("script");
    script.src = `${base}${name}.js`;
    script.onload = resolve;
    script.onerror = () => reject(new Error(`cannot load ${script.src}`));
    document.head.append(script);
  });

  async function wake(el) {
    const name = el.dataset.llmWidget;
    const fallback = el.querySelector(".llm-fallback");
    try {
      const state = JSON.parse(el.querySelector("script").textContent);
      await load(name);
      if (state.shared) await load(state.shared);
      const live = document.createElement("div");
      await llmWidgets[name].render({ model: new Model(state), el: live });
      fallback.replaceWith(live);
      el.dataset.ready = "true";
    } catch (error) {
      console.error(`widget ${name}:`, error);
      fallback.insertAdjacentHTML("beforeend",
        '<p role="alert">This figure could not start, and stays as it is.</p>');
    }
  }

  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (!isIntersecting) continue;
      watcher.unobserve(target);
      wake(target);
    }
  }, { rootMargin: "300px" });
  for (const el of document.querySelectorAll("[data-llm-widget]")) watcher.observe(el);
})();
