// The reference server of oRPC, answering `workspaces.list` with what it reads from standard input: node server.mjs
import { createServer } from 'node:http'
import { text } from 'node:stream/consumers'
import { os } from '@orpc/server'
import { RPCHandler } from '@orpc/server/node'

const workspaces = JSON.parse(await text(process.stdin))
const handler = new RPCHandler({ workspaces: { list: os.handler(() => workspaces) } })
const server = createServer((request, response) => handler.handle(request, response, { prefix: '/rpc', context: {} }))
server.keepAliveTimeout = 60_000
server.listen(0, '127.0.0.1', () => console.log(`127.0.0.1:${server.address().port}`))
