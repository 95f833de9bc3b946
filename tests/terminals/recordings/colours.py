"""Prints what terminals can show: colours, attributes, wide and combining characters, links, an image, the clipboard."""
import base64, sys

out = sys.stdout


def page():
    out.write("\x1b]2;colours of all kinds\x07")
    for line in range(6):
        out.write("".join(f"\x1b[48;2;{(x * 5) % 256};{line * 40};{255 - x * 2};38;2;255;{x};0mx" for x in range(100)) + "\x1b[m\n")
    for base in range(0, 256, 32):
        out.write("".join(f"\x1b[38;5;{n}m{n:4}" for n in range(base, base + 16)) + "\x1b[m\n")
        out.write("".join(f"\x1b[48;5;{n}m{n:4}" for n in range(base + 16, base + 32)) + "\x1b[m\n")
    for code in ["1", "2", "3", "4", "7", "8", "9", "21", "4:3", "4:4", "4:5", "4;58:2::255:0:0", "1;3;4;31;42", "97;104"]:
        out.write(f"\x1b[{code}mattribute {code}\x1b[m  ")
    out.write("\n\x1b[44mto the end of the row\x1b[K\x1b[m\n")
    for word in ["中文字符寬度", "日本語テキスト", "한국어", "e\u0301a\u0308o\u0302 n\u0303\u0323", "ไทย", "🙂🚀🌍", "ﬁ ½ ™ ─│┌┐└┘█▓▒░"]:
        out.write((word + " ") * 9 + "\n")
    out.write("\x1b]8;;http://example.com/a\x1b\\a link\x1b]8;;\x1b\\ and \x1b]8;id=two;http://example.com/b\x07one of two parts\x1b]8;;\x07"
              " \x1b]8;id=two;http://example.com/b\x07the other\x1b]8;;\x07\n")
    out.write("\x1b]52;c;" + base64.b64encode(b"what is copied " * 40).decode() + "\x07")
    out.write("\x1bPq\"1;1;60;36#0;2;0;0;0#1;2;100;0;0#2;2;0;100;0")
    for band in range(6):
        out.write("#1" + "~" * 30 + "#2" + "!30" + "~" + "$#0" + "?" * 60 + "-")
    out.write("\x1b\\\n")
    out.write("\x1b(0lqqqqk\n\x1b(Bplain \x1b)0\x0eqqq\x0f\n")
    out.flush()


page()
input()
out.write("\x1b[?1049h\x1b[2J\x1b[5;10H\x1b[31mon the other screen\x1b[?25l\x1b[3 q\x1b[?2004h\x1b[?1002;1006h\x1b[2;15r\x1b7")
page()
input()
out.write("\x1b8\x1b[r\x1b[?1049l\x1b[?25h\x1b[0 q\x1b[?2004l\x1b[?1002;1006lback again\n")
page()
