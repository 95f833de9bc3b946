#!/usr/bin/env python3
"""Records what real programs print, as asciicast v2: `record.py [NAME...]`, in this folder.

Needs vim, htop, tmux, less, mc and vttest; not needed for the tests, which play what is here.
"""
import fcntl, json, os, pty, re, select, signal, socket, struct, subprocess, sys, termios, time

SHORT, LONG = 0.15, 0.6
# What a terminal answers to who asks it for its kind, its place and its colours.
ANSWERS = [
    (rb"\x1b\[0?c", b"\x1b[?62;22c"),
    (rb"\x1b\[>0?c", b"\x1b[>0;276;0c"),
    (rb"\x1b\[5n", b"\x1b[0n"),
    (rb"\x1b\[6n", b"\x1b[1;1R"),
    (rb"\x1b\]10;\?", b"\x1b]10;rgb:cccc/cccc/cccc\x1b\\"),
    (rb"\x1b\]11;\?", b"\x1b]11;rgb:0000/0000/0000\x1b\\"),
]


def keys(text, pause=SHORT):
    return [(key, pause) for key in text]


def resize(cols, rows):
    return ((cols, rows), LONG)


NARROW, WIDE = resize(40, 20), resize(100, 30)
# As long as it was: what follows it on the screen stays where it is.
HOST = socket.gethostname()
HERE = os.path.dirname(os.path.abspath(__file__))
SOURCE = "/usr/share/vim/vim90/syntax/vim.vim"
RECORDINGS = {
    "vim": (["vim", "-u", "NONE", "-N", "+syntax on", "+set nu hls ruler tgc mouse=a", SOURCE], [
        ("", LONG), *keys(["\x06", "\x06", "/syn\r", "n", "n", ":split\r", "\x06", ":vsplit\r", "G"]),
        NARROW, *keys(["\x02", ":only\r"]), WIDE, *keys(["V", "j", "j", "d", "i中文 e\u0301\x1b", "u", ":q!\r"])]),
    "htop": (["sh", "-c", "for n in 1 2 3 4 5 6; do sleep 10$n & done; exec htop -d 3 --readonly -p $(jobs -p | tr '\\n' ',')$$"], [("", 1.0), *keys(["\x1b[B", "\x1b[B", "t"], LONG), NARROW, *keys(["/", "s", "\x1b"]), WIDE, ("", LONG), ("q", SHORT)]),
    "tmux": (["tmux", "-L", "recording", "-f", "/dev/null", "new", "-A", "-s", "r", "bash --norc", ";", "set", "status-right", ""], [
        ("", LONG), ("ls --color /usr/share/vim/vim90\r", LONG), *keys(["\x02%", "\x02\""], LONG), ("seq 300\r", LONG), NARROW, ("\x02o", SHORT),
        ("clear; head -n 60 /etc/services\r", LONG), WIDE, *keys(["\x02[", "\x1b[5~", "\x1b[5~", "q"]), ("\x02&y", LONG), ("", LONG)]),
    "less": (["less", "-R", SOURCE], [
        ("", SHORT), *keys([" ", " ", "/match\r", "n", "G", "b"]), NARROW, *keys(["b", "10j"]), WIDE, *keys(["g", "-S\r", "\x1b[C", "q"])]),
    "mc": (["mc", "--nosubshell", "/usr/share/vim/vim90", "/usr/share/vim"], [
        ("", 1.0), *keys(["\x1b[B"] * 4), ("\x1bOR", LONG), *keys([" ", "\x1b[21~"]), ("\x1b[20~", LONG), ("\x1b\x1b", LONG),
        NARROW, WIDE, ("\x1b[21~", LONG), ("\r", LONG)]),
    "bash": (["bash", "--norc"], [
        ("", SHORT), ("PS1='\\[\\e[1;32m\\]you\\[\\e[m\\]:\\w\\$ '\r", SHORT), ("ls -l --color=always /usr/share/vim/vim90/lang\r", LONG),
        ("seq -s ' ' 400\r", SHORT), ("a long line that is typed and goes on over the end of the row, and then some more of it",
        SHORT), ("\x01\x1b[C\x1b[Cx", SHORT), ("\x03", SHORT), ("seq 200\r", SHORT), NARROW, ("echo narrow; seq -s , 100\r", SHORT), WIDE,
        ("ls --color=always /usr/share/vim/vim90/syntax\r", LONG), ("exit\r", SHORT)]),
    "colours": ([sys.executable, os.path.join(HERE, "colours.py")], [("", LONG), NARROW, ("\r", LONG), WIDE, ("\r", LONG)]),
    "vttest-cursor": (["vttest", "24x80.132"], [("", LONG), ("1\r", LONG), *keys(["\r"] * 6, LONG), ("0\r", SHORT)]),
    "vttest-screen": (["vttest", "24x80.132"], [("", LONG), ("2\r", LONG), *keys(["\r"] * 16, LONG), ("0\r", SHORT)]),
    "vttest-charsets": (["vttest", "24x80.132"], [("", LONG), ("3\r", LONG), ("8\r", LONG), *keys(["\r"] * 3, LONG), ("0\r0\r", SHORT)]),
    "vttest-insert": (["vttest", "24x80.132"], [("", LONG), ("8\r", LONG), *keys(["\r"] * 16, LONG), ("0\r", SHORT)]),
}


