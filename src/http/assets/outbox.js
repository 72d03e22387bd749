// Decisions that must reach the server however long it takes: a confirmed card, a
// withdrawn consent. Kept in localStorage, tried at once, on reconnect, on every page
// load, and every 15 s. The same Idempotency-Key on each try: one effect.

import { api, ApiError, key, randomKey } from './api.js';

const STORE = 'vs.outbox';
const EVERY_MS = 15000;

const listeners = new Set();
const inFlight = new Set();

const load = () => {
  try { return JSON.parse(localStorage.getItem(STORE)) ?? []; } catch { return []; }
};
const save = (jobs) => localStorage.setItem(STORE, JSON.stringify(jobs));

export const waiting = (kind, visit) => load().find((job) => job.kind === kind && job.visit === visit);

/** fn(job, outcome, message, code): outcome is `sent`, `stale` or `refused`. Returns the way to stop listening. */
export function onsettled(fn) {
  listeners.add(fn);
  return () => listeners.delete(fn);
}

/** job: {kind: 'confirm', visit, body} or {kind: 'withdraw', visit}. A newer one replaces an older one. */
export function post(job) {
  const kept = { ...job, key: randomKey() };
  save([...load().filter((old) => old.kind !== job.kind || old.visit !== job.visit), kept]);
  deliver(kept);
}

async function deliver(job) {
  if (inFlight.has(job.key)) return;
  inFlight.add(job.key);
  let outcome = 'sent', message, code;
  try {
    if (job.kind === 'confirm') await api.confirm(job.visit, job.body, job.key);
    else await api.withdraw(job.visit, job.key);
  } catch (error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.transient || error.status === 401) return; // 401 waits for a new key
    outcome = error.status === 409 ? 'stale' : 'refused';
    ({ message, code } = error);
    // The visit is gone: so is the consent.
    if (job.kind === 'withdraw' && (error.status === 404 || error.status === 409 || error.status === 410)) outcome = 'sent';
  } finally {
    inFlight.delete(job.key);
  }
  save(load().filter((other) => other.key !== job.key));
  for (const fn of listeners) fn(job, outcome, message, code);
}

export function deliverAll() {
  if (key.get()) for (const job of load()) deliver(job);
}

export function startOutbox() {
  window.addEventListener('online', deliverAll);
  setInterval(deliverAll, EVERY_MS);
  deliverAll();
}
