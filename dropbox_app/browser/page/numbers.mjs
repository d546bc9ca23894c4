// Days and sizes as the plain pages write them.

/** The page's language, with the digits that all pages have. */
const locale = () => `${document.documentElement.lang}-u-nu-latn`;

/** Return a day as a date, with the year unless it is the current one. @param {string} day */
export function dayIn(day) {
  const [year, , date] = day.split("-").map(Number);
  // Together with a day, some languages give a month another form.
  const parts = new Intl.DateTimeFormat(locale(), { day: "numeric", month: "long", timeZone: "UTC" }).formatToParts(Date.parse(day));
  const month = parts.find(({ type }) => type === "month")?.value;
  return `${date}\u00a0${month}${year === new Date().getUTCFullYear() ? "" : ` ${year}`}`;
}

/** Return a number with the page's separators. @param {number} number */
export const numberIn = (number) => new Intl.NumberFormat(locale(), { maximumFractionDigits: 1 }).format(number);

/** Return a number of bytes as file managers show it: 3.4 MB. @param {number} size */
export function sizeIn(size) {
  if (size >= 2 ** 20) return `${numberIn(size / 2 ** 20)} MB`;
  return size >= 1024 ? `${numberIn(size / 1024)} kB` : `${numberIn(size)} bytes`;
}
