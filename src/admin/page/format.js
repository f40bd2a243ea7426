// Numbers, times and elements as the page shows them. Everything that the gateway has sent becomes text here, never
// markup.

const whole = new Intl.NumberFormat('en', { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat('en', { maximumFractionDigits: 1 });

export const unknown = '–';

export const count = (value) => (value === null || value === undefined ? unknown : whole.format(value));
export const rate = (value) => (value === null ? unknown : (value < 10 ? tenths : whole).format(value));
export const percent = (part) => (part === null ? unknown : `${whole.format(part * 100)} %`);

// With three digits and the largest unit that leaves at least one before the point.
function scaled(value, step, units) {
  if (value === null || value === undefined) return unknown;
  let unit = 0;
  while (value >= step * 0.9995 && unit < units.length - 1) {
    value /= step;
    unit += 1;
  }
  const digits = unit === 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  return `${value.toFixed(digits)} ${units[unit]}`;
}

export const bits = (perSecond) => scaled(perSecond, 1000, ['bit/s', 'kbit/s', 'Mbit/s', 'Gbit/s', 'Tbit/s']);
export const axisBits = (perSecond) => bits(perSecond).replace(/\.0+ /, ' ');
export const bytes = (value) => scaled(value, 1024, ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB']);

export function duration(seconds) {
  if (seconds === null || seconds === undefined) return unknown;
  if (seconds === 0) return '0 s';
  if (seconds < 0.001) return `${Math.round(seconds * 1e6)} µs`;
  if (seconds < 1) return `${Number((seconds * 1000).toPrecision(3))} ms`;
  if (seconds < 60) return `${Number.isInteger(seconds) ? seconds : seconds.toFixed(1)} s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes} min ${Math.floor(seconds % 60)} s`;
  if (minutes < 24 * 60) return `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
  return `${whole.format(Math.floor(minutes / 1440))} d ${Math.floor(minutes / 60) % 24} h`;
}

// The time of day, with the date unless it is today.
export function clock(unixTime) {
  if (unixTime === null || unixTime === undefined) return unknown;
  const date = new Date(unixTime * 1000);
  const time = date.toLocaleTimeString('en-GB');
  if (date.toDateString() === new Date().toDateString()) return time;
  return `${date.toLocaleDateString('en-GB', { day: 'numeric', month: 'short', year: 'numeric' })} ${time}`;
}

// An element with attributes and children: elements, or text.
export function element(name, attributes = {}, ...children) {
  return fill(document.createElement(name), attributes, children);
}

export function svg(name, attributes = {}, ...children) {
  return fill(document.createElementNS('http://www.w3.org/2000/svg', name), attributes, children);
}

function fill(made, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

// Sets the text only if it has changed, so that a selection survives and nothing is announced twice.
export function setText(target, text) {
  if (target.textContent !== text) target.textContent = text;
}
