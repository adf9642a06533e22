/** Processes that sides of workloads run in: started, asked, and ended by their ids. */
import { fork } from "node:child_process"
import { fileURLToPath } from "node:url"

const child = fileURLToPath(new URL("child.mjs", import.meta.url))
const live = new Set()

/** Ends what still runs. */
export const endAll = () => {
  for (const started of live) started.kill("SIGKILL")
}

/** Starts a side on the Node at `execPath`, resolves when it is ready, rejects with its last words when it is not. */
export const start = (execPath, workload, side, system, args = {}) =>
  new Promise((resolve, reject) => {
    const started = fork(child, [workload, side, system, JSON.stringify(args)], {
      execPath,
      execArgv: ["--expose-gc", "--no-warnings"],
      serialization: "advanced",
      stdio: ["ignore", "pipe", "pipe", "ipc"],
      env: { ...process.env, NODE_ENV: "production" }
    })
    live.add(started)
    const calls = new Map()
    let made = 0
    let words = ""
    let over
    const hear = (chunk) => {
      words = (words + chunk).slice(-2000)
    }
    started.stdout.on("data", hear)
    started.stderr.on("data", hear)
    /** @type {Promise<void>} */
    const ended = new Promise((done) => {
      started.once("exit", (code, signal) => {
        live.delete(started)
        const said = words
          .trim()
          .split("\n")
          .filter((line) => /\S/.test(line))
        const told = said.find((line) => /error|cannot/i.test(line)) ?? said.at(-1) ?? ""
        over = new Error(`${side} ended by ${signal ?? `code ${code}`}${told === "" ? "" : `: ${told.trim()}`}`)
        reject(over)
        for (const call of calls.values()) call.reject(over)
        calls.clear()
        done()
      })
    })
    const call = (op, given, timeoutMs = 60_000) =>
      new Promise((settle, refuse) => {
        if (over !== undefined) return refuse(over)
        const id = made++
        const timer = setTimeout(() => {
          calls.delete(id)
          refuse(new Error(`${side}: no answer to ${op} within ${timeoutMs / 1000} s`))
        }, timeoutMs)
        calls.set(id, {
          resolve: (value) => {
            clearTimeout(timer)
            settle(value)
          },
          reject: (error) => {
            clearTimeout(timer)
            refuse(error)
          }
        })
        started.send({ call: id, op, args: given })
      })
    started.on("message", (/** @type {any} */ message) => {
      if (message.ready === true) return resolve(remote)
      const waiting = calls.get(message.call)
      calls.delete(message.call)
      if (message.error === undefined) waiting?.resolve(message.value)
      else waiting?.reject(new Error(`${side}: ${message.error}`))
    })
    const remote = {
      call,
      cpu: () => call("cpu"),
      memory: () => call("memory"),
      stop: () => {
        started.kill("SIGKILL")
        return ended
      }
    }
    const slow = setTimeout(() => {
      reject(new Error(`${side} did not start within 180 s`))
      started.kill("SIGKILL")
    }, 180_000)
    started.once("message", () => clearTimeout(slow))
    started.once("exit", () => clearTimeout(slow))
  })
