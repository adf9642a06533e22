import { fileURLToPath } from "node:url"
import { configDefaults, defineConfig } from "vitest/config"

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url))

export default defineConfig({
  // Examples import the package by its name: here that is the source, built or not.
  resolve: {
    alias: [
      { find: /^synapse-p2p$/, replacement: source("src/index.ts") },
      { find: /^synapse-p2p\/(node|testing)$/, replacement: source("src/$1/index.ts") }
    ]
  },
  test: {
    include: ["test/**/*.test.ts", "examples/**/*.test.ts"],
    // Needs root, and has a runner of its own.
    exclude: [...configDefaults.exclude, "test/hosts/**"],
    silent: "passed-only",
    // Left to itself vitest leaves one processor idle, which of two is half of them.
    maxWorkers: "100%",
    // All that is said is searched for secrets.
    globalSetup: ["test/utils/secrets/summary.ts"],
    setupFiles: ["test/utils/secrets/setup.ts"],
    testTimeout: 20_000,
    hookTimeout: 20_000,
    coverage: {
      provider: "v8",
      include: ["src/**/*.ts"],
      reporter: ["text-summary", "json-summary"],
      thresholds: { lines: 90, branches: 85 }
    }
  }
})
