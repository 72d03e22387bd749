// The live protocol `visit.v1`, client side: registers the visit and its consent if the
// server has not got them yet, then keeps one WebSocket alive until `done`. Sends what the
// phone's log holds, from where the server says it is, as often as it takes.
// Knows no microphone and no screen.

import { api, ApiError, streamUrl } from './api.js';

export const BYTES_PER_S = 32000;      // 16 kHz, mono, 16 bit
const FRAME = 6400;                    // 200 ms, the largest frame the protocol takes
const SOCKET_QUEUE = 64 * 1024;        // more than this waiting in the browser: the network is slow
const IN_FLIGHT = 20 * BYTES_PER_S;    // sent but not acknowledged
const CATCH_UP = 4;                    // times real time, unless the server says otherwise
const DEAF_MS = 8000;                  // acks come each second; this long without one: the line is dead
const BACKOFF_MS = [300, 1000, 2000, 4000, 8000, 15000];

/** Closes after which trying again is wrong. Everything else is retried for ever. */
const FINAL = { 4403: 'no_consent', 4404: 'unknown_visit', 4409: 'taken_over' };

export class LiveLink {
  /** on(type, message): `state`, `over`, and the server's own messages. */
  constructor(meta, log, on) {
    Object.assign(this, { meta, log, on });
    this.sent = 0;         // position sent on this connection
    this.received = 0;
    this.failures = 0;
    this.connected = false;
    this.ever = false;     // was connected at least once
    this.finishing = meta.stopped;
    this.credit = 0;       // bytes that may go out now, see allowance()
    this.creditAt = 0;
    this.rate = CATCH_UP * BYTES_PER_S;
    this.problem = null;   // what a person should know about the last failure
  }

  async run() {
    while (!this.outcome) {
      try {
        await this.register();
        const { ticket } = await api.ticket(this.meta.visitId);
        if (!this.outcome) this.judge(await this.connection(ticket));
      } catch (error) {
        await this.refused(error);
      }
      this.connected = false;
      this.on('state');
      if (!this.outcome) await this.pause();
    }
    this.on('over', this.outcome);
  }

  /** No more audio will come: send the rest, then `stop`. */
  finish() {
    this.finishing = true;
    this.pump();
  }

  end(outcome) {
    this.outcome ??= outcome;
    this.drop?.();
    this.wake?.();
  }

  /** A visit may begin without a network: the server learns of it, consent first, before any audio. */
  async register() {
    const { meta } = this;
    if (!meta.visitId) {
      meta.visitId = (await api.create(meta.create, meta.createKey)).id;
      await this.log.save();
    }
    if (!meta.consented) {
      await api.consent(meta.visitId, meta.consent, meta.consentKey);
      meta.consented = true;
      await this.log.save();
    }
  }

  /** One WebSocket from open to close; resolves to the close code. */
  connection(ticket) {
    return new Promise((resolve) => {
      const ws = new WebSocket(streamUrl(this.meta.visitId, ticket), 'visit.v1');
      let heard = Date.now();
      this.lastError = null;
      this.stopSent = false;
      const over = (code) => {
        clearInterval(watch);
        window.removeEventListener('offline', this.drop);
        ws.onopen = ws.onmessage = ws.onclose = null;
        this.ws = this.drop = null;
        resolve(code);
      };
      // Not waiting for the closing handshake: on a dead line it takes minutes.
      this.drop = () => { ws.close(); over(1006); };
      const watch = setInterval(() => {
        if (Date.now() - heard > (this.stopSent ? 4 : 1) * DEAF_MS) this.drop();
        else if (this.stopSent) this.say({ type: 'keepalive' });
        else this.pump();
      }, 1000);
      window.addEventListener('offline', this.drop);
      ws.onopen = () => this.say({ type: 'start', audio: { encoding: 'pcm_s16le', sample_rate: 16000, channels: 1 }, hotwords: [] });
      ws.onmessage = ({ data }) => {
        heard = Date.now();
        let message = null;
        try { message = JSON.parse(data); } catch { return; }
        this.receive(message);
      };
      ws.onclose = ({ code }) => over(code);
      this.ws = ws;
    });
  }

  say(message) {
    if (this.ws?.readyState === WebSocket.OPEN) this.ws.send(JSON.stringify(message));
  }

  receive(message) {
    switch (message.type) {
      case 'ready': this.begin(message); break;
      case 'ack':
        this.received = message.received - this.meta.base;
        this.log.trim(message.durable - this.meta.base).catch(() => {});
        this.pump();
        break;
      case 'done': this.outcome = 'done'; break;
      case 'error':
        this.lastError = message;
        // A hole: the server names the offset it wants and may leave the socket open.
        if (Number.isInteger(message.next_offset)) this.sent = Math.min(this.sent, message.next_offset - this.meta.base);
        break;
    }
    this.on(message.type, message);
    if (this.outcome) this.drop?.(); // nothing more to say: no need to await the server's own close
  }

