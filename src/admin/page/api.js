// Requests to the gateway: the token, the routes of the API, and the stream of events.

const key = 'penstock-token';
let token = sessionStorage.getItem(key) ?? '';
let asking = null;   // the promise of a token, while the dialog is open
let declined = false;  // nobody wants to enter one; only a change or the button asks again
let waiting = [];    // for a token to be entered

export const notAvailable = 'Not available in this version of the gateway.';

export class NoToken extends Error {}

export class Failure extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

const byId = (id) => document.getElementById(id);

// Resolves when a token has been entered, by whatever way.
export const nextToken = () => new Promise((resolve) => { waiting.push(resolve); });

// Opens the dialog, once for all who wait. Resolves when a token has been entered.
export function askForToken() {
  asking ??= new Promise((resolve, reject) => {
    const dialog = byId('ask-token');
    const field = byId('token-value');
    const text = byId('ask-token-text');
    text.textContent = token === ''
      ? 'This gateway wants the token of --admin-token-file. It is kept until this tab is closed.'
      : 'The gateway has not accepted the token.';
    field.value = '';
    const accept = () => {
      const value = field.value.trim();
      if (!/^[\x21-\x7e]+$/.test(value)) {
        text.textContent = 'A token is a word of printable ASCII characters.';
        return;
      }
      token = value;
      sessionStorage.setItem(key, token);
      dialog.close('entered');
    };
    byId('token-yes').onclick = accept;
    byId('token-no').onclick = () => dialog.close();
    field.onkeydown = (event) => {
      if (event.key !== 'Enter') return;
      event.preventDefault();  // or it would press the button that the focus returns to
      accept();
    };
    dialog.returnValue = '';
    dialog.onclose = () => {
      asking = null;
      declined = dialog.returnValue !== 'entered';
      field.value = '';
      if (declined) return reject(new NoToken('A token is needed.'));
      waiting.forEach((each) => each());
      waiting = [];
      return resolve();
    };
    dialog.showModal();
    field.focus();
  });
  return asking;
}

// Sends a request until it is not refused for lack of a token. `signal()` gives the signal that ends one attempt.
async function send(method, path, signal) {
  for (;;) {
    const used = token;
    const headers = used === '' ? {} : { Authorization: `Bearer ${used}` };
    const response = await fetch(path, { method, headers, signal: signal(), cache: 'no-store' });
    if (response.status !== 401) return response;
    if (declined && method === 'GET') throw new NoToken('A token is needed.');
    if (used === token) await askForToken();
  }
}

// What an error says: {"error": ...} of the API, or the line of text of the interface.
async function failureOf(response) {
  const text = await response.text();
  if (response.status === 404 && text.startsWith('404')) return new Failure(404, notAvailable);
  let sentence = text.trim() || `status ${response.status}`;
  try {
    sentence = JSON.parse(text).error ?? sentence;
  } catch {
    // It is not JSON.
  }
  return new Failure(response.status, sentence);
}

// The JSON of a route; null if this gateway does not have the route.
export async function get(path) {
  const response = await send('GET', path, () => AbortSignal.timeout(10000));
  if (response.status === 404) return null;
  if (!response.ok) throw await failureOf(response);
  return response.json();
}

export async function change(method, path) {
  const response = await send(method, path, () => AbortSignal.timeout(30000));
  if (!response.ok) throw await failureOf(response);
  return response.json();
}

// Calls take(OBJECT) for each event "summary" until the stream ends, or says nothing for 5 seconds. False if there is
// no such stream, or no room for another reader.
export async function readEvents(take) {
  let abort;
  let watchdog;
  const watch = (seconds) => {
    clearTimeout(watchdog);
    watchdog = setTimeout(() => abort.abort(), seconds * 1000);
  };
  try {
    const response = await send('GET', '/api/v1/events', () => {
      abort = new AbortController();
      watch(10);
      return abort.signal;
    });
    if (response.status === 404 || response.status === 503) return false;
    if (!response.ok) throw await failureOf(response);
    const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
    let text = '';
    for (;;) {
      watch(5);
      const { done, value } = await reader.read();
      if (done) return true;
      const blocks = (text + value).split('\n\n');
      text = blocks.pop();
      for (const block of blocks) takeBlock(block, take);
    }
  } finally {
    clearTimeout(watchdog);
  }
}

function takeBlock(block, take) {
  let name = 'message';
  let data = '';
  for (const line of block.split('\n')) {
    if (line.startsWith('event:')) name = line.slice(6).trim();
    if (line.startsWith('data:')) data += line.slice(5);
  }
  if (name === 'summary') take(JSON.parse(data));
}
