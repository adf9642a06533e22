import { fileURLToPath } from "node:url"
import { defineConfig } from "vitest/config"

export default defineConfig({
  root: fileURLToPath(new URL("../..", import.meta.url)),
  test: {
    include: ["test/hosts/*.test.ts"],
    // One thread of one process: when that ends, all that it started does.
    pool: "threads",
    fileParallelism: false,
    reporters: ["verbose"],
    // Far more than they take: a busy machine may be slow.
    testTimeout: 240_000,
    hookTimeout: 240_000
  }
})
