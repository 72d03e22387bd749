// One visit on this phone, from consent to `done`: joins the microphone, the phone's log
// and the live link, and holds what the screen shows. Sessions outlive their screen, so a
// visit goes on uploading while the next one is recorded.

import { api, randomKey } from './api.js';
import { BYTES_PER_S, LiveLink } from './live.js';
import { post } from './outbox.js';
import { AudioLog, storedVisits } from './phone.js';

const sessions = new Map();
const changed = new Set();
const tell = (session, what) => { for (const fn of changed) fn(session, what); };

/** fn(session, what): what is `state`, `level`, `segment`, `partial` or `moment`. */
export const onchange = (fn) => changed.add(fn);
export const all = () => [...sessions.values()];
export const recording = () => all().find((session) => session.recorder);
export const byLocal = (local) => sessions.get(local);

const lockOf = (local) => `visitscribe:${local}`;
const QUIET_RMS = 0.0008; // about -62 dBFS: no room is that silent, a covered microphone is
const QUIET_CHUNKS = 80;

export class Session {
  /** A new visit. draft: {visitId?, customer, create, consent}; `recorder` is open already. */
  static async begin(draft, recorder) {
    const meta = {
      local: randomKey(), createKey: randomKey(), consentKey: randomKey(),
      base: null, start: 0, stopped: false, consented: false, startedAt: Date.now(), ...draft,
    };
    const session = new Session(meta, await AudioLog.open(meta));
    await session.own();
    session.record(recorder);
    session.connect();
    return session;
  }

  /** A visit left over from before a reload. Null when another tab has it. */
  static async resume({ outcome, ...meta }, recorder) {
    const session = new Session(meta, await AudioLog.open(meta));
    if (!(await session.own())) return null;
    if (recorder) session.record(recorder);
    else await session.markStopped();
    session.connect();
    return session;
  }

  constructor(meta, log) {
    Object.assign(this, { meta, log, recorder: null, trouble: null, quiet: 0, level: 0, degraded: null });
    this.segments = new Map();
    this.moments = new Map();
    this.partial = null;
    this.link = new LiveLink(meta, log, (type, message) => this.heard(type, message));
  }

  get elapsedMs() { return (this.log.end / BYTES_PER_S) * 1000; }
  get heldMs() { return ((this.log.end - this.log.start) / BYTES_PER_S) * 1000; } // not yet safe on the server
  get outcome() { return this.link.outcome; }
  get behindMs() { return ((this.log.end - this.link.sent) / BYTES_PER_S) * 1000; }

  /** connecting | live | catching_up | offline | uploading | waiting | over */
  get state() {
    const { link, meta } = this;
    if (link.outcome) return 'over';
    if (!link.connected) return link.ever || link.failures > 1 || meta.stopped || !navigator.onLine ? 'offline' : 'connecting';
    if (meta.stopped) return link.stopSent ? 'waiting' : 'uploading';
    return this.behindMs > 3000 ? 'catching_up' : 'live';
  }

  /** Takes the visit for this tab; the lock goes when the tab does. */
  own() {
    const { local } = this.meta;
    const mine = () => {
      if (sessions.has(local) && !sessions.get(local).outcome) return false;
      sessions.set(local, this);
      return true;
    };
    if (!navigator.locks) return Promise.resolve(mine());
    return new Promise((answer) => {
      navigator.locks.request(lockOf(local), { ifAvailable: true }, (lock) => {
        const got = Boolean(lock) && mine();
        answer(got);
        return got && new Promise((release) => { this.disown = release; });
      });
    });
  }

  record(recorder) {
    this.recorder = recorder;
    recorder.onchunk = (bytes, rms) => {
      this.log.append(bytes).then(() => this.link.pump());
      this.level = rms;
      this.quiet = rms < QUIET_RMS ? this.quiet + 1 : 0;
      tell(this, 'level');
    };
    recorder.ontrouble = (text) => {
      this.trouble = text;
      tell(this, 'state');
    };
    recorder.start();
  }

  get tooQuiet() { return this.quiet > QUIET_CHUNKS; }

  /** After the system took the microphone away: a new one, the same visit. */
  async recordAgain(recorder) {
    await this.recorder?.stop();
    this.trouble = null;
    this.record(recorder);
    tell(this, 'state');
  }

