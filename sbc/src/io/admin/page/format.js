// Numbers and times as people read them.

export const count = (value) => Math.round(value).toLocaleString("en-US").replaceAll(",", "\u2009");

// 1.2k, 3.4M: where room is short.
export function short(value) {
  const most = Math.abs(value);
  for (const [unit, size, from] of [["G", 1e9, 1e9], ["M", 1e6, 1e6], ["k", 1e3, 1e4]]) {
    if (most >= from) return `${(value / size).toFixed(1).replace(/\.0$/, "")}${unit}`;
  }
  if (most >= 10 || Number.isInteger(value)) return count(value);
  return value.toFixed(1);
}

export function bytes(value) {
  for (const [unit, size] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (value >= size) return `${(value / size).toFixed(value >= size * 100 ? 0 : 1)} ${unit}`;
  }
  return `${value} B`;
}

// 1:23, 2:03:04.
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (value) => String(value).padStart(2, "0");
  const [hours, minutes] = [Math.floor(whole / 3600), Math.floor(whole / 60) % 60];
  return hours > 0 ? `${hours}:${two(minutes)}:${two(whole % 60)}` : `${minutes}:${two(whole % 60)}`;
}

// 5 s, 3 min, 2 h, 4 days.
export function span(seconds) {
  if (seconds < 120) return `${Math.round(seconds)} s`;
  if (seconds < 7200) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 172800) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86400)} days`;
}

// The time of day here; with the day where it is another one.
export function when(text) {
  const then = new Date(text);
  if (Number.isNaN(then.getTime())) return String(text ?? "");
  const time = then.toLocaleTimeString("en-GB");
  return then.toDateString() === new Date().toDateString() ? time : `${then.toLocaleDateString("en-CA")} ${time}`;
}

// A call's id without the zeros before it, as the log has it.
export const bare = (id) => String(id).replace(/^0+(?=.)/, "");

// So many characters, and a sign where there were more.
export function cut(text, most) {
  const letters = Array.from(String(text ?? ""));
  return letters.length > most ? `${letters.slice(0, Math.max(1, most - 1)).join("")}…` : letters.join("");
}
