// A chart of the last 15 minutes, drawn as SVG: lines, or stacked bars of 15 seconds. A pointer or the arrow keys read
// single values.

import { clock, element, setText, svg } from './format.js';

const span = 15 * 60;  // seconds
const barSeconds = 15;
const height = 132;
const margin = { left: 66, right: 8, top: 8, bottom: 20 };

// The smallest of 1, 2, 5, 10, ... steps of which two reach `most`.
function stepFor(most, smallest) {
  let step = smallest;
  for (let i = 0; step * 2 < most; i += 1) step *= [2, 2.5, 2][i % 3];
  return step;
}

export class Chart {
  // `series`: names. `format(value)`: with its unit; `axis(value)`: the same for the axis, whose step is `smallest` or
  // more. `bars`: values are numbers of events, shown as a rate. `word`: what there was none of, if all is zero.
  constructor(parent, { title, series, format, axis = format, smallest, bars = false, word = '' }) {
    Object.assign(this, { series, format, axis, smallest, bars, word });
    this.points = [];  // { time, values }, where values is null in a gap
    this.cursor = null;  // a time that is read
    this.now = 0;
    this.headline = element('span', { class: 'headline' });
    this.legend = element('p', { class: 'legend' });
    this.plot = svg('svg', { role: 'img', tabindex: '0', height });
    this.reading = element('p', { class: 'reading', 'aria-live': 'polite' });
    this.title = title;
    parent.append(element('figure', {}, element('figcaption', {}, title, this.headline), this.legend, this.plot,
      this.reading));
    this.plot.addEventListener('pointermove', (event) => this.point(event));
    this.plot.addEventListener('pointerleave', () => this.read(null));
    this.plot.addEventListener('blur', () => this.read(null));
    this.plot.addEventListener('keydown', (event) => this.step(event));
    new ResizeObserver(() => this.draw(this.now)).observe(this.plot);
  }

  add(time, values) {
    this.points.push({ time, values });
    while (this.points.length > 0 && this.points[0].time < time - span) this.points.shift();
  }

  clear() { this.points = []; }

  point(event) {
    const box = this.plot.getBoundingClientRect();
    const part = (event.clientX - box.left - margin.left) / (box.width - margin.left - margin.right);
    this.read(part < 0 || part > 1 ? null : this.now - span * (1 - part));
  }

  step(event) {
    const by = { ArrowLeft: -barSeconds, ArrowRight: barSeconds }[event.key];
    if (event.key === 'Escape') this.read(null);
    if (by === undefined) return;
    event.preventDefault();
    this.read(Math.min(Math.max((this.cursor ?? this.now) + by, this.now - span), this.now));
  }

  read(time) {
    this.cursor = time;
    this.draw(this.now);
  }

  // What is drawn: points, or bars as points in the middle of their time.
  shown() {
    if (!this.bars) return this.points;
    const bars = new Map();
    for (const { time, values } of this.points) {
      if (values === null) continue;
      const middle = (Math.floor(time / barSeconds) + 0.5) * barSeconds;
      const sums = bars.get(middle) ?? values.map(() => 0);
      values.forEach((value, i) => { sums[i] += value / barSeconds; });
      bars.set(middle, sums);
    }
    return [...bars].map(([time, values]) => ({ time, values }));
  }

  draw(now) {
    this.now = now;
    const width = this.plot.clientWidth;
    if (width === 0) return;
    const shown = this.shown();
    const total = (values) => values.reduce((sum, value) => sum + value, 0);
    const most = shown.reduce((top, { values }) =>
      Math.max(top, values === null ? 0 : this.bars ? total(values) : Math.max(...values)), 0);
    const top = stepFor(most, this.smallest) * 2;
    const x = (time) => margin.left + (1 - (now - time) / span) * (width - margin.left - margin.right);
    const y = (value) => margin.top + (1 - value / top) * (height - margin.top - margin.bottom);
    this.plot.setAttribute('viewBox', `0 0 ${width} ${height}`);
    const marks = this.bars ? this.barsOf(shown, x, y) : this.linesOf(shown, x, y);
    this.plot.replaceChildren(...this.axes(width, top, x, y), ...marks, ...this.cursorOf(x));
    this.label(shown);
  }

