// What most do for terminals in a browser: node-pty and ws, text frames. The first message is the command line, as JSON.
import pty from '@lydell/node-pty'
import { WebSocketServer } from 'ws'

const server = new WebSocketServer({ port: 0, host: '127.0.0.1' }, () => console.log(server.address().port))
server.on('connection', (socket) => {
  socket._socket.setNoDelay(true)
  socket.once('message', (first) => {
    const [program, ...words] = JSON.parse(first)
    const terminal = pty.spawn(program, words, { cols: 80, rows: 24 })
    terminal.onData((data) => socket.send(data))
    terminal.onExit(() => socket.close())
    socket.on('message', (data) => terminal.write(data.toString()))
    socket.on('close', () => terminal.kill())
  })
})
