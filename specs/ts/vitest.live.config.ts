import { defineConfig } from 'vitest/config'

export default defineConfig({ test: { include: ['live/**/*.test.ts'], setupFiles: ['test/setup.ts'], testTimeout: 60_000 } })
