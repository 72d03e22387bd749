// 卡片: the result in one look, three fields, one button. A confirm is first put in the
// outbox, then sent: from the tap on it cannot be lost.

import { api } from './api.js';
import { $, ask, el, go, say, toast } from './dom.js';
import { onsettled, post, waiting } from './outbox.js';
import { all } from './session.js';
import { clock, evidence, facts, KINDS, STAGES, weekday } from './words.js';

const FIELDS = ['stage', 'next_action', 'next_date'];
const LABELS = { stage: '客户阶段', next_action: '下一步', next_date: '预计日期' };
const UNSURE = 0.6;       // below this confidence a field asks for a look
const PATIENCE_MS = 800;  // a confirm slower than this counts as offline
const STALE = '卡片刚刚有更新，已为您重新载入。请核对后再确认。';

let id = null;
let card = null;
let result = null;  // segments and moments, the evidence behind the chips
let dismissed = new Set(); // moments that the salesperson says were none
let poll = null;
let patience = null;

export async function showCard(visitId) {
  leaveCard();
  id = visitId;
  card = result = null;
  $('card').hidden = true;
  $('card-customer').textContent = all().find((s) => s.meta.visitId === id)?.meta.customer ?? '';
  api.visit(id).then((visit) => { if (id === visitId) $('card-customer').textContent = visit.customer?.name ?? ''; }).catch(() => {});
  wait('正在生成卡片…');
  await load(visitId);
}

export function leaveCard() {
  clearTimeout(poll);
  clearTimeout(patience);
  id = null;
}

function wait(text, busy = true) {
  $('card-wait').hidden = !text;
  $('card-wait').dataset.busy = busy;
  $('card-wait-text').textContent = text ?? '';
}

/** Fetches the card; keeps asking while there is none yet. `edits` and `gone` survive a reload of the card. */
async function load(visitId, { edits = {}, gone = [], message, tries = 0 } = {}) {
  const again = (ms) => {
    clearTimeout(poll);
    poll = setTimeout(() => load(visitId, { edits, gone, message, tries: tries + 1 }), ms);
  };
  try {
    const fresh = await api.card(visitId);
    if (id !== visitId) return;
    card = fresh;
  } catch (error) {
    if (id !== visitId) return;
    if (error.code === 'card_not_ready') {
      wait(tries < 20 ? '正在生成卡片…' : '卡片还在生成，可以先去下一个拜访，稍后再看。');
      return again(Math.min(5000, 600 + tries * 200));
    }
    if (error.transient) {
      wait('网络连不上，联网后自动载入卡片。');
      return again(5000);
    }
    return error.status === 401 ? go('/login') : wait(error.message, false);
  }
  wait(null);
  const job = waiting('confirm', visitId);
  dismissed = new Set(card.state === 'pending' ? [...(job?.body.dismissed ?? []), ...gone] : []);
  draw({ ...job?.body.edits, ...edits });
  say($('card-message'), message);
  if (card.state === 'confirmed' || card.state === 'archived') settle('confirmed');
  else settle(job ? 'saved' : 'open');
  api.result(visitId).then((all) => { if (id === visitId) result = all; }).catch(() => {});
}

function draw(edits) {
  $('headline').textContent = card.headline ?? '';
  drawChips();
  for (const name of FIELDS) {
    const field = card.fields?.[name] ?? {};
    const input = $(`field-${name}`);
    if (name === 'stage') {
      const known = !field.value || STAGES.includes(field.value) ? STAGES : [field.value, ...STAGES];
      input.replaceChildren(el('option', { value: '' }, '请选择'), ...known.map((stage) => el('option', { value: stage }, stage)));
    }
    input.value = edits[name] ?? field.value ?? '';
  }
  $('card').hidden = false;
}

/** A tap shows the words behind a chip and lets the salesperson strike it out, or take that back. */
function drawChips() {
  const chips = (card.chips ?? []).map((chip) => el('button', {
    class: 'chip', type: 'button', data: { kind: chip.kind, testid: 'chip', dismissed: dismissed.has(chip.moment_id) },
    'aria-label': dismissed.has(chip.moment_id) ? `已划掉：${chip.label ?? ''}` : null, onclick: () => look(chip),
  }, chip.label?.includes(KINDS[chip.kind]) ? null : el('b', {}, `${KINDS[chip.kind] ?? ''} `), chip.label ?? ''));
  $('chips').replaceChildren(...chips);
}

async function look(chip) {
  const seen = card;
  const open = $('card').dataset.state === 'open';
  const struck = dismissed.has(chip.moment_id);
  const strike = await prove([chip.moment_id], chip.label, open && (struck ? '恢复' : '不是这样，划掉'));
  if (!strike || card !== seen || $('card').dataset.state !== 'open') return;
  if (struck) dismissed.delete(chip.moment_id);
  else dismissed.add(chip.moment_id);
  drawChips();
}

