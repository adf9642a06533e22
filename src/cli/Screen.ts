/**
 * A terminal with lines that stay at its bottom while others scroll by above them.
 *
 * @since 0.1.0
 */

/**
 * @since 0.1.0
 * @category models
 */
export interface Screen {
  /** Puts these lines at the bottom, in place of those that were there. Each must fit the width of the terminal. */
  readonly show: (lines: ReadonlyArray<string>) => void
  /** Lets `print` write whole lines above those at the bottom. */
  readonly above: (print: () => void) => void
}

const up = (lines: number): string => `\u001B[${lines}A`
const clearBelow = "\u001B[0J"
const draw = (lines: ReadonlyArray<string>): string => lines.map((line) => `${line}\n`).join("")

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (write: (text: string) => void): Screen => {
  let shown: ReadonlyArray<string> = []

  const erase = (): string => (shown.length === 0 ? "" : `\r${up(shown.length)}${clearBelow}`)

  return {
    show: (lines) => {
      write(erase() + draw(lines))
      shown = lines
    },
    above: (print) => {
      if (shown.length === 0) return print()
      write(erase())
      print()
      write(draw(shown))
    }
  }
}
