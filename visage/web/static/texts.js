// The service puts the texts of the chosen language, and those of its errors, into the page.
const { texts, errors } = JSON.parse(document.getElementById("texts").textContent);

/** The language of the page, as BCP 47 writes it. */
export const { lang } = document.documentElement;

const plurals = new Intl.PluralRules(lang);
const integers = new Intl.NumberFormat(lang, { useGrouping: "min2" });
const percents = new Intl.NumberFormat(lang, { style: "percent", maximumFractionDigits: 0 });

/**
 * A text in the language of the page. `{name}` in it stands for the value of that name; numbers get the language's form.
 *
 * Texts that depend on a number have a form for each of the language's plurals, chosen by `count`; some have one for zero.
 */
export function text(key, values = {}) {
  const found = texts[key];
  const form = typeof found === "string" ? found : formFor(found, values.count);
  return form.replace(/\{(\w+)\}/g, (_, name) => formatted(values[name]));
}

/** The text for an error of the service, by its code; without one, the service's own sentence, which is in English. */
export const errorText = (code, sentence) => errors[code] ?? sentence;

/** The language's word for a label of a model pack; the label itself if it has none. */
export const labelText = (label) => (Object.hasOwn(texts, label) ? texts[label] : label);

/** A number with this many decimals. */
export const decimal = (number, digits) => number.toLocaleString(lang, { minimumFractionDigits: digits, maximumFractionDigits: digits });

export const percent = (fraction) => percents.format(fraction);

export function duration(seconds) {
  if (seconds < 90) return text("seconds", { count: Math.ceil(seconds) });
  if (seconds < 5400) return text("minutes", { count: Math.ceil(seconds / 60) });
  return text("hours", { count: decimal(seconds / 3600, 1) });
}

const formFor = (forms, count) => (count === 0 && forms.zero) || forms[plurals.select(count)] || forms.other;

const formatted = (value) => (typeof value === "number" ? integers.format(value) : value);
