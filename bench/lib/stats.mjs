const ascending = (a, b) => a - b

/** The value below which that part of them lies; NaN of none. */
export const quantile = (values, part) => {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort(ascending)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(part * sorted.length) - 1))]
}

export const median = (values) => {
  if (values.length === 0) return Number.NaN
  const sorted = Float64Array.from(values).sort(ascending)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** From the least to the greatest, as a part of the median. */
export const spread = (values) => (Math.max(...values) - Math.min(...values)) / median(values)

/** Three significant digits of what was measured, all of a whole number; thousands apart. */
export const shown = (value) => {
  if (!Number.isFinite(value)) return "–"
  const size = Math.abs(value)
  if (size >= 100 || Number.isInteger(value))
    return Math.round(value)
      .toString()
      .replaceAll(/\B(?=(\d{3})+$)/g, " ")
  if (size >= 10) return value.toFixed(1)
  return size >= 1 ? value.toFixed(2) : value.toFixed(3)
}
