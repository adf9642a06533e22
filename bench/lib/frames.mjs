/** The frames of the wire format, as what is only a socket sends and takes them. */
import { once } from "./loops.mjs"

const sliceBytes = 65_536

/** Takes frames out of chunks cut anywhere. */
export const frames = (onBody) => {
  let held
  return (chunk) => {
    let bytes = held === undefined ? chunk : Buffer.concat([held, chunk])
    let offset = 0
    while (bytes.length - offset >= 4) {
      const end = offset + 4 + bytes.readUInt32BE(offset)
      if (end > bytes.length) break
      onBody(bytes, offset + 4, end)
      offset = end
    }
    held = offset === bytes.length ? undefined : bytes.subarray(offset)
  }
}

/** Joins the frames of one turn of the event loop in one write. */
export const writer = (socket) => {
  let pending = []
  let bytes = 0
  let scheduled = false
  let drained
  const flush = () => {
    scheduled = false
    if (bytes === 0) return true
    const chunk = Buffer.allocUnsafe(bytes)
    let offset = 0
    for (const message of pending) {
      if (typeof message === "string") {
        const length = chunk.write(message, offset + 4)
        chunk.writeUInt32BE(length, offset)
        offset += 4 + length
      } else offset += message.copy(chunk, offset)
    }
    pending = []
    bytes = 0
    return socket.write(chunk)
  }
  /** Takes JSON or a whole frame; gives a promise where the caller has to wait for room. */
  return (message) => {
    pending.push(message)
    bytes += typeof message === "string" ? 4 + Buffer.byteLength(message) : message.length
    if (bytes >= sliceBytes) {
      if (flush()) return undefined
      drained ??= once(socket, "drain").then(() => {
        drained = undefined
      })
      return drained
    }
    if (!scheduled) {
      scheduled = true
      queueMicrotask(flush)
    }
    return undefined
  }
}

/** The frame of a JSON text. */
export const frameOf = (json) => {
  const frame = Buffer.allocUnsafe(4 + Buffer.byteLength(json))
  frame.writeUInt32BE(frame.length - 4)
  frame.write(json, 4)
  return frame
}
