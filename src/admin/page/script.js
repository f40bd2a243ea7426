// The live page: wires the stream of the gateway to charts, panels and tables, and buttons to changes.
//
// A summary of the gateway arrives each second, from the stream of events or, if there is none, from single requests.
// The table that is open is read every two seconds. If the gateway does not answer, the page says so, keeps what it
// shows, and connects again by itself.

import { Failure, NoToken, askForToken, change, get, nextToken, notAvailable, readEvents } from './api.js';
import { Chart } from './chart.js';
import { axisBits, bits, bytes, clock, count, duration, element, percent, rate, setText, unknown } from './format.js';
import { Table } from './table.js';

const byId = (id) => document.getElementById(id);
const pause = (seconds) => new Promise((done) => { setTimeout(done, seconds * 1000); });
const api = '/api/v1/';

let latest = null;   // the last summary: { time, info, errors, workers, dns }
let before = null;   // the one before it, if it is of the same process
let connected = false;

// --- charts ----------------------------------------------------------------------------------------------------------

const charts = {
  sessions: new Chart(byId('charts'), { title: 'Sessions', series: ['live'], format: count, smallest: 1 }),
  opened: new Chart(byId('charts'), {
    title: 'New sessions per second', series: ['new'], format: rate, smallest: 1 }),
  traffic: new Chart(byId('charts'), {
    title: 'Traffic', series: ['up (client to target)', 'down'], format: bits, axis: axisBits,
    smallest: 500 }),
  errors: new Chart(byId('charts'), {
    title: 'Failed requests per second, by reply', series: ['', ''], format: rate, smallest: 0.1, bars: true,
    word: 'No request has failed.' }),
};

// How much a counter has grown since the last summary. A worker that has not answered may make it appear to fall.
const growth = (now, then) => Math.max((now ?? 0) - (then ?? 0), 0);

function addPoint() {
  const { time, info, errors } = latest;
  if (info === null) return;
  charts.sessions.add(time, [info.sessions.live]);
  if (before === null) return;
  const seconds = time - before.time;
  const perSecond = (name) => growth(info.totals[name], before.info.totals[name]) / seconds;
  charts.opened.add(time, [perSecond('accepted')]);
  charts.traffic.add(time, [8 * perSecond('up'), 8 * perSecond('down')]);
  if (errors === null || before.errors === null) return;
  const replies = Object.keys(errors.replies).filter((name) => name !== 'succeeded');
  charts.errors.series = replies;
  charts.errors.add(time, replies.map((name) => growth(errors.replies[name], before.errors.replies[name])));
}

function addGap() {
  if (latest === null) return;
  for (const chart of Object.values(charts)) {
    if (chart.points.at(-1)?.values) chart.add(chart.points.at(-1).time, null);
  }
}

// --- panels ----------------------------------------------------------------------------------------------------------

const missing = () => element('p', { class: 'note' }, notAvailable);

// A table of texts: heads with their classes, and rows of cells.
function plainTable(caption, heads, rows) {
  const cells = (name, texts) => texts.map((each, i) => element(name, { class: heads[i][1] }, each));
  return element('table', { class: 'plain' }, element('caption', {}, caption),
    element('thead', {}, element('tr', {}, ...cells('th', heads.map(([text]) => text)))),
    element('tbody', {}, ...rows.map((row) => element('tr', {}, ...cells('td', row)))));
}

function bar(part) {
  const filled = element('span', { class: part >= 1 ? 'full' : part >= 0.8 ? 'near' : '' });
  filled.style.setProperty('width', `${Math.min(part, 1) * 100}%`);
  return element('span', { class: 'meter', 'aria-hidden': 'true' }, filled);
}

function limits() {
  const rows = (latest.info?.limits ?? []).filter(({ limit }) => limit > 0)
    .map((each) => ({ ...each, part: each.used / each.limit })).sort((a, b) => b.part - a.part);
  if (rows.length === 0) return missing();
  const words = (part) => (part >= 1 ? ', reached' : part >= 0.8 ? ', near' : '');
  return plainTable('How near each limit is', [['Limit', 'name'], ['Used', 'number'], ['Of', 'number'], ['', 'wide']],
    rows.map(({ name, used, limit, part }) =>
      [name, count(used), count(limit), element('span', {}, bar(part), percent(part) + words(part))]));
}

