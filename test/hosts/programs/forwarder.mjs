// Stands between nodes: takes connections at its ports, and passes on what comes, each way, when it is told to.
// Argument: { host, routes: [{ port, to: { host, port }, towards }] }; `towards` names the side that a route leads to, of
// the two that there are. Its orders come in as lines, each answered with "done":
//   { delay, jitter }   how long what comes from now on takes, milliseconds
//   { held: [side] }    towards these sides nothing is passed on any more, and nothing more is read than is on its way
//   { reset: true }     all connections are reset
import net from "node:net"
import { createInterface } from "node:readline"

const { host, routes } = JSON.parse(process.argv[2])
const sides = [...new Set(routes.map(({ towards }) => towards))]

/** Bytes on their way, beyond which no more are read. */
const room = 1024 * 1024

let delay = 0
let jitter = 0
let held = new Set()
const pipes = new Set()
const sockets = new Set()

class Pipe {
  constructor(from, to, towards) {
    Object.assign(this, { from, to, towards, queue: [], bytes: 0, lastAt: 0, timer: undefined, isFull: false })
    from.on("data", (chunk) => this.push(chunk.length, () => this.write(chunk)))
    from.on("end", () => this.push(0, () => to.end()))
    from.on("error", () => this.push(0, () => to.resetAndDestroy()))
    to.on("drain", () => {
      this.isFull = false
      this.go()
    })
    to.on("close", () => pipes.delete(this))
    this.go()
  }

  write(chunk) {
    this.isFull = !this.to.write(chunk)
  }

  push(bytes, act) {
    // Nothing overtakes.
    this.lastAt = Math.max(this.lastAt, performance.now() + delay + jitter * (2 * Math.random() - 1))
    this.queue.push({ at: this.lastAt, bytes, act })
    this.bytes += bytes
    this.go()
  }

  passOn() {
    while (!this.isFull && this.queue.length > 0 && this.queue[0].at <= performance.now()) {
      const { act, bytes } = this.queue.shift()
      this.bytes -= bytes
      act()
    }
  }

  go() {
    clearTimeout(this.timer)
    const isHeld = held.has(this.towards)
    if (!isHeld) this.passOn()
    if (isHeld || this.bytes > room) this.from.pause()
    else this.from.resume()
    if (isHeld || this.isFull || this.queue.length === 0) return
    this.timer = setTimeout(() => this.go(), Math.max(1, this.queue[0].at - performance.now()))
  }
}

const open = (socket) => {
  socket.setNoDelay(true)
  socket.on("error", () => {})
  sockets.add(socket)
  socket.on("close", () => sockets.delete(socket))
  return socket
}

for (const { port, to, towards } of routes) {
  const back = sides.find((side) => side !== towards)
  const server = net.createServer({ allowHalfOpen: true }, (dialer) => {
    const target = open(net.connect({ ...to, allowHalfOpen: true }))
    open(dialer)
    pipes.add(new Pipe(dialer, target, towards)).add(new Pipe(target, dialer, back))
  })
  server.listen(port, host, () => process.stdout.write("listening\n"))
}

const orders = createInterface({ input: process.stdin })
orders.on("line", (line) => {
  const order = JSON.parse(line)
  if (order.delay !== undefined) ({ delay, jitter } = order)
  if (order.held !== undefined) held = new Set(order.held)
  for (const pipe of pipes) pipe.go()
  if (order.reset) for (const socket of sockets) socket.resetAndDestroy()
  process.stdout.write("done\n")
})
orders.on("close", () => process.exit())
