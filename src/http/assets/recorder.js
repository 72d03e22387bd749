// The microphone: permission, worklet, wake lock. Hands out 100 ms of PCM at a time
// and says in Chinese what is wrong. Knows no visit and no network.

const CONSTRAINTS = {
  audio: {
    channelCount: 1,
    echoCancellation: false, // nothing is played back, and it eats the far speaker
    noiseSuppression: false, // the recogniser copes better with noise than with its removal
    autoGainControl: true,   // the customer sits further away than the salesperson
  },
};

export class MicError extends Error {}

const REFUSED = {
  NotAllowedError: '没有麦克风权限。请在浏览器或系统设置中允许本页面使用麦克风，然后再点一次。',
  NotFoundError: '没有找到麦克风，请检查手机或耳机。',
  NotReadableError: '麦克风正被其他应用占用（例如电话），请关闭后再试。',
};

export class Recorder {
  /** Set before start(): onchunk(bytes, rms) for each 100 ms; ontrouble(message or null) when sound stops or is back. */
  onchunk = null;
  ontrouble = null;

  constructor() {
    this.onvisible = () => {
      if (document.visibilityState !== 'visible') return;
      this.holdScreen(); // the system drops a wake lock when the page is hidden
      this.context?.resume().catch(() => {});
    };
  }

  /** Asks for the microphone. Call inside the tap: phones only start audio there. No sound is taken yet. */
  async open() {
    if (!window.isSecureContext || !navigator.mediaDevices?.getUserMedia) {
      throw new MicError('当前网址不安全，浏览器不允许录音。请使用 https:// 开头的地址打开。');
    }
    this.context = new AudioContext({ latencyHint: 'balanced' });
    this.context.resume().catch(() => {});
    try {
      this.stream = await navigator.mediaDevices.getUserMedia(CONSTRAINTS);
      await this.context.audioWorklet.addModule('/assets/pcm-worklet.js');
    } catch (error) {
      this.release();
      throw new MicError(REFUSED[error.name] ?? '麦克风打不开，请关闭其他录音应用后再试。');
    }
    return this;
  }

  start() {
    this.node = new AudioWorkletNode(this.context, 'pcm');
    this.node.port.onmessage = ({ data }) => {
      if (data.over) this.flushed?.();
      else this.onchunk(new Uint8Array(data.pcm), data.rms);
    };
    this.context.createMediaStreamSource(this.stream).connect(this.node);
    this.node.connect(this.context.destination); // it writes silence, but unconnected nodes may not run

    const [track] = this.stream.getAudioTracks();
    track.onended = () => this.ontrouble('麦克风断开了，点“恢复录音”继续。');
    track.onmute = () => this.ontrouble('麦克风被其他应用占用，结束后会自动继续。');
    track.onunmute = () => this.ontrouble(null);
    this.context.onstatechange = () => {
      if (this.context.state === 'running') this.ontrouble(null);
      else if (this.context.state !== 'closed') this.ontrouble('录音被系统暂停，点“恢复录音”继续。');
    };
    document.addEventListener('visibilitychange', this.onvisible);
    this.holdScreen();
  }

  /** Resolves when the last chunk has been handed out. */
  async stop() {
    const last = new Promise((resolve) => { this.flushed = resolve; });
    this.node?.port.postMessage('flush');
    // A context that the system suspended still answers; one that it closed does not.
    if (this.node) await Promise.race([last, new Promise((resolve) => setTimeout(resolve, 1000))]);
    this.release();
  }

  release() {
    document.removeEventListener('visibilitychange', this.onvisible);
    for (const track of this.stream?.getTracks() ?? []) { track.onended = null; track.stop(); }
    if (this.context) this.context.onstatechange = null;
    this.context?.close().catch(() => {});
    this.screen?.release().catch(() => {});
    this.node = this.stream = this.context = this.screen = null;
  }

  async holdScreen() {
    try { this.screen = await navigator.wakeLock?.request('screen'); } catch { /* low battery: the system may refuse */ }
  }
}
