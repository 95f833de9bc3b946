import { WebSocket } from 'ws'

// Node has one of its own from 22 on.
globalThis.WebSocket ??= WebSocket as unknown as typeof globalThis.WebSocket
