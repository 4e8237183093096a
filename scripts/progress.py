"""progress - a bar for what takes a while."""
import sys
import time


def bar(what, indent=4):
    """progress(done, of) that draws itself; one line at the end where nobody watches."""
    begun = time.monotonic()

    def progress(done, of):
        share = done / of
        rate = done / max(time.monotonic() - begun, 1e-9)
        line = (f"{' ' * indent}{what:<10} [{'#' * int(share * 30):<30}] {done:>6}/{of}"
                f"  {rate:,.0f}/s")
        if sys.stdout.isatty():
            print("\r" + line, end="\n" if done == of else "", flush=True)
        elif done == of:
            print(line, flush=True)
    return progress