  begin({ next_offset: next, limits }) {
    const { meta, log } = this;
    // First contact: our first byte goes where the server's stream ends (0 for a new visit).
    meta.base ??= next - log.start;
    // Another device went on with this visit: what is recorded from now on comes after its audio.
    if (next > meta.base + log.end) meta.base = next - log.end;
    this.sent = this.received = next - meta.base;
    log.save().catch(() => {});
    log.trim(this.sent).catch(() => {});
    if (limits?.bytes_per_second) this.rate = 0.9 * limits.bytes_per_second;
    this.failures = 0;
    this.problem = this.sent < log.start ? '服务器缺少已上传的录音，请联系管理员。' : null;
    this.connected = this.ever = true;
    this.on('state');
    this.creditAt = 0;
    this.pump();
    clearInterval(this.pumping); // catching up needs a beat of its own, recording or not
    this.pumping = setInterval(() => (this.connected ? this.pump() : clearInterval(this.pumping)), 50);
  }

  /** Sends all that may be sent now. Called on new audio, on acks, and on a timer. */
  async pump() {
    if (this.busy || !this.connected || !this.ws) return;
    this.busy = true;
    const { ws } = this;
    try {
      while (ws === this.ws && ws.readyState === WebSocket.OPEN && !this.stopSent) {
        if (ws.bufferedAmount > SOCKET_QUEUE || this.sent - this.received > IN_FLIGHT) break;
        const from = this.sent;
        const max = Math.min(FRAME, this.allowance());
        const bytes = max >= 2 ? await this.log.read(from, max) : null;
        if (!bytes) {
          if (this.finishing && this.sent === this.log.end) this.sendStop();
          break;
        }
        if (ws !== this.ws || from !== this.sent) continue; // reconnected or rewound while reading
        const frame = new Uint8Array(8 + bytes.length);
        new DataView(frame.buffer).setBigUint64(0, BigInt(this.meta.base + from), true);
        frame.set(bytes, 8);
        ws.send(frame);
        this.sent += bytes.length;
        this.credit -= bytes.length;
      }
    } catch { /* the phone's disk failed to read: the next beat tries again */ } finally {
      this.busy = false;
    }
  }

  /** Token bucket, two seconds deep: catching up must not be cut off with 4429. Whole samples only. */
  allowance() {
    const now = performance.now();
    const burst = 2 * BYTES_PER_S;
    this.credit = this.creditAt ? Math.min(burst, this.credit + ((now - this.creditAt) / 1000) * this.rate) : burst;
    this.creditAt = now;
    return Math.floor(this.credit / 2) * 2;
  }

  sendStop() {
    this.stopSent = true;
    this.say({ type: 'stop', total_bytes: this.meta.base + this.log.end });
    this.on('state');
  }

  /** After a close: final, or worth another try? */
  judge(code) {
    if (this.outcome) return;
    if (FINAL[code]) this.outcome = FINAL[code];
    if (code === 4429) this.rate = Math.max(1.25 * BYTES_PER_S, this.rate / 2);
    this.retryAfterMs = this.lastError?.retry_after_ms ?? 0;
    const hopeless = this.lastError?.retryable === false; // the audio stays here; a person has to look
    this.problem = this.lastError?.detail_zh ?? (hopeless ? '服务器没有收下录音，录音保存在手机，请联系管理员。' : null);
  }

  /** After an HTTP refusal on the way to a connection. */
  async refused(error) {
    if (!(error instanceof ApiError) || this.outcome) return;
    this.retryAfterMs = error.retryAfterMs;
    this.problem = error.status === 0 ? null : error.message;
    if (error.transient) return;
    if (/consent|withdraw|erase/.test(error.code)) this.outcome = 'no_consent';
    else if (error.status === 401) this.retryAfterMs = 15000; // the key may be entered anew meanwhile
    else if (error.status === 404) this.outcome = 'unknown_visit';
    else if (error.status === 403 || !this.meta.consented) this.outcome = 'refused';
    else if (this.finishing && await this.alreadyEnded()) this.outcome = 'done';
    else this.retryAfterMs = 15000;
  }

  /** `stop` may have been taken while `done` got lost with the connection. */
  async alreadyEnded() {
    try {
      const { state } = await api.visit(this.meta.visitId);
      return ['ended', 'uploaded', 'processing', 'card_ready', 'confirmed', 'archived'].includes(state);
    } catch { return false; }
  }

  /** Waits before the next try; a network that comes back cuts it short. */
  pause() {
    const backoff = BACKOFF_MS[Math.min(this.failures++, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2);
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        window.removeEventListener('online', done);
        resolve();
      };
      const timer = setTimeout(done, Math.max(backoff, this.retryAfterMs ?? 0));
      window.addEventListener('online', done);
      this.wake = done;
    });
  }
}
