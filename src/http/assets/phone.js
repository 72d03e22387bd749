// What the phone itself keeps of a visit until the server holds it safely:
// IndexedDB, one record a visit and one record per 100 ms of audio.
//
// Promise: a byte is sent only after it is written here, and deleted only after the
// server called it durable. A reload loses at most the 100 ms not yet cut into a chunk.
// Without IndexedDB (private mode, full disk) audio stays in memory and `onDisk` is false.

const MAX_CHUNK = 3200;        // bytes; the recorder never hands out more at once
const KEEP_IN_MEMORY = 600;    // chunks; older ones are read back from disk

const result = (request) => new Promise((resolve, reject) => {
  request.onsuccess = () => resolve(request.result);
  request.onerror = () => reject(request.error);
});
const finished = (tx) => new Promise((resolve, reject) => {
  tx.oncomplete = () => resolve();
  tx.onerror = tx.onabort = () => reject(tx.error);
});

let opening;
function database() {
  opening ??= new Promise((resolve, reject) => {
    const request = indexedDB.open('visitscribe', 1);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('visits', { keyPath: 'local' });
      request.result.createObjectStore('audio', { keyPath: ['local', 'at'] });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
  return opening;
}
const span = (local, from, to) => IDBKeyRange.bound([local, from], [local, to]);

/** All visits with something left to send. */
export async function storedVisits() {
  try {
    return await result((await database()).transaction('visits').objectStore('visits').getAll());
  } catch { return []; }
}

/**
 * The audio of one visit as a growing run of bytes. Positions count from the first byte
 * recorded on this phone; `meta.base` (see live.js) turns them into stream offsets.
 */
export class AudioLog {
  constructor(meta) {
    this.meta = meta;
    this.chunks = [];             // {at, bytes}, the newest, in order
    this.start = meta.start;      // everything below is durable on the server
    this.end = this.start;        // recorded so far
    this.ready = this.start;      // written to disk so far: may be sent
    this.onDisk = true;
    this.writes = Promise.resolve();
  }

  static async open(meta) {
    const log = new AudioLog(meta);
    try {
      const store = (await database()).transaction('audio').objectStore('audio');
      const last = await result(store.openCursor(span(meta.local, 0, Infinity), 'prev'));
      if (last) log.end = log.ready = Math.max(log.start, last.value.at + last.value.bytes.length);
      await log.save();
    } catch { log.onDisk = false; }
    return log;
  }

  /** Writes the visit's own record: who, consent, how far. */
  async save() {
    if (!this.onDisk) return;
    const tx = (await database()).transaction('visits', 'readwrite');
    tx.objectStore('visits').put(this.meta);
    await finished(tx);
  }

  /** Resolves once the bytes may be sent. Writes keep their order. */
  append(bytes) {
    const chunk = { local: this.meta.local, at: this.end, bytes };
    this.end += bytes.length;
    this.chunks.push(chunk);
    this.writes = this.writes.then(async () => {
      try {
        if (this.onDisk) {
          const tx = (await database()).transaction('audio', 'readwrite');
          tx.objectStore('audio').put(chunk);
          await finished(tx);
        }
      } catch { this.onDisk = false; } // go on from memory: better at risk than lost
      this.ready = chunk.at + bytes.length;
      while (this.onDisk && this.chunks.length > KEEP_IN_MEMORY) this.chunks.shift();
    });
    return this.writes;
  }

  /** Up to `max` bytes from `from`, never past `ready`; null when there are none. */
  async read(from, max) {
    if (from >= this.ready) return null;
    let run = this.chunks;
    if (!run.length || from < run[0].at) {
      const store = (await database()).transaction('audio').objectStore('audio');
      run = await result(store.getAll(span(this.meta.local, from - MAX_CHUNK + 1, from + max)));
    }
    // The wanted byte is near the end when live: look backwards.
    let i = run.length - 1;
    while (i >= 0 && run[i].at > from) i--;
    const out = new Uint8Array(Math.min(max, this.ready - from));
    let filled = 0;
    for (; i >= 0 && i < run.length && filled < out.length; i++) {
      const part = run[i].bytes.subarray(Math.max(0, from + filled - run[i].at)).subarray(0, out.length - filled);
      out.set(part, filled);
      filled += part.length;
    }
    return filled ? out.subarray(0, filled) : null;
  }

  /** The server holds everything below `to`: forget it here. */
  async trim(to) {
    if (to <= this.start) return;
    this.start = this.meta.start = Math.min(to, this.end);
    while (this.chunks.length && this.chunks[0].at + this.chunks[0].bytes.length <= this.start) this.chunks.shift();
    if (!this.onDisk) return;
    const tx = (await database()).transaction(['visits', 'audio'], 'readwrite');
    tx.objectStore('visits').put(this.meta);
    // A chunk that begins MAX_CHUNK or more below `start` ends below it too.
    if (this.start >= MAX_CHUNK) tx.objectStore('audio').delete(span(this.meta.local, 0, this.start - MAX_CHUNK));
    await finished(tx);
  }

  /** The visit is done, or consent was taken back: no byte stays on the phone. */
  async erase() {
    this.onDisk = false;
    this.chunks = [];
    this.start = this.ready = this.end;
    await this.writes;
    try {
      const tx = (await database()).transaction(['visits', 'audio'], 'readwrite');
      tx.objectStore('visits').delete(this.meta.local);
      tx.objectStore('audio').delete(span(this.meta.local, 0, Infinity));
      await finished(tx);
    } catch { /* nothing was stored */ }
  }
}
