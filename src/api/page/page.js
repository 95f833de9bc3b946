// The page that an agent serves by itself: it logs in by a pairing code and shows what there is.
const KEY = 'perry.token'
const find = (id) => document.getElementById(id)

class Refused extends Error {
  constructor({ code, message }) {
    super(message)
    this.code = code
  }
}

async function call(path, input) {
  const token = localStorage.getItem(KEY)
  const headers = { 'content-type': 'application/json', ...(token && { authorization: `Bearer ${token}` }) }
  const answer = await fetch(`/rpc/${path}`, { method: 'POST', headers, body: JSON.stringify({ json: input }) })
  const { json } = await answer.json()
  if (!answer.ok) throw new Refused(json)
  return json
}

function say(text) {
  find('message').textContent = text
  find('message').hidden = text === ''
}

function show({ login = false, list = false }) {
  find('login').hidden = !login
  find('list').hidden = !list
  find('logout').hidden = localStorage.getItem(KEY) === null
}

function row({ name, status, ports, image }) {
  const cells = [name, status, Object.entries(ports).map(([port, host]) => `${port} ${host}`).join(', '), image]
  const line = document.createElement('tr')
  // Text, never HTML: a name is somebody's input.
  line.append(...cells.map((text) => Object.assign(document.createElement('td'), { textContent: text })))
  return line
}

async function claim(code) {
  const { token } = await call('pair/claim', { code })
  localStorage.setItem(KEY, token)
}

function logout(reason) {
  localStorage.removeItem(KEY)
  find('agent').textContent = ''
  show({ login: true })
  say(reason)
}

async function load() {
  if (localStorage.getItem(KEY) === null) return logout('')
  const [agent, workspaces] = await Promise.all([call('agent/info'), call('workspaces/list')])
  find('agent').textContent = `${agent.hostname}, version ${agent.version}`
  find('list').tBodies[0].replaceChildren(...workspaces.map(row))
  show({ list: workspaces.length > 0 })
  say(workspaces.length > 0 ? '' : 'There are no workspaces yet: perry apply -f FILE makes one.')
}

async function attempt(work) {
  try {
    await work()
  } catch (error) {
    if (error instanceof Refused && error.code === 'UNAUTHORIZED') return logout('You are logged out: the token was revoked or has expired.')
    show({ login: localStorage.getItem(KEY) === null })
    say(error instanceof Refused ? error.message : 'The agent does not answer. This page tries again when you come back to it.')
  }
}

find('login').addEventListener('submit', (event) => {
  event.preventDefault()
  attempt(async () => {
    await claim(find('code').value)
    find('login').reset()
    await load()
  })
})
find('logout').addEventListener('click', () => logout('You are logged out. The token stays good until it is revoked: perry token list.'))
document.addEventListener('visibilitychange', () => document.visibilityState === 'visible' && attempt(load))

async function begin() {
  const code = new URLSearchParams(location.hash.slice(1)).get('pair')
  if (code !== null) {
    // It works once; nobody is to find it in the history.
    history.replaceState(null, '', '/')
    // Whoever is logged in keeps the token that there is.
    if (localStorage.getItem(KEY) === null) await claim(code)
  }
  await load()
}
addEventListener('hashchange', () => attempt(begin))
attempt(begin)
