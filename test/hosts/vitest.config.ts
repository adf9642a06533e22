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
    testTimeout: 120_000,
    hookTimeout: 120_000
  }
})