def record(name, command, script):
    size = (80, 24) if name.startswith("vttest") else (100, 30)
    # One that was left would be attached to.
    subprocess.run(["tmux", "-L", "recording", "kill-server"], stderr=subprocess.DEVNULL)
    pid, fd = pty.fork()
    if pid == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", LANG="C.UTF-8", LC_ALL="C.UTF-8", HOME="/tmp", SHELL="/bin/bash", PS1="$ ")
        os.environ.pop("TMUX", None)
        os.chdir("/tmp")
        time.sleep(0.1)
        os.execvp(command[0], command)
    change(fd, pid, *size)
    events, began = [], time.time()
    for what, pause in [*script, ("", LONG)]:
        if isinstance(what, tuple):
            events.append([time.time() - began, "r", b"%dx%d" % what])
            change(fd, pid, *what)
        else:
            try:
                os.write(fd, what.encode())
            except OSError:
                break
        if not listen(fd, pause, lambda data: events.append([time.time() - began, "o", data])):
            break
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        pass
    os.waitpid(pid, 0)
    write(name, size, events)


def change(fd, pid, cols, rows):
    fcntl.ioctl(fd, termios.TIOCSWINSZ, struct.pack("HHHH", rows, cols, 0, 0))


def listen(fd, pause, heard):
    """Takes what comes until nothing has come for so long, or it has gone on for long enough; whether more may come."""
    until = time.time() + 3 * pause
    while time.time() < until and select.select([fd], [], [], pause)[0]:
        try:
            data = os.read(fd, 65536)
        except OSError:
            return False
        if not data:
            return False
        heard(data)
        for question, answer in ANSWERS:
            for _ in re.findall(question, data):
                os.write(fd, answer)
    return True


def write(name, size, events):
    # A character that was cut in two is put together.
    merged = []
    for at, kind, data in events:
        if kind == "o" and merged and merged[-1][1] == "o" and not whole(merged[-1][2]):
            merged[-1][2] += data
        else:
            merged.append([at, kind, data])
    with open(os.path.join(HERE, name + ".cast"), "w", encoding="utf-8") as file:
        print(json.dumps({"version": 2, "width": size[0], "height": size[1], "env": {"TERM": "xterm-256color"}, "title": name}), file=file)
        for at, kind, data in merged:
            text = data.decode("utf-8", "replace").replace("@" + HOST, "@" + "x" * len(HOST))
            print(json.dumps([round(at, 3), kind, text], ensure_ascii=False), file=file)
    print(name, sum(len(data) for _, kind, data in merged if kind == "o"), "bytes")


def whole(data):
    try:
        data.decode()
        return True
    except UnicodeDecodeError as error:
        return error.end < len(data) - 3


for name in sys.argv[1:] or RECORDINGS:
    record(name, *RECORDINGS[name])
