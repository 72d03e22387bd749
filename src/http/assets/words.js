// How the product speaks Chinese: codes and numbers in, words a salesperson reads out.
// Slot keys and units are those of the data format: money in full yuan, dates YYYY-MM-DD.

export const KINDS = {
  quote: '报价', objection: '异议', objection_handling: '异议处理', signing_intent: '签约意向', next_step: '下一步',
};
export const STAGES = ['初步接触', '需求确认', '方案报价', '商务谈判', '签约', '搁置', '流失'];

const VISIT_STATES = {
  scheduled: '待拜访', created: '待拜访', card_pushed: '待拜访', consented: '待开始', live: '录音中',
  uploaded: '整理中', ended: '整理中', processing: '整理中', card_ready: '待确认', confirmed: '已确认',
  archived: '已归档', withdrawn: '已撤回', erased: '已删除', failed: '处理失败',
};
export const visitState = (state) => VISIT_STATES[state] ?? state ?? '';

const CATEGORIES = {
  price: '价格', budget: '预算', competitor: '竞品', authority: '决策权', timing: '时机',
  need: '需求', trust: '信任', technical: '技术', service: '服务', terms: '条款',
};
const LEVELS = { strong: '强意向', conditional: '有条件意向' };
const OWNERS = { rep: '我方', customer: '客户' };
const PERIODS = { year: '/年', month: '/月', one_time: '（一次性）' };
const UNITS = { seat: '席位', device: '台', box: '盒', vehicle: '辆' };

/** 288000 -> 28.8万元. At most four decimals of 万, so nothing is rounded away. */
export function money(yuan) {
  const trim = (value, digits) => String(Number(value.toFixed(digits)));
  if (Math.abs(yuan) >= 1e8) return `${trim(yuan / 1e8, 6)}亿元`;
  if (Math.abs(yuan) >= 1e4) return `${trim(yuan / 1e4, 4)}万元`;
  return `${trim(yuan, 2)}元`;
}

/** 0.9 -> 9折, 0.85 -> 8.5折 */
export const discount = (factor) => `${Number((factor * 10).toFixed(2))}折`;

/** 2026-11-25 -> 11月25日; the year only when it is not this one. No time zone is involved. */
export function day(iso, now = new Date()) {
  const match = /^(\d{4})-(\d{2})-(\d{2})/.exec(iso ?? '');
  if (!match) return iso ?? '';
  const [year, month, date] = match.slice(1).map(Number);
  return `${year === now.getFullYear() ? '' : `${year}年`}${month}月${date}日`;
}

/** 2026-11-25 -> 周三 */
export function weekday(iso) {
  const at = new Date(`${iso}T12:00:00`);
  return Number.isNaN(at.getTime()) ? '' : `周${'日一二三四五六'[at.getDay()]}`;
}

/** 83000 -> 01:23 */
export function clock(ms) {
  const s = Math.floor(ms / 1000);
  const two = (n) => String(n).padStart(2, '0');
  return (s >= 3600 ? `${Math.floor(s / 3600)}:` : '') + `${two(Math.floor(s / 60) % 60)}:${two(s % 60)}`;
}

export function when(iso) {
  const at = new Date(iso);
  if (Number.isNaN(at.getTime())) return '';
  const time = at.toLocaleTimeString('zh-CN', { hour: '2-digit', minute: '2-digit', hour12: false });
  const today = new Date().toDateString() === at.toDateString();
  return today ? `今天 ${time}` : `${at.getMonth() + 1}月${at.getDate()}日 ${time}`;
}

/** The slots of a moment, most telling first. Unknown or empty slots are left out. */
export function facts({ kind, slots }) {
  const s = slots ?? {};
  const price = () => {
    if (typeof s.amount_cny !== 'number') return null;
    const per = UNITS[s.unit] ? `/${UNITS[s.unit]}` : (s.period === 'per_unit' ? '/件' : '');
    return money(s.amount_cny) + per + (PERIODS[s.period] ?? '');
  };
  const told = {
    quote: () => [price(), s.discount && discount(s.discount), s.payment_terms],
    objection: () => [CATEGORIES[s.category] && `${CATEGORIES[s.category]}异议`],
    objection_handling: () => [CATEGORIES[s.category] && `回应${CATEGORIES[s.category]}`],
    signing_intent: () => [LEVELS[s.level], s.condition, s.date && day(s.date)],
    next_step: () => [s.date && day(s.date), s.action, OWNERS[s.owner]],
  }[kind];
  return (told ? told() : []).filter(Boolean);
}

/** The words that prove a moment: its own evidence, else the segments it points at. */
export function evidence(moment, segments) {
  const own = typeof moment.evidence === 'string' ? moment.evidence : moment.evidence?.text;
  if (own) return own;
  return (moment.segment_ids ?? []).map((id) => segments.get(id)?.text).filter(Boolean).join(' ');
}