  connect() {
    this.running = this.link.run();
  }

  heard(type, message) {
    switch (type) {
      case 'ready': this.catchUp(); break;
      case 'final':
        if (this.partial?.segment_id === message.segment_id) this.partial = null;
        this.segments.set(message.segment_id, message);
        tell(this, 'partial');
        tell(this, 'segment');
        return;
      case 'corrected':
        this.segments.set(message.segment_id, message);
        tell(this, 'segment');
        return;
      case 'partial':
        if (this.segments.has(message.segment_id)) return; // a late one
        this.partial = message;
        tell(this, 'partial');
        return;
      case 'moment':
        this.moments.set(message.moment.id, message.moment);
        tell(this, 'moment');
        return;
      case 'retracted':
        this.moments.delete(message.moment_id);
        tell(this, 'moment');
        return;
      case 'degraded': this.degraded = message.level === 'full' ? null : message.level; break;
      case 'over': this.over(message); return;
    }
    tell(this, 'state');
  }

  /** What was said while the line was down, or before a reload. */
  async catchUp() {
    if (this.meta.base === 0 && this.log.start === 0 && this.link.sent === 0) return; // nothing was
    try {
      const result = await api.result(this.meta.visitId);
      for (const segment of result?.segments ?? []) this.segments.set(segment.id, { ...segment, segment_id: segment.id });
      for (const moment of result?.moments ?? []) this.moments.set(moment.id, moment);
      tell(this, 'segment');
      tell(this, 'moment');
    } catch { /* no result yet: the live messages will do */ }
  }

  async stopMic() {
    const { recorder } = this;
    this.recorder = null;
    this.trouble = null;
    await recorder?.stop();
  }

  async markStopped() {
    this.meta.stopped = true;
    await this.log.save().catch(() => {});
  }

  async finish() {
    if (this.meta.stopped) return;
    this.meta.stopped = true; // at once: the screen changes with the tap
    tell(this, 'state');
    await this.stopMic();
    await this.log.writes;
    await this.markStopped();
    this.link.finish();
    tell(this, 'state');
  }

  /** Consent taken back: no sound from now on, nothing kept here, the server is told even if it takes days. */
  async withdraw() {
    const known = this.meta.visitId;
    this.link.end('withdrawn');
    this.forgetWords();
    if (known) post({ kind: 'withdraw', visit: known });
    await this.stopMic();
    await this.running; // a registration in flight may only now learn the visit's id
    if (!known && this.meta.visitId) post({ kind: 'withdraw', visit: this.meta.visitId });
  }

  /** After consent is gone the words go too, from the screen as well. */
  forgetWords() {
    this.segments.clear();
    this.moments.clear();
    this.partial = null;
    for (const what of ['state', 'segment', 'moment', 'partial']) tell(this, what);
  }

  async over(outcome) {
    await this.stopMic();
    if (outcome === 'no_consent') this.forgetWords();
    const nothingLeft = this.log.start === this.log.end;
    const forget = ['done', 'no_consent', 'withdrawn'].includes(outcome) || nothingLeft;
    if (forget) await this.log.erase();
    else {
      this.meta.outcome = outcome; // a reload must not fight the other device, nor ask a refusing server again
      await this.markStopped();
    }
    this.disown?.();
    if (forget) sessions.delete(this.meta.local);
    tell(this, 'state');
  }

  /** Gives up audio the server will not take. Only on the user's word. */
  async discard() {
    await this.log.erase();
    sessions.delete(this.meta.local);
    tell(this, 'state');
  }
}

/** At page load: goes on uploading what was ended, returns what was cut off while recording. */
export async function recover() {
  const cutOff = [];
  for (const meta of await storedVisits()) {
    if (sessions.has(meta.local)) continue;
    if (meta.outcome) await hold(meta);
    else if (meta.stopped) Session.resume(meta);
    else if (await free(meta.local)) cutOff.push(meta);
  }
  return cutOff;
}

/** Shown in the list, but left alone until someone decides. */
async function hold(meta) {
  const session = new Session(meta, await AudioLog.open(meta));
  session.link.outcome = meta.outcome;
  sessions.set(meta.local, session);
}

async function free(local) {
  if (!navigator.locks) return true;
  return navigator.locks.request(lockOf(local), { ifAvailable: true }, (lock) => Boolean(lock));
}
