/**
 * Tables in the messages of failed expectations.
 *
 * @internal
 */

/** Rows that a message shows; the rest is counted. */
const maxRows = 40

/** Columns aligned, the first row as their heads. */
export const table = (rows: ReadonlyArray<ReadonlyArray<string>>): string => {
  const shown = rows.slice(0, maxRows + 1)
  const [head = []] = rows
  const widths = head.map((_, column) => Math.max(...shown.map((row) => (row[column] ?? "").length)))
  const lines = shown.map((row) =>
    row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join("  ")
      .trimEnd()
  )
  return [...lines, ...(rows.length > shown.length ? [`… and ${rows.length - shown.length} more`] : [])].join("\n")
}
