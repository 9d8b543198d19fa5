// From numbers to places on a chart, and the numbers that stand on its axes.

/** About ``wanted`` round numbers within [low, high]. */
export function ticks(low, high, wanted) {
  const rough = (high - low) / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = power * ([1, 2, 2.5, 5, 10].find((factor) => factor * power >= rough) ?? 10);
  const first = Math.ceil(low / step - 1e-9);
  const last = Math.floor(high / step + 1e-9);
  return Array.from({ length: Math.max(0, last - first + 1) }, (_, index) => Number(((first + index) * step).toPrecision(12)));
}

const UNITS = [[2 * 86400, 86400, "d"], [2 * 3600, 3600, "h"], [120, 60, "min"], [0, 1, "s"]]; // from how many seconds on

/** The same for a time in seconds, in whole units of it; each with its text. */
export function timeTicks(low, high, wanted) {
  const [, unit, name] = UNITS.find(([from]) => high >= from);
  return ticks(low / unit, high / unit, wanted).map((value) => [value * unit, `${value} ${name}`]);
}

/** A linear scale from [low, high] to [from, to]. */
export function linear(low, high, from, to) {
  const factor = (to - from) / (high - low || 1);
  return { low, high, place: (value) => from + (value - low) * factor, ticks: (wanted) => ticks(low, high, wanted) };
}

const ticksOfDecades = (first, last, low, high) =>
  Array.from({ length: last - first + 1 }, (_, index) => [1, 2, 5].map((factor) => factor * 10 ** (first + index))).flat().filter((value) => value >= low && value <= high);

/** A logarithmic scale of positive numbers. */
export function logarithmic(low, high, from, to) {
  const inner = linear(Math.log10(low), Math.log10(high), from, to);
  const powers = () => {
    const [first, last] = [Math.ceil(inner.low - 1e-9), Math.floor(inner.high + 1e-9)];
    const step = Math.max(1, Math.ceil((last - first) / 5));
    if (last - first < 2) return ticksOfDecades(first - 1, last, low, high);
    return Array.from({ length: Math.floor((last - first) / step) + 1 }, (_, index) => 10 ** (first + index * step));
  };
  return { low, high, place: (value) => inner.place(Math.log10(Math.max(value, low))), ticks: powers };
}

/** The scale of a chart's upward axis for these values, by the kind of the quantity. */
export function upward(values, kind, from, to) {
  const positive = values.filter((value) => value > 0);
  if (kind === "log" && positive.length) {
    const [low, high] = extent(positive);
    if (high / low > 20) return logarithmic(10 ** (Math.log10(low) - 0.05), 10 ** (Math.log10(high) + 0.05), from, to);
  }
  if (kind === "share") return linear(0, 1, from, to);
  let [low, high] = extent(values);
  if (kind === "unit") [low, high] = [Math.max(-1, Math.min(low, 0)), 1];
  else {
    const margin = (high - low) * 0.05 || Math.abs(high) * 0.1 || 1;
    [low, high] = [low - margin, high + margin];
    if (kind === "zero") low = 0;
  }
  return linear(low, high, from, to);
}

/** The smallest and the largest of some numbers, of which there may be many. */
export function extent(values) {
  let [low, high] = [Infinity, -Infinity];
  for (const value of values) {
    if (value < low) low = value;
    if (value > high) high = value;
  }
  return [low, high];
}

/** An exponential moving average that starts at the first value (weight 0: the values themselves). */
export function smooth(values, weight) {
  if (!weight) return values;
  let [sum, total] = [0, 0];
  return values.map((value) => {
    sum = weight * sum + (1 - weight) * value;
    total = weight * total + (1 - weight);
    return sum / total;
  });
}

/** The place of the number in a sorted list that is nearest to ``value``. */
export function nearest(sorted, value) {
  let [low, high] = [0, sorted.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle] < value) low = middle + 1;
    else high = middle;
  }
  return low > 0 && value - sorted[low - 1] < sorted[low] - value ? low - 1 : low;
}
