"""Tests of run_case: each case below must end with the exit code beside it."""

import os
import subprocess
import sys
import tempfile
import unittest

HERE = os.path.dirname(os.path.abspath(__file__))


def run(text):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "x.cli")
        with open(path, "w", encoding="utf-8") as stream:
            stream.write(text)
        runner = [sys.executable, f"{HERE}/run_case", "--source", f"{HERE}/../..", "--bin", "/bin"]
        return subprocess.run([*runner, path], capture_output=True, text=True)


class RunCase(unittest.TestCase):
    def expect(self, code, text):
        done = run("# a case\n" + text)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stdout

    def test_same_output_passes(self):
        self.expect(0, "$ printf 'a\\n\\nb\\n'\nstdout:\n    a\n\n    b\n")
        self.expect(0, "$ echo x >&2; exit 3\nexit: 3\nstderr:\n    x\n\n$ true\n")

    def test_other_output_fails(self):
        self.assertIn("stdout differs", self.expect(1, "$ echo a\nstdout:\n    b\n"))
        self.assertIn("stderr differs", self.expect(1, "$ echo a >&2\nstderr:\n    b\n"))

    def test_unexpected_output_fails(self):
        self.expect(1, "$ echo a\n")
        self.expect(1, "$ echo a >&2\n")

    def test_missing_output_fails(self):
        self.expect(1, "$ true\nstdout:\n    a\n")
        self.expect(1, "$ echo a\nstdout:\n    a\n    b\n")

    def test_exit_code_counts(self):
        self.assertIn("exit code 1, expected 0", self.expect(1, "$ false\n"))
        self.expect(1, "$ true\nexit: 2\n")
        self.expect(1, "$ false | true\n")

    def test_a_later_command_counts(self):
        self.expect(1, "$ true\n$ false\n$ true\n")

    def test_dots_stand_for_any_lines(self):
        self.expect(0, "$ seq 9\nstdout:\n    1\n    ...\n    9\n")
        self.expect(0, "$ echo 1\nstdout:\n    ...\n    1\n    ...\n")
        self.expect(1, "$ seq 9\nstdout:\n    1\n    ...\n    8\n")
        self.expect(1, "$ seq 9\nstdout:\n    2\n    ...\n")
        self.expect(1, "$ true\nstdout:\n    ...\n    1\n")

    def test_dots_stand_for_any_text(self):
        self.expect(0, "$ echo took 12 us\nstdout:\n    took ... us\n")
        self.expect(1, "$ echo took 12 ms\nstdout:\n    took ... us\n")
        self.expect(1, "$ echo a.c\nstdout:\n    abc\n")
        self.expect(1, "$ echo abc\nstdout:\n    a.c\n")

    def test_files_are_written(self):
        self.expect(0, "file: d/in.txt\n    one\n      two\n\n    three\n\n"
                       "$ cat d/in.txt\nstdout:\n    one\n      two\n\n    three\n")

    def test_source_is_the_repository(self):
        self.expect(0, "$ ls ${SOURCE}/validation/cli/run_case\n"
                       "stdout:\n    ${SOURCE}/validation/cli/run_case\n")

    def test_what_is_lacking_skips(self):
        self.assertIn("skipped: no no-such-program",
                      self.expect(77, "needs: no-such-program\n$ false\n"))

    def test_a_wrong_file_is_an_error(self):
        self.expect(2, "")
        self.expect(2, "stdout:\n    a\n$ true\n")
        self.expect(2, "    a\n$ true\n")
        self.expect(2, "$ true\nexit: two\n")
        self.expect(2, "$ true\nstdin:\n    a\n")
        self.assertEqual(run("$ true\n").returncode, 2)


if __name__ == "__main__":
    unittest.main()
