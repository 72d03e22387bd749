// Start-up and the way between screens. Addresses are fragments (`#/card/vis_...`), so the
// server sees one page and the phone's back button works.

import { api, key } from './api.js';
import { $, closeSheet, go, say, toast } from './dom.js';
import { onsettled, startOutbox } from './outbox.js';
import { bindCard, leaveCard, showCard } from './screen-card.js';
import { bindLive, leaveLive, showLive } from './screen-live.js';
import { bindNew, showNew } from './screen-new.js';
import { drawPhone, showVisits } from './screen-visits.js';
import { onchange, recording } from './session.js';

const SCREENS = {
  '': { id: 'visits', show: showVisits },
  login: { id: 'login', show: showLogin },
  new: { id: 'new', show: showNew },
  live: { id: 'live', show: showLive, leave: leaveLive },
  card: { id: 'card-screen', show: showCard, leave: leaveCard },
};
let current = null;

function route() {
  if (location.hash.startsWith('#key=')) key.takeFromFragment();
  const [name, arg] = location.hash.replace(/^#\/?/, '').split('/');
  const screen = key.get() ? (SCREENS[name] ?? SCREENS['']) : SCREENS.login;
  closeSheet();
  current?.leave?.();
  current = screen;
  for (const { id } of Object.values(SCREENS)) $(id).hidden = id !== screen.id;
  window.scrollTo(0, 0);
  screen.show(arg === undefined ? undefined : decodeURIComponent(arg));
}

function showLogin() {
  $('key-input').value = '';
  $('key-input').focus();
}

function bindLogin() {
  $('key-form').addEventListener('submit', async (event) => {
    event.preventDefault();
    const value = $('key-input').value.trim();
    if (!value) return;
    say($('key-error'), null);
    $('key-save').disabled = true;
    key.set(value);
    try {
      await api.visits();
      go('/', true);
      if (current === SCREENS.login) route(); // the address may not have changed
    } catch (error) {
      if (error.status === 401 || error.status === 403) key.clear();
      say($('key-error'), error.status === 401 ? '访问密钥不对，请检查后重填。' : error.message);
    } finally {
      $('key-save').disabled = false;
    }
  });
  $('sign-out').addEventListener('click', () => go('/login'));
}

bindLogin();
bindNew();
bindLive();
bindCard();
onchange((session, what) => {
  if (current !== SCREENS[''] || what !== 'state') return;
  if (session.outcome) showVisits();
  else drawPhone();
});
onsettled((job, outcome, message) => {
  // The card screen speaks for itself; elsewhere a refused confirm must not pass unseen.
  if (outcome !== 'sent' && current !== SCREENS.card) toast(outcome === 'stale' ? '有一张卡片需要重新核对后确认。' : message);
});
window.addEventListener('hashchange', route);
window.addEventListener('beforeunload', (event) => {
  if (recording()) event.preventDefault(); // asks before a reload; what was recorded is safe either way
});
startOutbox();
route();