function workers() {
  if (latest.workers === null) return missing();
  const then = new Map((before?.workers ?? []).map((each) => [each.worker, each]));
  const seconds = before === null ? null : latest.time - before.time;
  const perSecond = (worker, name) => {
    const old = then.get(worker.worker);
    return old === undefined || worker[name] === null ? null : growth(worker[name], old[name]) / seconds;
  };
  const inBits = (value) => bits(value === null ? null : value * 8);
  return plainTable('Each worker, over the last second',
    [['Worker', 'number'], ['Sessions', 'number'], ['Load', 'wide'], ['Up', 'number spare'], ['Down', 'number spare'],
      ['Turn p50', 'number'], ['p99', 'number']],
    latest.workers.map((worker) => {
      const load = perSecond(worker, 'busy');
      return [count(worker.worker), count(worker.sessions),
        worker.answers === false ? element('span', { class: 'bad' }, 'no answer')
          : load === null ? unknown : element('span', {}, bar(load), percent(load)),
        inBits(perSecond(worker, 'up')), inBits(perSecond(worker, 'down')), duration(worker.turn_p50),
        duration(worker.turn_p99)];
    }));
}

function dns() {
  if (latest.dns === null) return [missing()];
  const { lookups, duration: times } = latest.dns;
  const then = new Map((before?.dns?.lookups ?? []).map((each) => [`${each.source} ${each.result}`, each.count]));
  const seconds = before === null ? 1 : latest.time - before.time;
  const rows = lookups.filter((each) => each.count > 0).map((each) => {
    const old = then.get(`${each.source} ${each.result}`);
    return [each.source, each.result, count(each.count),
      old === undefined ? unknown : rate(growth(each.count, old) / seconds)];
  });
  const asked = times.count > 0
    ? `Name servers were asked for ${count(times.count)} name${times.count === 1 ? '' : 's'}: ` +
      `half within ${duration(times.p50)}, 99 of 100 within ${duration(times.p99)}.`
    : 'No name server has been asked.';
  const sentence = element('p', {}, asked);
  if (rows.length === 0) return [element('p', { class: 'note' }, 'No name has been looked up.'), sentence];
  return [sentence, plainTable('Names that were looked up, by the source of the answer',
    [['Source', 'text'], ['Result', 'text'], ['Names', 'number'], ['Per second', 'number']], rows)];
}

function failures() {
  if (latest.errors === null) return [missing()];
  const groups = [['Denied by', 'denied'], ['Handshake', 'handshake_failures'], ['Refused beyond', 'refused'],
    ['Session ended', 'ends']];
  const rows = groups.flatMap(([label, key]) => Object.entries(latest.errors[key] ?? {})
    .filter(([reason, number]) => number > 0 && reason !== 'closed')
    .sort((a, b) => b[1] - a[1]).map(([reason, number]) => [label, reason, count(number)]));
  if (latest.info?.totals.logins_failed > 0) rows.unshift(['Login', 'failed', count(latest.info.totals.logins_failed)]);
  if (rows.length === 0) return [element('p', { class: 'note' }, 'Nothing has been refused and nothing has failed.')];
  return [plainTable('Counted since the gateway was started', [['What', 'text'], ['Reason', 'text'], ['', 'number']],
    rows)];
}

function operation() {
  const { info } = latest;
  if (info === null) return [element('dt', {}, 'State'), element('dd', {}, 'Not available.')];
  const { reload, log, totals, memory } = info;
  const reloaded = reload.succeeded ? `succeeded at ${clock(reload.time)}` :
    `failed; the earlier configuration holds. ${reload.error ?? ''}`;
  const facts = [
    ['Configuration', reloaded, reload.succeeded ? '' : 'bad'],
    ['Log', `level ${log.level}, ${log.format ?? 'text'}`, ''],
    ['Log lines lost', count(log.lost), log.lost > 0 ? 'bad' : ''],
    ['Memory', bytes(memory?.resident), ''],
    ['Sessions',
      `${count(totals.accepted)} accepted, ${count(totals.ended)} ended, ${count(totals.refused)} refused`, ''],
    ['Carried', `${bytes(totals.up)} up, ${bytes(totals.down)} down`, ''],
    ['Datagrams', `${count(totals.datagrams_up)} up, ${count(totals.datagrams_down)} down`, ''],
  ];
  return facts.flatMap(([name, text, mark]) =>
    [element('dt', {}, name), element('dd', mark === '' ? {} : { class: mark }, text)]);
}

