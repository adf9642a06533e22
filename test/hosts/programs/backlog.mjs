// `listen HOST PORT...`: listens, with room for one that is not accepted yet; to be stopped with SIGSTOP then, so that it
// accepts nobody. `fill HOST PORT...`: connects to each until nobody answers any more, and says "full".
import net from "node:net"

const [task, host, ...ports] = process.argv.slice(2)
const patience = 1_500

const listen = (port) => new Promise((resolve) => net.createServer().listen({ host, port, backlog: 1 }, resolve))

const isAnswered = (port) =>
  new Promise((resolve) => {
    const socket = net.connect({ host, port })
    const timer = setTimeout(() => {
      socket.destroy()
      resolve(false)
    }, patience)
    socket.on("connect", () => {
      clearTimeout(timer)
      resolve(true)
    })
    socket.on("error", () => {})
  })

const fill = async (port) => {
  while (await isAnswered(port));
}

await Promise.all(ports.map((port) => (task === "listen" ? listen(Number(port)) : fill(Number(port)))))
process.stdout.write(task === "listen" ? "listening\n" : "full\n")
process.stdin.resume()
process.stdin.on("end", () => process.exit())
