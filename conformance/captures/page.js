'use strict';
// Octets of a hexdump are marked with the field that they belong to, and the other way round.
const WIDTH = 16, HEX_AT = 8, TEXT_AT = 58;

function spans(pre) {
  const octets = [];
  const lines = pre.textContent.split('\n');
  pre.textContent = '';
  for (const line of lines) {
    const start = /^[0-9a-f]{6}  /.test(line) ? parseInt(line.slice(0, 6), 16) : NaN;
    if (Number.isNaN(start)) { pre.append(line + '\n'); continue; }
    const textAt = line.indexOf('|', HEX_AT);
    let at = 0;
    const add = (from, to, octet) => {
      pre.append(line.slice(at, from));
      const mark = document.createElement('i');
      mark.textContent = line.slice(from, to);
      mark.dataset.o = octet;
      pre.append(mark);
      (octets[octet] ||= []).push(mark);
      at = to;
    };
    const count = Math.min(WIDTH, line.length - textAt - 2);
    for (let i = 0; i < count; i++) { const column = HEX_AT + i * 3 + (i > 7 ? 1 : 0); add(column, column + 2, start + i); }
    for (let i = 0; i < count; i++) add(textAt + 1 + i, textAt + 2 + i, start + i);
    pre.append(line.slice(at) + '\n');
  }
  return octets;
}

function prepare(details) {
  const pre = details.querySelector('.hex'), list = details.querySelector('.fields');
  if (!pre || !list || pre.dataset.ready) return;
  pre.dataset.ready = '1';
  const octets = spans(pre), fields = [...list.children];
  let pinned = null;
  const range = field => [Number(field.dataset.a), Number(field.dataset.b)];
  const clear = () => details.querySelectorAll('.on').forEach(each => each.classList.remove('on'));
  const show = (field, scrolls) => {
    clear();
    if (!field) return;
    field.classList.add('on');
    const [a, b] = range(field);
    for (let i = a; i < Math.min(b, octets.length); i++) for (const mark of octets[i] || []) mark.classList.add('on');
    const first = octets[a] && octets[a][0];
    if (scrolls && first) pre.scrollTop = Math.max(0, first.offsetTop - pre.offsetTop - 40);
  };
  const pin = field => {
    if (pinned) { pinned.classList.remove('pinned'); pinned.setAttribute('aria-pressed', 'false'); }
    pinned = field === pinned ? null : field;
    if (pinned) { pinned.classList.add('pinned'); pinned.setAttribute('aria-pressed', 'true'); }
    show(pinned || field, true);
  };
  const innermost = octet => fields.filter(field => { const [a, b] = range(field); return a <= octet && octet < b; }).pop();
  const fieldOf = event => event.target.closest && event.target.closest('.fields li');
  list.addEventListener('mouseover', event => { const field = fieldOf(event); if (field && !pinned) show(field, false); });
  list.addEventListener('focusin', event => { const field = fieldOf(event); if (field && !pinned) show(field, true); });
  list.addEventListener('click', event => { const field = fieldOf(event); if (field && event.target.tagName !== 'A') pin(field); });
  list.addEventListener('keydown', event => {
    const field = fieldOf(event);
    if (!field || event.target.tagName === 'A') return;
    const step = { ArrowDown: 'nextElementSibling', ArrowUp: 'previousElementSibling' }[event.key];
    if (step) { if (field[step]) field[step].focus(); }
    else if (event.key === 'Enter' || event.key === ' ') pin(field);
    else if (event.key === 'Escape') details.querySelector('summary').focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  details.querySelector('.both').addEventListener('mouseleave', () => show(pinned, false));
  pre.addEventListener('mouseover', event => {
    if (event.target.dataset.o !== undefined && !pinned) show(innermost(Number(event.target.dataset.o)), false);
  });
  pre.addEventListener('click', event => {
    if (event.target.dataset.o === undefined) return;
    const field = innermost(Number(event.target.dataset.o));
    if (field) { pin(field); field.scrollIntoView({ block: 'nearest' }); }
  });
  details.addEventListener('octet', event => { const field = innermost(event.detail); if (field && field !== pinned) pin(field); });
}

const entries = [...document.querySelectorAll('.entry')];
document.addEventListener('toggle', event => { if (event.target.open) prepare(event.target); }, true);

const tools = document.querySelector('.tools');
tools.hidden = false;
const text = document.getElementById('text'), only = document.getElementById('only'), shown = document.getElementById('shown');
function filter() {
  const wanted = text.value.toLowerCase();
  let count = 0;
  for (const entry of entries) {
    const fits = (!only.checked || entry.classList.contains('wrong')) && (!wanted || entry.textContent.toLowerCase().includes(wanted));
    entry.hidden = !fits;
    count += fits;
  }
  shown.textContent = count === entries.length ? '' : `${count} of ${entries.length}`;
}
text.addEventListener('input', filter);
only.addEventListener('input', filter);

const MOST_OPENED = 200;
document.getElementById('open').addEventListener('click', () => {
  entries.filter(entry => !entry.hidden).slice(0, MOST_OPENED).forEach(entry => { const d = entry.querySelector('details'); if (d) d.open = true; });
});
document.getElementById('close').addEventListener('click', () => document.querySelectorAll('.entry details[open]').forEach(d => { d.open = false; }));

function go(step, fits) {
  const here = entries.indexOf(document.activeElement && document.activeElement.closest('.entry'));
  for (let i = here + step; i >= 0 && i < entries.length; i += step) {
    const summary = entries[i].querySelector('summary');
    if (summary && !entries[i].hidden && fits(entries[i])) { summary.focus(); summary.scrollIntoView({ block: 'nearest' }); return; }
  }
}
document.addEventListener('keydown', event => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.tagName === 'INPUT') return;
  const isWrong = entry => entry.classList.contains('wrong');
  switch (event.key) {
    case 'ArrowDown': case 'ArrowUp':
      if (event.target.tagName !== 'SUMMARY') return;
      go(event.key === 'ArrowDown' ? 1 : -1, () => true);
      break;
    case 'j': go(1, () => true); break;
    case 'k': go(-1, () => true); break;
    case 'n': go(1, isWrong); break;
    case 'p': go(-1, isWrong); break;
    case '/': text.focus(); break;
    default: return;
  }
  event.preventDefault();
});
// #s0p4 opens PDU 4 of stream 0, #s0p4o12 marks the field of its octet 12 as well.
function follow() {
  const found = /^#(s\d+p\d+)(?:o(\d+))?$/.exec(location.hash);
  const entry = found && document.getElementById(found[1]), details = entry && entry.querySelector('details');
  if (!details) return;
  details.open = true;
  prepare(details);
  entry.scrollIntoView({ block: 'start' });
  details.querySelector('summary').focus({ preventScroll: true });
  if (found[2]) details.dispatchEvent(new CustomEvent('octet', { detail: Number(found[2]) - 1 }));
}
window.addEventListener('hashchange', follow);
follow();
document.documentElement.dataset.ready = '1';