function drawHeader() {
  const { info } = latest;
  const phase = info?.phase ?? 'unknown';
  const paused = phase === 'serving' && info.ready === false;
  setText(byId('phase'), paused ? 'not ready' : phase);
  byId('phase').className = `badge ${phase === 'serving' && !paused ? 'good' : 'warn'}`;
  byId('drain').disabled = phase !== 'serving' && phase !== 'draining';
  setText(byId('drain'), phase === 'draining' ? 'Undrain' : 'Drain');
  if (info === null) return;
  const facts = [`version ${info.version}`, `up ${duration(Math.floor(info.uptime))}`,
    `listens on ${info.listening.join(', ')}`, `${count(info.workers)} worker${info.workers === 1 ? '' : 's'}`,
    `process ${info.pid}`];
  if (info.reason) facts.unshift(info.reason);
  setText(byId('facts'), facts.join(' · '));
  document.title = `Penstock: ${phase}, ${count(info.sessions.live)} sessions`;
}

// Tables of text are replaced as a whole, unless somebody has selected something in them.
function replace(id, ...parts) {
  const target = byId(id);
  const selection = getSelection();
  if (!selection.isCollapsed && target.contains(selection.anchorNode)) return;
  target.replaceChildren(...parts);
}

function draw() {
  if (latest === null || document.hidden) return;
  drawHeader();
  for (const chart of Object.values(charts)) chart.draw(latest.time);
  replace('limits', limits());
  replace('workers', workers());
  replace('dns', ...dns());
  replace('failures', ...failures());
  replace('operation', ...operation());
}

// --- the stream ------------------------------------------------------------------------------------------------------

function say(text, good = false) {
  setText(byId('connection'), text);
  byId('connection').classList.toggle('bad', !good);
}

function take(summary, how) {
  const again = latest?.info && summary.info && latest.info.start_time !== summary.info.start_time;
  if (again) addGap();
  before = latest === null || again || latest.info === null || summary.time <= latest.time ? null : latest;
  latest = summary;
  if (!connected) {
    before = null;
    connected = true;
    refresh();
  }
  say(how, true);
  addPoint();
  draw();
}

// Without a stream: single requests, once a second, for as long as they are answered.
async function poll() {
  for (let i = 0; i < 60; i += 1) {
    const [info, errors, work, names] = await Promise.all(['info', 'errors', 'workers', 'dns'].map((each) =>
      get(api + each)));
    const time = info?.start_time ? info.start_time + info.uptime : Date.now() / 1000;
    take({ time, info, errors, workers: work?.workers ?? null, dns: names },
      info === null ? 'Connected, but this version of the gateway has no API.'
        : 'Live, by a request each second: the stream of events is not available.');
    await pause(1);
  }
}

async function follow() {
  for (;;) {
    try {
      const streamed = await readEvents((summary) => take(summary, 'Live.'));
      if (!streamed) await poll();
      else lost('The stream of the gateway has ended.');
    } catch (error) {
      const wants = error instanceof NoToken;
      const refused = error instanceof Failure ? `The gateway says: ${error.message}.` : 'The gateway does not answer.';
      lost(wants ? 'A token is needed to read from this gateway.' : refused);
      byId('token').hidden = !wants;
      if (wants) await nextToken();
      byId('token').hidden = true;
    }
    if (!connected) await pause(1);
  }
}

// The page keeps what it shows.
function lost(why) {
  addGap();
  connected = false;
  const age = latest === null ? '' : ` The numbers are those of ${clock(latest.time)}.`;
  say(`Disconnected. ${why}${age}${why.includes('token') ? '' : ' Connecting again.'}`);
}

// --- tables ----------------------------------------------------------------------------------------------------------

const text = (key, label) => ({ key, label, text: (row) => row[key] ?? unknown });
const number = (key, label, format) =>
  ({ key, label, kind: 'number', text: (row) => format(row[key]), sort: (row) => row[key] });

const who = [text('client', 'Client'), text('user', 'User'), text('command', 'Command'), text('asked', 'Asked for'),
  text('target', 'Target')];
const carried = [number('up', 'Up', bytes), number('down', 'Down', bytes)];

