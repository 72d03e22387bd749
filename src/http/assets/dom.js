// The few DOM verbs the screens share. Text from the server or from speech
// only ever goes in through `textContent`: it may hold markup, and must stay inert.

export const $ = (id) => document.getElementById(id);

/** el('p', {class: 'x', data: {kind: 'quote'}, onclick: f}, 'text', node) */
export function el(tag, props = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(props)) {
    if (value === null || value === undefined || value === false) continue;
    if (name === 'class') node.className = value;
    else if (name === 'data') Object.assign(node.dataset, value);
    else if (name.startsWith('on')) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? '' : value);
  }
  for (const child of children) if (child !== null && child !== undefined) node.append(child);
  return node;
}

/** Shows `text` in `node`, or hides the node when there is none. */
export function say(node, text) {
  // Writing the same words again would make a screen reader repeat them.
  if (node.textContent !== (text ?? '')) node.textContent = text ?? '';
  node.hidden = !text;
}

/** To another screen: addresses are fragments, see app.js. */
export function go(path, replace = false) {
  if (replace) location.replace(`#${path}`);
  else location.hash = path;
}

let toastTimer;
export function toast(text) {
  const node = $('toast');
  node.textContent = text;
  node.classList.add('on');
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => node.classList.remove('on'), 4000);
}

let answer = null; // of the sheet that is open

/** A bottom sheet. With `yes` it asks; without, it only shows `body`. Resolves to true or false. */
export function ask({ title, body, yes, no = yes ? '取消' : '关闭', danger = false }) {
  answer?.(false);
  const sheet = $('ask');
  $('ask-title').textContent = title;
  $('ask-body').replaceChildren(...[body].flat().map((part) => (typeof part === 'string' ? el('p', {}, part) : part)));
  $('ask-yes').hidden = !yes;
  $('ask-yes').textContent = yes ?? '';
  $('ask-yes').classList.toggle('alarm', danger);
  $('ask-no').textContent = no;
  return new Promise((resolve) => {
    answer = (agreed) => {
      answer = null;
      sheet.close();
      resolve(agreed);
    };
    $('ask-yes').onclick = () => answer(true);
    $('ask-no').onclick = () => answer(false);
    sheet.onclick = ({ target }) => target === sheet && answer(false); // a tap beside the sheet
    sheet.onclose = () => !sheet.open && answer?.(false); // Escape, the back gesture
    sheet.showModal();
  });
}

export const closeSheet = () => answer?.(false);
