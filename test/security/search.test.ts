/** The search of all that is said for secrets (`test/utils/secrets`): that it finds what it must, and that a run then fails. */
import { assert, describe, it } from "@effect/vitest"
import { spawn } from "node:child_process"
import * as crypto from "node:crypto"
import { once } from "node:events"
import { fileURLToPath } from "node:url"
import { inspect } from "node:util"
import { formsOf, leaks } from "../utils/secrets/search.js"

const local = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

const isFound = (line: string, secret: string): boolean => leaks(["before", line, "after"], [secret]).length > 0

describe("The search for secrets", () => {
  it("finds a network key in every form that it may have got into, among other things", () => {
    const key = 'n3twork "key" \\ of 32 bytes or more?>~'
    const bytes = Buffer.from(key)
    const within = (before: number) => Buffer.concat([Buffer.alloc(before, 7), bytes, Buffer.alloc(5, 9)])
    const lines = [
      `the key is ${key}!`,
      JSON.stringify({ key }),
      new URLSearchParams({ key }).toString().replaceAll("+", "%20").replace("%7E", "~"),
      inspect(bytes),
      inspect([...bytes], { breakLength: Infinity }),
      JSON.stringify([...bytes]),
      ...[0, 1, 2, 3].flatMap((before) => [
        within(before).toString("hex"),
        within(before).toString("hex").toUpperCase(),
        within(before).toString("base64"),
        within(before).toString("base64url")
      ])
    ]
    for (const line of lines) assert.isTrue(isFound(line, key), line)
    for (const line of lines) assert.isFalse(isFound(line, `${key} `.repeat(2)), line)
  })

  it("finds a private key by its text, and by its private part; never by what is public", () => {
    for (const pair of [
      crypto.generateKeyPairSync("ed25519"),
      crypto.generateKeyPairSync("ec", { namedCurve: "P-256" })
    ]) {
      const pem = pair.privateKey.export({ type: "pkcs8", format: "pem" }).toString()
      const der = pair.privateKey.export({ type: "pkcs8", format: "der" })
      const d = Buffer.from(pair.privateKey.export({ format: "jwk" }).d ?? "", "base64url")
      const said = [
        pem,
        pem.replaceAll("\n", "\\n"),
        ...[der, d].flatMap((bytes) => (["hex", "base64", "base64url"] as const).map((form) => bytes.toString(form)))
      ]
      for (const line of [...said, inspect(d)]) assert.isTrue(isFound(line, pem), line)
      const shown = pair.publicKey.export({ type: "spki", format: "der" })
      for (const form of ["hex", "base64", "base64url"] as const) assert.isFalse(isFound(shown.toString(form), pem))
    }
  })

  it("looks for whole secrets, and for none that is too short to tell", () => {
    assert.deepStrictEqual(formsOf("short"), [])
    assert.deepStrictEqual(leaks(["a network", "of nodes"], ["a network key of 32 bytes"]), [])
  })

  it("makes a run fail in which a secret is said anywhere, and names each", { timeout: 60_000 }, async () => {
    const program = `
      import { startVitest } from "vitest/node"
      const vitest = await startVitest("test", [], {
        config: false, watch: false, reporters: ["default"], include: ["test/utils/secrets/leaking.ts"],
        setupFiles: ["test/utils/secrets/setup.ts"], globalSetup: ["test/utils/secrets/summary.ts"]
      })
      await vitest.close()`
    const run = spawn(process.execPath, ["--input-type=module", "-e", program], {
      cwd: local("../.."),
      // It keeps books of its own.
      env: { ...process.env, TEST_SECRETS: "", NO_COLOR: "1", FORCE_COLOR: undefined }
    })
    let said = ""
    for (const output of [run.stdout, run.stderr]) output.on("data", (chunk) => (said += String(chunk)))
    const [code] = (await once(run, "close")) as [number]
    assert.strictEqual(code, 1, said)
    assert.match(said, /9 passed/, `no test fails by itself: ${said}`)
    const found = said.split("secrets were said:")[1]?.split("\n") ?? []
    for (const form of [
      Buffer.from("s3cret-of-console").toString("hex"),
      Buffer.from("3cret-of-output").toString("base64"),
      ...["log", "annotation", "failure", "status", "hmac"].map((way) => `s3cret-of-${way}`)
    ]) {
      assert.isTrue(
        found.some((line) => line.includes(form)),
        `${form} in ${said}`
      )
    }
    assert.isTrue(
      found.some((line) => line.startsWith("MC4CAQAwBQYDK2VwBCIEI")),
      "the key of a program"
    )
    assert.isTrue(
      found.some((line) => /^[0-9a-f]{64}$/.test(line)),
      "the private part of a key"
    )
    assert.notInclude(said, "s3cret-of-nothing")
  })
})