function quotaText({ quota }) {
  if (quota === null || quota === undefined) return unknown;
  return `${bytes(quota.used)} of ${bytes(quota.limit)} a ${quota.period}, until ${clock(quota.resets)}`;
}

const tables = {
  sessions: {
    label: 'Sessions',
    table: new Table({
      caption: 'Sessions that are alive', noun: 'sessions', empty: 'No session is alive.', id: (row) => row.id,
      sort: 'age', descending: true,
      columns: [...who, text('state', 'State'), ...carried,
        number('rate', 'Rate', (value) => bits(value === null ? null : value * 8)), number('age', 'Age', duration),
        { key: 'end', label: 'End', action: (row) => endSession(row),
          says: (row) => `End the session ${row.id} of ${row.client}` }],
    }),
  },
  users: {
    label: 'Users',
    table: new Table({
      caption: 'Users', noun: 'users', empty: 'No user is known.', id: (row) => row.user, sort: 'sessions',
      descending: true,
      columns: [text('user', 'User'), number('sessions', 'Live', count), number('sessions_total', 'Sessions', count),
        ...carried,
        { ...number('clients', 'Clients', count),
          text: (row) => count(row.clients) + (row.max_clients ? ` of ${count(row.max_clients)}` : '') },
        number('logins_failed', 'Failed logins', count),
        { key: 'quota', label: 'Quota', text: quotaText, sort: (row) => row.quota?.used },
        text('expires', 'Expires'), text('hours', 'Hours'), number('last_seen', 'Last seen', clock),
        { key: 'end', label: 'End sessions', action: (row) => endUser(row), offered: (row) => row.sessions > 0,
          says: (row) => `End all sessions of ${row.user}` }],
    }),
  },
  targets: {
    label: 'Targets',
    table: new Table({
      caption: 'The 100 targets with most bytes', noun: 'targets', empty: 'No target has been reached.',
      id: (row) => row.target, sort: 'down', descending: true,
      columns: [text('target', 'Target, as asked for'), number('sessions', 'Sessions', count), ...carried,
        number('error', 'At most too much', bytes)],
    }),
  },
  recent: {
    label: 'Recent endings',
    table: new Table({
      caption: 'Sessions that have ended', noun: 'endings', empty: 'No session has ended yet.',
      id: (row) => row.id, sort: 'time', descending: true,
      columns: [number('time', 'Ended', clock), ...who, text('reply', 'Reply'), text('end', 'End'), ...carried,
        number('duration', 'Duration', duration)],
    }),
  },
};

let open = 'sessions';

// The part of the sessions that is read: those first in the order that is shown, or, for a search, as many as possible.
function pathOf(name) {
  const { table } = tables[name];
  if (name === 'recent') return 'recent?limit=1024';
  if (name === 'users') return 'users?limit=10000';
  if (name !== 'sessions') return name;
  const order = { age: 'age', rate: 'rate', up: 'bytes', down: 'bytes' }[table.sort];
  return `sessions?limit=${table.search === '' ? 500 : 10000}${order ? `&sort=${order}` : ''}`;
}

let reading = false;
let again = false;  // somebody wants another answer than the one that is being read

async function refresh() {
  if (reading) {
    again = true;
    return;
  }
  reading = true;
  do {
    again = false;
    await readTable(open);
  } while (again);
  reading = false;
}

function absentRows(name, answer) {
  if (answer.complete === false) return 'A worker did not answer: its rows are missing.';
  return name === 'users' && answer.next ? 'These are the first users by name: there are more.' : '';
}

async function readTable(name) {
  const { table } = tables[name];
  try {
    const answer = await get(api + pathOf(name));
    if (answer === null) table.say(notAvailable);
    else {
      const total = name === 'sessions' && answer.next ? latest?.info?.sessions.live : null;
      table.update(answer[name], total, absentRows(name, answer));
    }
  } catch (error) {
    table.fail(connected ? `Cannot be read: ${error.message}` : 'Disconnected: these rows may be old.');
  }
}

function show(name) {
  open = name;
  const { table } = tables[name];
  for (const tab of byId('tabs').children) {
    const selected = tab.id === `tab-${name}`;
    tab.setAttribute('aria-selected', selected);
    tab.tabIndex = selected ? 0 : -1;
  }
  byId('table').replaceChildren(table.element);
  byId('table').setAttribute('aria-labelledby', `tab-${name}`);
  byId('search').value = table.search;
  byId('sort').replaceChildren(...table.columns.filter((column) => !column.action).map((column) =>
    element('option', { value: column.key }, column.label)));
  byId('sort').value = table.sort;
  table.draw();
  refresh();
}

