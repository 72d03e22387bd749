// 拜访列表: what this phone still holds, then the latest visits of the server.

import { api } from './api.js';
import { $, ask, el, go } from './dom.js';
import { waiting } from './outbox.js';
import { Recorder } from './recorder.js';
import { all, recover, recording, Session } from './session.js';
import { clock, visitState, when } from './words.js';

let cutOff = [];
let drawn = '';

export async function showVisits() {
  cutOff = await recover();
  drawPhone();
  try {
    const { visits } = await api.visits();
    draw(visits ?? []);
  } catch (error) {
    if (error.status === 401) return go('/login');
    $('visits-note').textContent = `${error.message}没有网络也可以新建拜访，录音会先保存在手机。`;
  }
}

function draw(visits) {
  $('visit-list').replaceChildren(...visits.map((visit) => el('li', {},
    el('a', { class: 'visit', href: target(visit) },
      el('span', { class: 'visit-main' },
        el('strong', { class: 'ellipsis' }, visit.customer?.name ?? '（已删除）'),
        el('time', {}, when(visit.scheduled_at ?? visit.created_at))),
      badge(visit)))));
  $('visits-note').textContent = visits.length ? '' : '还没有拜访。点下面的按钮开始第一个。';
  // Names the form can offer, with the id the CRM knows them by.
  $('known-customers').replaceChildren(...[...new Map(visits.map((v) => [v.customer?.name, v.customer?.id]))]
    .filter(([name]) => name).map(([name, id]) => el('option', { value: name, data: { id } })));
}

function badge(visit) {
  if (waiting('confirm', visit.id)) return el('span', { class: 'badge', data: { state: 'saved' } }, '待提交');
  return el('span', { class: 'badge', data: { state: visit.state } }, visitState(visit.state));
}

function target(visit) {
  const session = all().find((one) => one.meta.visitId === visit.id);
  if (session && !session.outcome) return `#/live/${session.meta.local}`;
  if (['scheduled', 'created', 'card_pushed', 'consented', 'live'].includes(visit.state)) return `#/new/${encodeURIComponent(visit.id)}`;
  return `#/card/${encodeURIComponent(visit.id)}`;
}

/** Also called on every session change, so that upload progress moves. */
export function drawPhone() {
  const active = all().map((session) => {
    const name = session.meta.customer;
    const open = { class: 'phone-item', href: `#/live/${session.meta.local}` };
    if (session.recorder) return el('a', { ...open, data: { state: 'recording' } }, el('strong', {}, name), el('span', {}, '正在录音，点此返回'));
    if (!session.outcome) {
      const percent = session.log.end ? Math.floor((100 * Math.max(0, session.link.sent)) / session.log.end) : 100;
      const text = { offline: '录音保存在手机，联网后自动上传', waiting: '已上传，正在整理' }[session.state] ?? `正在上传 ${percent}%`;
      return el('a', open, el('strong', {}, name), el('span', {}, text));
    }
    return el('div', { class: 'phone-item' }, el('strong', {}, name),
      el('span', {}, `${REASONS[session.outcome] ?? ''}还有 ${clock(session.heldMs)} 的录音在手机上。${session.link.problem ?? ''}`),
      el('div', { class: 'row' },
        el('button', { class: 'button', type: 'button', onclick: () => retry(session) }, '重试上传'),
        el('button', { class: 'button danger', type: 'button', onclick: () => discard(session) }, '删除录音')));
  });
  const interrupted = cutOff.map((meta) => el('div', { class: 'phone-item', data: { testid: 'cut-off' } },
    el('strong', {}, meta.customer), el('span', {}, '录音中途页面关闭了，已录的部分保存在手机。'),
    el('div', { class: 'row' },
      el('button', { class: 'button', type: 'button', data: { testid: 'continue' }, onclick: () => carryOn(meta, true) }, '继续录音'),
      el('button', { class: 'button', type: 'button', data: { testid: 'end-upload' }, onclick: () => carryOn(meta, false) }, '结束并上传'))));
  const nodes = [...active, ...interrupted];
  // Redrawing under a finger would swallow the tap: only when something reads differently.
  const reading = nodes.map((node) => node.textContent).join('\n');
  if (reading === drawn && reading) return;
  drawn = reading;
  $('phone-list').replaceChildren(...nodes);
}

const REASONS = {
  taken_over: '另一台设备接着录了这次拜访。', unknown_visit: '服务器上已没有这次拜访。', refused: '服务器没有接收。',
};

async function carryOn(meta, more) {
  if (more && recording()) return ask({ title: '正在录另一个拜访', body: '请先结束它。' });
  let recorder;
  try {
    if (more) recorder = await new Recorder().open();
  } catch (error) {
    return ask({ title: '无法录音', body: error.message });
  }
  const session = await Session.resume(meta, recorder);
  if (!session) {
    recorder?.release();
    return ask({ title: '另一个页面正在处理这次拜访', body: '请回到那个页面。' });
  }
  cutOff = cutOff.filter((one) => one !== meta);
  go(`/live/${meta.local}`);
}

async function retry(session) {
  await Session.resume(session.meta);
  drawPhone();
}

async function discard(session) {
  const sure = await ask({ title: '删除这段录音？', body: '还没有上传，删除后无法找回。', yes: '删除', danger: true });
  if (sure) await session.discard();
}
