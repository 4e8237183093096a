"""pytests - run one Python test file and report in cmocka's words.

    python3 tests/support/pytests.py tests/integration/test_start.py [NAME…]

So that tests/run.py reads one format, whatever a test is written in.  The
file holds unittest cases; a skip prints its reason.  Runs on any Python from
3.9 on, with nothing installed.
"""
import importlib.util
import os
import sys
import time
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


class CmockaResult(unittest.TestResult):
    """One line when a test begins, one when it ends, a list of what failed."""

    def __init__(self):
        super().__init__()
        self.passed, self.bad, self.skips = 0, [], []

    @staticmethod
    def name(test):
        """Without the module: Class.method, or "setUpClass (module.Class)"."""
        whole = test.id()
        return whole if " (" in whole.split(".")[0] else whole.split(".", 1)[-1]

    def startTest(self, test):
        super().startTest(test)
        self.since = time.monotonic()
        print(f"[ RUN      ] {self.name(test)}", flush=True)

    def addSuccess(self, test):
        self.passed += 1
        took = time.monotonic() - self.since
        print(f"[       OK ] {self.name(test)} ({took:.2f} s)", flush=True)

    def _failed(self, test, error):
        name = self.name(test)
        print(self._exc_info_to_string(error, test))
        print(f"[  FAILED  ] {name}", flush=True)
        self.bad.append(name)

    def addFailure(self, test, err):
        self._failed(test, err)

    def addError(self, test, err):
        self._failed(test, err)

    def addSubTest(self, test, subtest, err):
        if err is not None:
            self._failed(subtest, err)

    def addSkip(self, test, reason):
        print(f"skip: {reason}")
        print(f"[  SKIPPED ] {self.name(test)}", flush=True)
        self.skips.append(self.name(test))

    def addUnexpectedSuccess(self, test):
        self._failed(test, (AssertionError, AssertionError("passed but was to fail"), None))


def load(path):
    """The file as a module, with its own folder and this one on the import path."""
    sys.path[:0] = [HERE, os.path.dirname(os.path.abspath(path))]
    name = os.path.splitext(os.path.basename(path))[0]
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def main(path, wanted):
    sys.dont_write_bytecode = True
    loader = unittest.TestLoader()
    loader.testNamePatterns = [f"*{w}*" for w in wanted] or None
    result = CmockaResult()
    loader.loadTestsFromModule(load(path)).run(result)
    print(f"[  PASSED  ] {result.passed} test(s).")
    for label, names in (("SKIPPED ", result.skips), ("FAILED  ", result.bad)):
        if names:
            print(f"[  {label}] {len(names)} test(s), listed below:")
    return 1 if result.bad else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
