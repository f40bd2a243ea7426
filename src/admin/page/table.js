// A table with search and sort. Rows are objects of the API; a column says how a member becomes text.
//
//   { key, label, text(row), sort(row), kind: 'text' | 'number', action }
//
// A row keeps its element as long as it is shown, so that focus and selections survive the next update.

import { count, element, setText, unknown } from './format.js';

const rowsMax = 200;  // that are shown; the search finds the others

export class Table {
  // `id(row)`: what makes a row that row. `empty`: a sentence for no rows. `noun`: of many rows.
  constructor({ caption, columns, id, sort, descending, empty, noun }) {
    Object.assign(this, { columns, id, sort, descending, empty, noun });
    this.search = '';
    this.rows = [];
    this.total = null;
    this.missing = '';
    this.trouble = '';
    this.elements = new Map();
    this.body = element('tbody');
    this.heads = columns.map((column) => this.headOf(column));
    this.note = element('p', { class: 'note' });
    this.table = element('table', {}, element('caption', {}, caption), element('thead', {}, element('tr', {},
      ...this.heads)), this.body);
    this.element = element('div', {}, this.note, element('div', { class: 'scroll' }, this.table));
    this.onsort = () => {};
  }

  headOf(column) {
    const head = element('th', { scope: 'col', class: column.kind ?? 'text' });
    if (column.action) {
      head.append(element('span', { class: 'hidden' }, column.label));
    } else {
      const button = element('button', { type: 'button' }, column.label);
      button.onclick = () => this.sortBy(column.key);
      head.append(button);
    }
    return head;
  }

  // The same column again turns the order round.
  sortBy(key) {
    const column = this.columns.find((each) => each.key === key);
    this.descending = this.sort === key ? !this.descending : column.kind === 'number';
    this.sort = key;
    this.onsort();
    this.draw();
  }

  // `total`: the rows that exist, if not all were read; `missing`: a sentence about rows that are not among them.
  update(rows, total = null, missing = '') {
    this.rows = rows;
    this.total = total;
    this.missing = missing;
    this.trouble = '';
    this.draw();
  }

  // There is no such table.
  say(sentence) {
    this.update([]);
    this.fail(sentence);
  }

  // The rows could not be read: those of the last time stay.
  fail(sentence) {
    this.trouble = sentence;
    this.draw();
  }

  // Words of the search, all of which a row must contain; KEY:WORD looks into one column.
  matching() {
    const words = this.search.toLowerCase().split(/\s+/).filter((word) => word !== '');
    const texts = this.columns.filter((column) => !column.action);
    return this.rows.filter((row) => words.every((word) => {
      const [key, rest] = [word.slice(0, word.indexOf(':')), word.slice(word.indexOf(':') + 1)];
      const one = texts.find((column) => column.key === key);
      const contains = (column, part) => column.text(row).toLowerCase().includes(part);
      return one ? contains(one, rest) : texts.some((column) => contains(column, word));
    }));
  }

  sorted(rows) {
    const column = this.columns.find((each) => each.key === this.sort);
    const value = column.sort ?? column.text;
    const sign = this.descending ? -1 : 1;
    const compare = (a, b) => {
      const [x, y] = [value(a), value(b)];
      if (x === y) return 0;
      if (x === null || x === undefined) return 1;   // what is unknown comes last
      if (y === null || y === undefined) return -1;
      return sign * (typeof x === 'number' ? x - y : String(x).localeCompare(String(y), 'en', { numeric: true }));
    };
    return rows.sort(compare);
  }

  draw() {
    const matching = this.sorted(this.matching());
    const shown = matching.slice(0, rowsMax);
    const focused = document.activeElement;
    const gone = new Set(this.elements.keys());
    let next = this.body.firstElementChild;
    for (const row of shown) {
      const id = this.id(row);
      gone.delete(id);
      const made = this.elements.get(id) ?? this.rowFor(id);
      this.fillRow(made, row);
      if (made === next) next = next.nextElementSibling;
      else this.body.insertBefore(made, next);
    }
    for (const id of gone) {
      this.elements.get(id).remove();
      this.elements.delete(id);
    }
    if (focused !== document.activeElement && this.body.contains(focused)) focused.focus();  // it was moved
    this.heads.forEach((head, i) => {
      const sorts = this.columns[i].key === this.sort;
      head.setAttribute('aria-sort', sorts ? (this.descending ? 'descending' : 'ascending') : 'none');
    });
    this.table.hidden = shown.length === 0;
    this.note.setAttribute('aria-live', this.search === '' ? 'off' : 'polite');  // the number of sessions never rests
    setText(this.note, this.noteFor(matching.length, shown.length));
  }

  noteFor(matching, shown) {
    if (this.trouble !== '') return this.trouble;
    const all = this.total ?? this.rows.length;
    if (this.rows.length === 0) return this.empty;
    if (matching === 0) return `None of ${count(all)} ${this.noun} matches the search.`;
    const parts = [`${count(shown)} of ${count(all)} ${this.noun}`];
    if (this.search !== '') parts.push(`${count(matching)} match the search`);
    if (this.total !== null && this.total > this.rows.length) parts.push(`${count(this.rows.length)} were read`);
    return `${parts.join(', ')}. ${this.missing}`.trim();
  }

  rowFor(id) {
    const row = element('tr', {}, ...this.columns.map((column) =>
      element('td', { class: column.kind ?? 'text', 'data-label': column.action ? '' : column.label })));
    this.columns.forEach((column, i) => {
      if (!column.action) return;
      const button = element('button', { type: 'button' }, column.label);
      button.onclick = () => column.action(row.values);
      row.cells[i].append(button);
    });
    this.elements.set(id, row);
    return row;
  }

  fillRow(made, row) {
    made.values = row;
    this.columns.forEach((column, i) => {
      const cell = made.cells[i];
      if (column.action) {
        cell.firstElementChild.setAttribute('aria-label', column.says(row));
        cell.firstElementChild.hidden = !(column.offered?.(row) ?? true);
      } else {
        const text = column.text(row);
        setText(cell, text);
        cell.classList.toggle('unknown', text === unknown);
      }
    });
  }
}
