"""doc_python - the Python blocks of one page, one after the other, with one set of names.

    doc_python.py DIRECTORY

Waits for DIRECTORY/0.py, runs it, writes its exit status into 0.rc, and waits for 1.py.
"""
import os
import sys
import time
import traceback


def run(path, names):
    with open(path, encoding="utf-8") as f:
        text = f.read()
    try:
        exec(compile(text, "the block", "exec"), names)
        return 0
    except Exception:                       # whatever a page does wrong is shown
        traceback.print_exc()
        return 1


def main():
    names, number = {"__name__": "__main__"}, 0
    while True:
        path = os.path.join(sys.argv[1], f"{number}.py")
        while not os.path.exists(path):
            time.sleep(0.05)
        status = run(path, names)
        sys.stdout.flush()
        with open(path + ".new", "w", encoding="ascii") as f:
            f.write(str(status))
        os.rename(path + ".new", path[:-3] + ".rc")
        number += 1


if __name__ == "__main__":
    main()
