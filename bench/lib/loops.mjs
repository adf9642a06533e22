/** Many requests, for systems whose request is a promise. */
export const requestLoops = (request) => async (next, concurrency, onAnswer) => {
  const loop = async () => {
    for (let payload = next(); payload !== undefined; payload = next()) {
      const begun = performance.now()
      await request(payload)
      onAnswer(performance.now() - begun)
    }
  }
  await Promise.all(Array.from({ length: concurrency }, loop))
}

/** Many messages, for systems whose `send` gives a promise where its caller has to wait for room. */
export const sendLoop = (send) => async (next) => {
  for (let payload = next(); payload !== undefined; payload = next()) {
    const room = send(payload)
    if (room !== undefined) await room
  }
}

/** Resolves when the emitter says so; rejects on its error. */
export const once = (emitter, event) =>
  new Promise((resolve, reject) => {
    emitter.once(event, resolve)
    emitter.once("error", reject)
  })

/** Listens at any free port of loopback, with room for many who dial at once. */
export const listening = (server) =>
  new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, () => resolve(undefined)))

export const portOf = (server) => server.address().port
