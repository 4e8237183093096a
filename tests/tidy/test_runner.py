"""test_runner - tests/run.py counts what happened, also when a program breaks.

Method: small shell programs that print cmocka's words and then end well, fail,
crash, hang or say nothing.
"""
import os
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.dirname(HERE))
import run as runner  # noqa: E402

GOOD = """
echo "[==========] Running 3 test(s)."
echo "[ RUN      ] a"; echo "[       OK ] a"
echo "[ RUN      ] b"; echo "skip: no network"; echo "[  SKIPPED ] b"
echo "[ RUN      ] c"; echo "[  ERROR   ] --- 1 != 2"; echo "[  FAILED  ] c"
echo "[==========] 3 test(s) run."
echo "[  PASSED  ] 1 test(s)."
echo "[  SKIPPED ] 1 test(s), listed below:"; echo "[  SKIPPED ] b"
echo "[  FAILED  ] 1 test(s), listed below:"; echo "[  FAILED  ] c"
"""


class Counting(unittest.TestCase):
    def outcome(self, script, seconds=20):
        with tempfile.NamedTemporaryFile("w", suffix=".sh") as f:
            f.write(script)
            f.flush()
            self.addCleanup(setattr, runner, "command", runner.command)
            runner.command = lambda program, mode: ["sh", f.name]
            return runner.run(runner.Program("x", "unit", "x"), "release", {}, seconds)

    def test_each_kind_once_although_cmocka_repeats_them(self):
        out = self.outcome(GOOD + "exit 1")
        self.assertEqual((out.passed, out.failed), (1, 1))
        self.assertEqual(out.skips, [("b", "no network")])

    def test_a_skip_without_the_word_gives_its_last_line_as_the_reason(self):
        for said, reason in (('echo "this processor has none"', "this processor has none"),
                             ("", "it gives no reason")):
            out = self.outcome(f'echo noise; echo "[ RUN      ] a"; {said or ":"}; '
                               'echo "[  SKIPPED ] a"')
            self.assertEqual(out.skips, [("a", reason)])

    def test_two_groups_add_up(self):
        out = self.outcome(GOOD + GOOD)
        self.assertEqual((out.passed, out.failed, len(out.skips)), (2, 2, 2))

    def test_a_crash_after_passing_tests_is_a_failure(self):
        out = self.outcome('echo "[       OK ] a"; kill -SEGV $$')
        self.assertEqual((out.passed, out.failed), (1, 1))
        self.assertIn("SIGSEGV", out.trouble)

    def test_a_leak_reported_at_exit_is_a_failure(self):
        self.assertEqual(self.outcome('echo "[       OK ] a"; exit 23').failed, 1)

    def test_silence_is_a_failure(self):
        out = self.outcome("exit 0")
        self.assertEqual((out.failed, out.trouble), (1, "it ran no test"))

    def test_a_hang_is_ended_with_all_it_started(self):
        out = self.outcome('sleep 300 & echo $!; sleep 300', seconds=1)
        self.assertEqual(out.failed, 1)
        self.assertIn("not done after 1 s", out.trouble)
        child = out.output.split()[0]
        runner.servers.wait_for(f"the end of process {child}", 5, lambda: not self.runs(child))

    @staticmethod
    def runs(pid):
        try:
            with open(f"/proc/{pid}/stat", encoding="ascii") as f:
                return f.read().split()[2] != "Z"
        except OSError:
            return False

    def test_a_missing_program_is_a_failure(self):
        around = type("Around", (), {"variables": lambda self, program: {}})()
        args = type("Args", (), {"timeout": 5, "mode": "release"})()
        program = runner.Program("unit/none", "unit", "tests/unit/none/test_none.c")
        self.assertEqual(runner.attempt(program, around, args).failed, 1)

    def test_a_daemon_that_broke_fails_whoever_started_it(self):
        class Broken(runner.servers.Daemon):
            def __init__(self, said):
                runner.servers.Process.__init__(self, "x", ["sh", "-c", f"echo '{said}' >&2"])

            def ready(self):
                self.wait()

        for said in ("fatal check_failed at=a.c:1", "==7==ERROR: LeakSanitizer: detected"):
            place = runner.servers.Workplace()
            place.start(Broken(said))
            self.assertRaisesRegex(runner.servers.Failure, said, place.close)
        with runner.servers.Workplace() as place:
            place.start(Broken("info all_is_well"))

    def test_e2e_runs_each_client_against_each_deployment(self):
        names = [p.name for p in runner.programs() if p.name.startswith("e2e/test_connect")]
        self.assertEqual(len(names), 6)
        self.assertEqual(len({p.name for p in runner.programs()}), len(runner.programs()))

    def test_an_e2e_test_names_what_it_runs_with(self):
        for said, wanted in (("", ["standalone", "cluster", "2.4.15", "2.6.17", "3.0.2"]),
                             ("Runs with: cluster", ["cluster", "2.4.15", "2.6.17", "3.0.2"]),
                             ("Runs with: standalone 3.0.2", ["standalone", "3.0.2"])):
            with tempfile.NamedTemporaryFile("w", suffix=".py") as f:
                f.write(f'"""a test\n{said}\n"""\n')
                f.flush()
                self.assertEqual(runner.runs_with(f.name), wanted)
        with tempfile.NamedTemporaryFile("w", suffix=".py") as f:
            f.write("Runs with: windows\n")
            f.flush()
            self.assertRaises(SystemExit, runner.runs_with, f.name)
