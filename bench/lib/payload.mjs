/** A payload whose JSON is that many bytes: `{"text":"…"}`. */
export const payloadOf = (bytes) => ({ text: "x".repeat(bytes - 11) })

const last = { text: "last" }

/** Whether that was the last message of a stream: the receiver has all of them then. */
export const isLast = (payload) => payload.text === last.text

/** A stream of that one message. */
export const lastOne = () => {
  let given = false
  return () => {
    if (given) return undefined
    given = true
    return last
  }
}

/**
 * Messages for that many seconds, and one that says it was the last. The clock is looked at seldom, since that, too,
 * takes time.
 */
export const streamFor = (seconds, bytes, every = 32) => {
  const { text } = payloadOf(bytes)
  const end = performance.now() + seconds * 1000
  const counter = { sent: 0, next: undefined }
  let done = false
  counter.next = () => {
    if (done) return undefined
    counter.sent++
    if (counter.sent % every === 0 && performance.now() >= end) {
      done = true
      return last
    }
    return { text }
  }
  return counter
}

/** Payloads for that many seconds. */
export const requestsFor = (seconds, bytes, every = 1) => {
  const { text } = payloadOf(bytes)
  const end = performance.now() + seconds * 1000
  let made = 0
  return () => (made++ % every === 0 && performance.now() >= end ? undefined : { text })
}

/** Counts what arrives; `all()` resolves with the count and the time when the last message of each of the senders is there. */
export const receiving = (senders = 1) => {
  let received = 0
  let lasts = 0
  let at = 0
  let tell
  const check = () => {
    if (lasts < senders || tell === undefined) return
    tell({ received, at })
    tell = undefined
    received = 0
    lasts = 0
  }
  return {
    onMessage: (payload) => {
      received++
      if (!isLast(payload)) return
      lasts++
      at = now()
      check()
    },
    all: () =>
      new Promise((resolve) => {
        tell = resolve
        check()
      })
  }
}

/** Milliseconds on the clock that all processes of the machine share. */
export const now = () => Number(process.hrtime.bigint()) / 1e6