  axes(width, top, x, y) {
    const parts = [];
    for (const value of [0, top / 2, top]) {
      parts.push(svg('line', { class: 'grid', x1: margin.left, x2: width - margin.right, y1: y(value), y2: y(value) }));
      parts.push(svg('text', { class: 'tick', x: margin.left - 6, y: y(value) + 4, 'text-anchor': 'end' },
        this.axis(value)));
    }
    for (const minutes of [15, 10, 5, 0]) {
      const anchor = minutes === 15 ? 'start' : minutes === 0 ? 'end' : 'middle';
      parts.push(svg('text', { class: 'tick', x: x(this.now - minutes * 60), y: height - 4, 'text-anchor': anchor },
        minutes === 0 ? 'now' : `−${minutes} min`));
    }
    return parts;
  }

  linesOf(shown, x, y) {
    return this.series.map((_, i) => {
      let path = '';
      let pen = 'M';
      for (const { time, values } of shown) {
        if (values !== null) path += `${pen}${x(time).toFixed(1)} ${y(values[i]).toFixed(1)}`;
        pen = values === null ? 'M' : 'L';
      }
      return svg('path', { class: `line series-${i}`, d: path });
    });
  }

  barsOf(shown, x, y) {
    const width = Math.max(x(barSeconds) - x(0) - 1, 1);
    const bars = [];
    for (const { time, values } of shown) {
      let below = 0;
      const left = Math.max(x(time) - width / 2, margin.left);
      const right = Math.min(x(time) + width / 2, x(this.now));
      values.forEach((value, i) => {
        if (value === 0) return;
        const top = y(below + value);
        bars.push(svg('rect', {
          class: `bar series-${i}`, x: left, width: Math.max(right - left, 1), y: top, height: y(below) - top }));
        below += value;
      });
    }
    return bars;
  }

  cursorOf(x) {
    if (this.cursor === null) return [];
    const at = x(this.cursor);
    return [svg('line', { class: 'cursor', x1: at, x2: at, y1: margin.top, y2: height - margin.bottom })];
  }

  label(shown) {
    const last = this.points.at(-1)?.values ?? null;
    const words = (values) => values.map((value, i) => [value, i]).filter(([value]) => !this.bars || value > 0)
      .map(([value, i]) => `${this.series.length > 1 ? `${this.series[i]} ` : ''}${this.format(value)}`).join(', ');
    const near = this.cursor === null ? undefined : shown.find(({ time, values }) =>
      values !== null && Math.abs(time - this.cursor) <= (this.bars ? barSeconds / 2 : 1));
    let reading = '';
    if (near !== undefined) reading = `${clock(near.time)}: ${words(near.values) || this.word}`;
    else if (this.cursor !== null) reading = `${clock(this.cursor)}: no data`;
    else if (last === null) reading = 'No data yet.';
    else if (this.bars && shown.every(({ values }) => values.every((value) => value === 0))) reading = this.word;
    setText(this.reading, reading);
    if (this.series.length > 1) this.drawLegend(last);
    else setText(this.headline, last === null ? '' : this.format(last[0]));
    this.plot.setAttribute('aria-label', `${this.title}, last 15 minutes. ${last === null ? '' : words(last)}`);
  }

  // Each series with its last value, or with its number of events.
  drawLegend(last) {
    const sums = this.series.map((_, i) => this.points.reduce((sum, { values }) => sum + (values?.[i] ?? 0), 0));
    const texts = this.series.map((name, i) => [i, `${name} ${this.bars ? sums[i] : last ? this.format(last[i]) : ''}`])
      .filter(([i]) => !this.bars || sums[i] > 0);
    const wanted = texts.map(([, text]) => text).join('');
    if (this.legend.textContent === wanted) return;
    this.legend.replaceChildren(...texts.map(([i, text]) => element('span', {}, swatch(i), text)));
  }
}

function swatch(i) {
  return svg('svg', { class: 'swatch', width: 10, height: 10, 'aria-hidden': 'true' },
    svg('rect', { class: `bar series-${i}`, width: 10, height: 10 }));
}
