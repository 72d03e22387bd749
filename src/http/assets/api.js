// The HTTP side of the service: one function a route, one error type.
// Knows no screen; messages for people come ready in Chinese.

const KEY = 'vs.key';
const TIMEOUT_MS = 15000;

export const key = {
  get: () => localStorage.getItem(KEY),
  set: (value) => localStorage.setItem(KEY, value),
  clear: () => localStorage.removeItem(KEY),
  /** Takes `#key=...` out of the address bar before anything else can read or share it. */
  takeFromFragment() {
    const match = /^#key=(.+)$/.exec(location.hash);
    if (!match) return;
    history.replaceState(null, '', location.pathname + location.search);
    let value = match[1];
    try { value = decodeURIComponent(value); } catch { /* a bare % is part of the key */ }
    key.set(value.trim());
  },
};

export class ApiError extends Error {
  /** `status` 0: no answer at all. */
  constructor(status, code, message, retryAfterMs = 0) {
    super(message);
    Object.assign(this, { status, code, retryAfterMs });
  }
  /** Worth trying again with nothing changed. */
  get transient() {
    return this.status === 0 || this.status === 408 || this.status === 425 || this.status === 429 || this.status >= 500;
  }
}

const BY_STATUS = {
  401: '访问密钥无效或已被收回，请重新填写。',
  403: '没有权限做这件事。',
  404: '找不到这个拜访。',
  409: '内容已被更新，请重新载入。',
  429: '操作太频繁，请稍候再试。',
  503: '服务器正忙，请稍候再试。',
  507: '服务器空间不足，请联系管理员。',
};

async function call(method, path, { body, idempotencyKey, timeoutMs = TIMEOUT_MS } = {}) {
  const headers = { Accept: 'application/json, application/problem+json', Authorization: `Bearer ${key.get() ?? ''}` };
  if (body !== undefined) headers['Content-Type'] = 'application/json';
  if (idempotencyKey) headers['Idempotency-Key'] = idempotencyKey;
  const abort = new AbortController();
  const timer = setTimeout(() => abort.abort(), timeoutMs);
  try {
    const response = await fetch(path, {
      method, headers, signal: abort.signal, cache: 'no-store', credentials: 'omit',
      body: body === undefined ? undefined : JSON.stringify(body),
    });
    // Reading the body can fail like the connection can: it belongs inside the try.
    const text = await response.text();
    const json = parse(text);
    if (response.ok) return json;
    const retryAfterMs = Number(response.headers.get('Retry-After') ?? 0) * 1000 || 0;
    const message = json?.detail_zh ?? BY_STATUS[response.status] ?? `出错了（${response.status}），请稍候再试。`;
    throw new ApiError(response.status, json?.code ?? `http_${response.status}`, message, retryAfterMs);
  } catch (error) {
    if (error instanceof ApiError) throw error;
    throw new ApiError(0, 'network', '网络连不上，请检查网络。');
  } finally {
    clearTimeout(timer);
  }
}

function parse(text) {
  try { return JSON.parse(text); } catch { return null; }
}

const visit = (id) => `/v1/visits/${encodeURIComponent(id)}`;

export const api = {
  visits: () => call('GET', '/v1/visits?limit=20'),
  visit: (id) => call('GET', visit(id)),
  create: (body, idempotencyKey) => call('POST', '/v1/visits', { body, idempotencyKey }),
  consent: (id, body, idempotencyKey) => call('POST', `${visit(id)}/consent`, { body, idempotencyKey }),
  withdraw: (id, idempotencyKey) => call('DELETE', `${visit(id)}/consent`, { idempotencyKey }),
  ticket: (id) => call('POST', `${visit(id)}/stream-tickets`),
  result: (id) => call('GET', `${visit(id)}/result`),
  card: (id) => call('GET', `${visit(id)}/card`),
  confirm: (id, body, idempotencyKey) => call('POST', `${visit(id)}/card/confirm`, { body, idempotencyKey }),
};

export function streamUrl(id, ticket) {
  const url = new URL(`${visit(id)}/stream`, location.href);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  url.searchParams.set('ticket', ticket);
  return url.href;
}

/** `crypto.randomUUID` exists only in secure contexts; confirming a card must work in any. */
export function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, '0')).join('');
}
