// 新建拜访: who, and the customer's consent. 开始 stays locked until the switch is on.

import { api } from './api.js';
import { $, go, say } from './dom.js';
import { MicError, Recorder } from './recorder.js';
import { recording, Session } from './session.js';

const NOTICE_VERSION = '2026-11'; // of the notice text in index.html: change both together
const REP = 'vs.rep';

let visit = null;     // a visit the server already has, or null
let agreedAt = null;  // when the switch went on: that is when consent was given

export async function showNew(visitId) {
  visit = null;
  agreedAt = null;
  $('consent-switch').checked = false;
  $('start').disabled = true;
  $('customer-name').readOnly = false;
  $('rep-name').value = localStorage.getItem(REP) ?? '';
  for (const id of ['customer-name', 'purpose', 'hotwords']) $(id).value = '';
  say($('new-error'), null);
  if (!visitId) return;
  try {
    visit = await api.visit(visitId);
    $('customer-name').value = visit.customer?.name ?? '';
    $('customer-name').readOnly = true;
    $('purpose').value = visit.purpose ?? '';
    $('rep-name').value ||= visit.rep?.name ?? '';
  } catch (error) {
    say($('new-error'), error.message);
  }
}

export function bindNew() {
  $('consent-switch').addEventListener('change', ({ target }) => {
    agreedAt = target.checked ? new Date().toISOString() : null;
    $('start').disabled = !target.checked;
  });
  $('new-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    if (!agreedAt || $('start').disabled) return;
    $('start').disabled = true;
    try {
      await begin();
    } catch (error) {
      if (!(error instanceof MicError)) console.error(error);
      say($('new-error'), error instanceof MicError ? error.message : '没能开始，请再试一次。');
      $('new-error').scrollIntoView({ block: 'center' });
    } finally {
      $('start').disabled = !agreedAt;
    }
  });
}

async function begin() {
  if (recording()) throw new MicError('另一个拜访正在录音，请先结束它。');
  const recorder = await new Recorder().open(); // first, while the tap still counts
  const customer = $('customer-name').value.trim();
  const rep = $('rep-name').value.trim();
  localStorage.setItem(REP, rep);
  const hotwords = $('hotwords').value.split(/[,，、;；\s]+/).filter(Boolean).slice(0, 100);
  const purpose = $('purpose').value.trim();
  const session = await Session.begin({
    customer,
    visitId: visit?.id ?? null,
    create: {
      customer: { id: knownId(customer) ?? idOf(customer), name: customer },
      rep: { id: idOf(rep), name: rep },
      ...(purpose && { purpose }),
      ...(hotwords.length && { hotwords }),
    },
    consent: {
      purposes: ['recording', 'transcription', 'crm_delivery'],
      notice_version: NOTICE_VERSION,
      method: 'verbal', // the customer says yes, the salesperson moves the switch
      given_by: customer,
      given_at: agreedAt,
    },
  }, recorder);
  go(`/live/${session.meta.local}`);
}

const knownId = (name) => [...$('known-customers').options].find((option) => option.value === name)?.dataset.id;

/** A stable id for a name typed here, without the name in it (ids reach logs): FNV-1a, 64 bit. */
function idOf(name) {
  let hash = 0xcbf29ce484222325n;
  for (const byte of new TextEncoder().encode(name)) hash = BigInt.asUintN(64, (hash ^ BigInt(byte)) * 0x100000001b3n);
  return `web-${hash.toString(16).padStart(16, '0')}`;
}
