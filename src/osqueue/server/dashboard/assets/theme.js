// Light or dark as chosen, before anything is drawn. A plain script, for it must not be waited for twice.
// Nothing chosen: as the system has it. `osqueueTheme.next()` goes through system, light, dark.

(() => {
  const KEY = "osqueue.theme";
  const ALL = ["system", "light", "dark"];

  function get() {
    try {
      const chosen = localStorage.getItem(KEY);
      return ALL.includes(chosen) ? chosen : "system";
    } catch {
      return "system"; // storage is turned off
    }
  }

  function set(theme) {
    if (theme === "system") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = theme;
    try {
      localStorage.setItem(KEY, theme);
    } catch {
      // it holds until the page is closed
    }
  }

  globalThis.osqueueTheme = {
    get,
    set,
    next() {
      const theme = ALL[(ALL.indexOf(document.documentElement.dataset.theme ?? "system") + 1) % ALL.length];
      set(theme);
      return theme;
    },
  };
  set(get());
})();
