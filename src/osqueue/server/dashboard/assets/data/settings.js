// Settings in groups, and as text. Pure.

const ALONE = "general";

/** [{name, settings}] of the settings that hold `text` in what is known of them, in the order they came. */
export function groupsOf(settings, text = "") {
  const groups = new Map([[ALONE, []]]);
  for (const setting of settings.filter((one) => holds(one, text))) {
    const [name, rest] = setting.name.split(/\.(.*)/s);
    const group = rest === undefined ? ALONE : name;
    if (!groups.has(group)) groups.set(group, []);
    groups.get(group).push({ ...setting, short: rest ?? name });
  }
  return [...groups].filter(([, all]) => all.length).map(([name, all]) => ({ name, settings: all }));
}

/** A value as one would write it. */
export function written(value) {
  if (value === null || value === undefined) return "not set";
  return typeof value === "string" ? value : JSON.stringify(value);
}

function holds({ name, value, env, help }, text) {
  const words = text.toLowerCase().trim();
  return [name, written(value), env, help].some((one) => one?.toLowerCase().includes(words));
}
