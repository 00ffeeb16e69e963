"""Read the table of interposed functions, src/hooks/hooks.def."""
import re

ROW = re.compile(r"^[ \t]*(SL_HOOK\w*)\s*\(", re.MULTILINE)
NAME_FIELD = 2  # SL_HOOK(ret, fail, name, (params), (args))


def strip_comments(text):
    """Blank out C comments; what is left keeps its line."""
    return re.sub(r"/\*.*?\*/|//[^\n]*", lambda m: re.sub(r"[^\n]", " ", m.group()), text, flags=re.DOTALL)


def split_arguments(text, start):
    """The top-level arguments of the macro call whose first argument begins at start."""
    arguments, depth, begin = [], 0, start
    for at in range(start, len(text)):
        if text[at] == "(":
            depth += 1
        elif text[at] == ")" and depth == 0:
            return [*arguments, text[begin:at].strip()]
        elif text[at] == ")":
            depth -= 1
        elif text[at] == "," and depth == 0:
            arguments.append(text[begin:at].strip())
            begin = at + 1
    raise ValueError("a row without its closing parenthesis")


def names(path):
    """The functions of the table, in its order. ValueError where a row cannot be read."""
    text = strip_comments(path.read_text())
    found = []
    for row in ROW.finditer(text):
        arguments = split_arguments(text, row.end())
        if len(arguments) <= NAME_FIELD or not re.fullmatch(r"[A-Za-z_]\w*", arguments[NAME_FIELD]):
            raise ValueError(f"{path}: cannot read the name in: {row.group(1)}({', '.join(arguments)})")
        found.append(arguments[NAME_FIELD])
    if not found:
        raise ValueError(f"{path}: no SL_HOOK row")
    if len(found) != len(set(found)):
        raise ValueError(f"{path}: twice: {sorted({n for n in found if found.count(n) > 1})}")
    return found