function makeTabs() {
  const names = Object.keys(tables);
  for (const name of names) {
    const tab = element('button', { type: 'button', role: 'tab', id: `tab-${name}`, 'aria-controls': 'table' },
      tables[name].label);
    tab.onclick = () => show(name);
    byId('tabs').append(tab);
    tables[name].table.onsort = () => {
      byId('sort').value = tables[name].table.sort;
      refresh();
    };
  }
  byId('tabs').onkeydown = (event) => {
    const by = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (by === undefined) return;
    show(names[(names.indexOf(open) + by + names.length) % names.length]);
    byId(`tab-${open}`).focus();
  };
  byId('search').oninput = () => {
    tables[open].table.search = byId('search').value.trim();
    tables[open].table.draw();
    refresh();
  };
  byId('sort').onchange = () => tables[open].table.sortBy(byId('sort').value);
}

// --- changes ---------------------------------------------------------------------------------------------------------

// Resolves to true if the reader agrees.
function agreed(title, question, verb) {
  const dialog = byId('confirm');
  setText(byId('confirm-title'), title);
  setText(byId('confirm-text'), question);
  setText(byId('confirm-yes'), verb);
  dialog.returnValue = '';
  byId('confirm-no').onclick = () => dialog.close('no');
  byId('confirm-yes').onclick = () => dialog.close('yes');
  dialog.showModal();
  byId('confirm-no').focus();
  return new Promise((resolve) => { dialog.onclose = () => resolve(dialog.returnValue === 'yes'); });
}

function report(sentence, good) {
  const result = byId('result');
  setText(result, `${clock(Date.now() / 1000)}: ${sentence}`);
  result.className = good ? '' : 'bad';
}

// Asks, changes and reports. `done(answer)` gives the sentence for success.
async function changeIfAgreed({ title, question, verb, method, path, done }) {
  if (!await agreed(title, question, verb)) return;
  try {
    report(done(await change(method, api + path)), true);
  } catch (error) {
    report(`${title}: failed. ${error.message}`, false);
  }
  refresh();
}

const sessionsEnded = (answer) =>
  (answer.ended === 1 ? 'One session has been ended.' : `${count(answer.ended)} sessions have been ended.`);

const endSession = (row) => changeIfAgreed({
  title: 'End session',
  question: `End the session of ${row.client}${row.user ? ` (user ${row.user})` : ''} to ` +
    `${row.asked ?? row.target ?? 'no target yet'}? Both sides get a reset.`,
  verb: 'End session', method: 'DELETE', path: `sessions/${encodeURIComponent(row.id)}`, done: sessionsEnded,
});

const endUser = (row) => changeIfAgreed({
  title: 'End sessions of a user',
  question: `End all sessions of ${row.user} (${count(row.sessions)} now)? All their connections get a reset.`,
  verb: 'End sessions', method: 'DELETE', path: `sessions?user=${encodeURIComponent(row.user)}`, done: sessionsEnded,
});

byId('reload').onclick = () => changeIfAgreed({
  title: 'Reload',
  question: 'Read the configuration again? If it has an error, nothing changes.',
  verb: 'Reload', method: 'POST', path: 'reload',
  done: (answer) => (answer.reloaded ? 'The configuration has been reloaded.'
    : 'The reload takes longer; its outcome will be shown under Operation.'),
});

byId('drain').onclick = () => (latest?.info?.phase === 'draining'
  ? changeIfAgreed({
    title: 'Undrain', question: 'Serve new clients again?', verb: 'Undrain', method: 'POST', path: 'undrain',
    done: () => 'New clients are served again.',
  })
  : changeIfAgreed({
    title: 'Drain', question: 'Refuse new clients, until you undrain? Sessions go on.', verb: 'Drain', method: 'POST',
    path: 'drain', done: () => 'The gateway drains: new clients are refused.',
  }));

byId('token').onclick = () => askForToken().catch(() => {});

// --- start -----------------------------------------------------------------------------------------------------------

makeTabs();
show('sessions');
document.addEventListener('visibilitychange', draw);
setInterval(() => {
  if (connected && !document.hidden) refresh();
}, 2000);
follow();