/** What stands around a field: unsure, missing, the weekday, the way to the evidence. */
function mark(name) {
  const field = card.fields?.[name] ?? {};
  const input = $(`field-${name}`);
  const box = input.closest('.field');
  const edited = input.value !== (field.value ?? '');
  const open = $('card').dataset.state === 'open'; // afterwards there is nothing left to check
  const unsure = open && !edited && input.value && (field.confidence ?? 1) < UNSURE;
  box.dataset.mark = input.value ? (unsure ? 'unsure' : '') : 'missing';
  for (const old of box.querySelectorAll('.under, .link')) old.remove();
  const notes = [name === 'next_date' && weekday(input.value), unsure && '不太确定，请看一眼', open && !input.value && '还没有，归档前要补上'];
  const text = notes.filter(Boolean).join(' · ');
  if (text) box.append(el('p', { class: 'under', id: `under-${name}` }, text));
  input.setAttribute('aria-describedby', `under-${name}`);
  if (!field.evidence?.length || edited) return;
  box.querySelector('.label').append(el('button', {
    class: 'button link', type: 'button', 'aria-label': `${LABELS[name]}的依据`, onclick: () => prove(field.evidence, LABELS[name]),
  }, '看依据'));
}

/** Shows the words and the time behind a chip or a field. With `yes` it asks, see `ask`. */
function prove(ids, title, yes) {
  const segments = new Map((result?.segments ?? []).map((segment) => [segment.id, segment]));
  const moments = ids.map((one) => result?.moments?.find((moment) => moment.id === one)).filter(Boolean);
  return ask({
    title: title ?? '依据',
    yes: yes || undefined,
    no: '关闭',
    body: moments.length ? moments.map((moment) => el('div', { class: 'proof', data: { kind: moment.kind, testid: 'proof' } },
      el('header', {}, el('b', {}, KINDS[moment.kind] ?? ''), el('time', {}, `${clock(moment.start_ms)} – ${clock(moment.end_ms)}`)),
      el('blockquote', {}, evidence(moment, segments)),
      el('p', { class: 'hint' }, facts(moment).join(' · ')))) : '原话还没有载入，请联网后再看。',
  });
}

function edits() {
  const changed = {};
  for (const name of FIELDS) {
    const value = $(`field-${name}`).value.trim();
    if (value !== (card.fields?.[name]?.value ?? '')) changed[name] = value || null;
  }
  return changed;
}

/** open | sending | saved (on the phone, not yet sent) | confirmed */
function settle(state) {
  if (state !== 'sending') clearTimeout(patience);
  $('card').dataset.state = state;
  for (const name of FIELDS) {
    $(`field-${name}`).disabled = state !== 'open';
    mark(name);
  }
  $('confirm').hidden = state === 'confirmed' || state === 'saved';
  $('confirm').disabled = state === 'sending';
  $('confirm').textContent = state === 'sending' ? '正在提交…' : '确认';
  const told = { saved: '已离线保存，稍后自动提交', confirmed: '已提交' }[state];
  say($('confirmed'), told);
  $('confirmed').dataset.state = state;
  $('card-next').hidden = !told;
}

export function bindCard() {
  for (const name of FIELDS) $(`field-${name}`).addEventListener('input', () => card && mark(name));
  $('card').addEventListener('submit', (event) => {
    event.preventDefault();
    if ($('card').dataset.state !== 'open') return;
    say($('card-message'), null);
    const changed = edits();
    settle('sending');
    patience = setTimeout(() => settle('saved'), PATIENCE_MS);
    post({
      kind: 'confirm', visit: id,
      body: { version: card.version, ...(Object.keys(changed).length && { edits: changed }), ...(dismissed.size && { dismissed: [...dismissed] }) },
    });
    if (!navigator.onLine) settle('saved');
  });
  onsettled((job, outcome, message, code) => {
    if (job.visit !== id || job.kind !== 'confirm') return;
    if (outcome === 'sent') return settle('confirmed');
    if (outcome === 'stale') return load(id, { edits: job.body.edits, gone: job.body.dismissed, message: code === 'wrong_state' ? message : STALE });
    settle('open');
    say($('card-message'), message);
  });
  $('card-withdraw').addEventListener('click', async () => {
    const visit = id;
    const sure = await ask({
      title: '客户撤回同意？', danger: true, yes: '撤回并删除',
      body: '这次拜访的录音、文字和卡片都会删除，无法恢复。',
    });
    if (!sure) return;
    post({ kind: 'withdraw', visit });
    go('/', true);
    toast('已撤回同意，录音、文字和卡片会被删除。');
  });
}
