"""Names that students choose: shown without harm, told apart, and written on every disk."""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence

LONGEST = 255  # bytes of a file's name on the usual disks
JOINERS = "\u200c\u200d"  # they change no line and no direction, and Persian names and emoji need them
UNSEEN = ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")  # Unicode categories of what acts instead of being seen
RESERVED = re.compile(r"(con|prn|aux|nul|conin\$|conout\$|com[\d¹²³]|lpt[\d¹²³])\s*(\..*)?", re.IGNORECASE)


def visible(text: str) -> str:
    r"""A name or a message for people: what a terminal or a table would act on is written out, such as `\x1b`.

    A byte of a name that is no UTF-8 is read as Latin-1, as old archives and disks write it.
    """

    def seen(sign: str) -> str:
        if "\udc80" <= sign <= "\udcff":  # how Python keeps such a byte
            sign = chr(ord(sign) - 0xDC00)
        if sign in JOINERS or unicodedata.category(sign) not in UNSEEN:
            return sign
        number = ord(sign)
        return f"\\x{number:02x}" if number < 0x100 else f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

    return "".join(map(seen, text))


def same_key(name: str) -> str:
    """Equal for names that some disk takes for one: capitals, composed accents, blanks and dots at the end."""
    folded = unicodedata.normalize("NFC", unicodedata.normalize("NFD", name).casefold())
    return folded.rstrip(" .")


def told_apart(names: Sequence[str], taken: Sequence[str] = ()) -> list[str]:
    """The names, with a number behind each that an earlier one, or one of `taken`, equals on some disk.

    No such number makes a name that somebody else has: "ada", "ada (2)", "ada" become "ada", "ada (2)", "ada (3)".
    """
    wanted, used = set(map(same_key, names)), set(map(same_key, taken))
    found, last = [], Counter()
    for name in names:
        key, new, number = same_key(name), name, max(1, last[same_key(name)])
        while same_key(new) in used or (new != name and same_key(new) in wanted):
            number += 1
            new = f"{name} ({number})"
        used.add(same_key(new))
        last[key] = number
        found.append(new)
    return found


def for_disk(name: str) -> str:
    """A name of one file or folder that every system can write and no shell or terminal acts on."""
    name = re.sub(r'[<>:"|?*\\/]', "_", visible(name).replace("\\", "_")).strip(" ").rstrip(" .")
    if RESERVED.fullmatch(name):  # of Windows' devices, with any ending
        stem, dot, ending = name.partition(".")
        name = f"{stem.rstrip()}_{dot}{ending}"
    return name or "_"


def cut_bytes(name: str, most: int) -> str:
    """The beginning of a name that has at most so many bytes as UTF-8."""
    return name.encode("utf-8", "replace")[:most].decode("utf-8", "ignore")
