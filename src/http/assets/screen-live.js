// 录音中: draws one session. Finals are only ever added to the log (screen readers read
// additions); the partial has its own line that is not read out.

import { $, ask, el, go, say, toast } from './dom.js';
import { Recorder } from './recorder.js';
import { byLocal, onchange } from './session.js';
import { clock, evidence, facts, KINDS } from './words.js';

const BARS = 36;
let session = null;
let follow = true;  // the transcript sticks to its end until the reader scrolls up

const STATES = {
  connecting: '正在连接', live: '正在听', catching_up: '正在听',
  offline: '网络断开，录音继续保存在手机', uploading: '正在上传', waiting: '正在整理',
};
const ENDS = {
  no_consent: ['同意已撤回', '录音已停止，手机上的录音已删除。'],
  withdrawn: ['已撤回同意', '录音已停止，录音和文字会被删除。'],
  unknown_visit: ['服务器上没有这次拜访', '录音已停止，已录的部分保存在手机，可在列表中处理。'],
  taken_over: ['另一台设备接着录了', '这里的录音已停止。没传完的部分在列表中。'],
  refused: ['服务器没有接收这次拜访', '已录的部分保存在手机，可在列表中重试。'],
};

export function showLive(local) {
  session = byLocal(local);
  if (!session) return go('/');
  follow = true;
  $('live-customer').textContent = session.meta.customer;
  for (const id of ['transcript', 'moments', 'meter']) $(id).replaceChildren();
  for (let i = 0; i < BARS; i++) $('meter').append(el('i'));
  drawState(); drawLevel(); drawSegments(); drawPartial(); drawMoments();
}

export const leaveLive = () => { session = null; };

export function bindLive() {
  onchange((which, what) => {
    if (which !== session) return;
    ({ state: drawState, level: drawLevel, segment: drawSegments, partial: drawPartial, moment: drawMoments })[what]?.();
  });
  $('stop').addEventListener('click', () => session?.finish());
  $('withdraw').addEventListener('click', withdraw);
  $('mic-again').addEventListener('click', micAgain);
  $('paper').addEventListener('scroll', () => {
    const { scrollTop, scrollHeight, clientHeight } = $('paper');
    follow = scrollHeight - scrollTop - clientHeight < 60;
  });
}

function drawState() {
  const { state, outcome } = session;
  if (outcome === 'done') return go(`/card/${encodeURIComponent(session.meta.visitId)}`, true);
  const [title, note] = ENDS[outcome] ?? [];
  say($('live-state'), title ?? (state === 'offline' && session.meta.stopped ? '网络断开，录音保存在手机' : STATES[state]));
  $('live-status').dataset.state = session.trouble ? 'trouble' : state;
  say($('live-note'), note ?? session.trouble ?? session.link.problem ?? noteFor(state));
  $('mic-again').hidden = !session.trouble;
  $('meter').hidden = session.meta.stopped || Boolean(outcome);
  $('stop').hidden = session.meta.stopped || Boolean(outcome);
  $('withdraw').hidden = Boolean(outcome);
  drawLevel();
}

function noteFor(state) {
  if (state === 'offline') return session.meta.stopped ? '联网后自动上传，可以离开这个页面。' : '可以放心继续谈，联网后自动补传。';
  if (state === 'uploading') return `还有 ${clock(session.behindMs)} 没传完，可以先开始下一个拜访。`;
  if (state === 'waiting') return '卡片马上就好。';
  if (!session.log.onDisk) return '手机存储不可用，请不要关闭这个页面。';
  if (session.tooQuiet) return '几乎听不到声音，请检查麦克风是否被挡住。';
  if (state === 'catching_up') return '正在补传刚才的录音。';
  if (session.degraded === 'finals_only') return '服务器较忙，文字会慢一些，录音不受影响。';
  if (session.degraded === 'deferred') return '服务器较忙，文字稍后补上，录音不受影响。';
  return null;
}

function drawLevel() {
  $('live-time').textContent = clock(session.elapsedMs);
  if (session.tooQuiet !== session.wasQuiet) {
    session.wasQuiet = session.tooQuiet;
    drawState();
  }
  const meter = $('meter');
  // -50 dBFS is an empty bar, -8 a full one; the power spreads the loud end, where speech is.
  const level = Math.min(1, Math.max(0, (20 * Math.log10(session.level || 1e-6) + 50) / 42)) ** 1.8;
  meter.append(meter.firstChild); // the bars run from right to left
  meter.lastChild.style.transform = `scaleY(${Math.max(0.06, level).toFixed(3)})`;
}

function drawSegments() {
  const log = $('transcript');
  if (!session.segments.size) log.replaceChildren();
  const drawn = new Map([...log.children].map((node) => [node.dataset.id, node]));
  const ordered = [...session.segments.values()].sort((a, b) => a.start_ms - b.start_ms);
  let before = null;
  for (const segment of ordered.reverse()) {
    let node = drawn.get(segment.segment_id);
    if (!node) {
      node = el('p', { class: 'line', data: { testid: 'final', id: segment.segment_id } }, el('span', { class: 'stamp' }), el('span', { class: 'words' }));
      log.insertBefore(node, before);
    }
    if (node.lastChild.textContent !== segment.text) node.lastChild.textContent = segment.text;
    node.firstChild.textContent = clock(segment.start_ms);
    before = node;
  }
  drawEmpty();
}

function drawPartial() {
  const { partial } = session;
  $('partial').hidden = !partial?.text;
  if (partial?.text) {
    // `stable_chars` counts characters, not UTF-16 units.
    const letters = Array.from(partial.text);
    const [stamp, words] = $('partial').children;
    stamp.textContent = clock(partial.start_ms);
    words.children[0].textContent = letters.slice(0, partial.stable_chars).join('');
    words.children[1].textContent = letters.slice(partial.stable_chars).join('');
  }
  drawEmpty();
}

function drawEmpty() {
  $('paper-empty').hidden = Boolean(session.segments.size || session.partial?.text || session.meta.stopped || session.outcome);
  if (follow) $('paper').scrollTop = $('paper').scrollHeight;
}

function drawMoments() {
  const box = $('moments');
  const moments = [...session.moments.values()].sort((a, b) => b.start_ms - a.start_ms); // the newest first
  const seen = new Set([...box.children].map((node) => node.dataset.id));
  box.hidden = !moments.length;
  box.replaceChildren(...moments.map((moment) => {
    const [main, ...rest] = facts(moment);
    return el('article', { class: `moment${seen.has(moment.id) ? '' : ' fresh'}`, role: 'listitem', data: { testid: 'moment', kind: moment.kind, id: moment.id } },
      el('header', {}, el('b', {}, KINDS[moment.kind] ?? moment.kind), el('time', {}, clock(moment.start_ms))),
      main && el('strong', {}, main),
      rest.length ? el('span', { class: 'rest' }, rest.join(' · ')) : null,
      el('q', {}, evidence(moment, session.segments)));
  }));
  if (moments.some(({ id }) => !seen.has(id))) box.scrollTo({ left: 0 });
}

async function withdraw() {
  const mine = session;
  const sure = await ask({
    title: '客户撤回同意？', danger: true, yes: '撤回并删除', no: '继续录音',
    body: '录音立即停止，这次拜访的录音和文字都会删除，无法恢复。',
  });
  if (sure) mine.withdraw();
}

async function micAgain() {
  try {
    await session.recordAgain(await new Recorder().open());
  } catch (error) {
    toast(error.message);
  }
}
