"""The command line as a shell sees it: exit codes, one-line errors, JSON, pipes, and how fast help answers."""

import json
import os
import re
import resource
import subprocess
import sys

import pytest
from typer.testing import CliRunner

import dynloop
from dynloop.adapters.fingerprint import fingerprint
from dynloop.adapters.registry import checkpoint_files
from dynloop.cli import app, main
from dynloop.errors import CheckpointError, DynloopWarning
from dynloop.orbits.verdict import Regime
from tests.views.made import made, mixed

BLOCK = "synthetic:pre+concat?layers=2&width=16&heads=2&tokens=5"
HENON = "zoo:henon?a=0.2&b=0.3"  # a fixed point that attracts
RUN = [sys.executable, "-m", "dynloop.cli"]


def invoke(*arguments, **options):
    return CliRunner().invoke(app, [str(a) for a in arguments], **options)


def shell(*arguments, **options):
    environment = {k: v for k, v in os.environ.items() if k != "DYNLOOP_DEBUG"} | options.pop("env", {})
    return subprocess.run([*RUN, *arguments], capture_output=True, text=True, check=False, env=environment, **options)


@pytest.fixture
def stub(monkeypatch):
    """Replace the analysis: it hands out (or raises) what it is given, and notes what it was called with."""

    def install(outcome):
        calls = []

        def classify(m, starts=None, **options):
            calls.append((m, starts, options))
            if isinstance(outcome, BaseException):
                raise outcome
            return outcome

        monkeypatch.setattr("dynloop.orbits.regime.classify", classify)
        return calls

    return install


# -- it works ---------------------------------------------------------------------------------------------------------


def test_a_verdict_with_its_numbers():
    done = invoke("classify", HENON)
    assert done.exit_code == 0, done.output
    assert done.stderr == ""
    assert "VANISHING" in done.stdout
    assert re.search(r"^  regime +starts +rate +floor +residual", done.stdout, re.MULTILINE)


def test_options_reach_the_analysis(stub):
    calls = stub(made([Regime.RAY] * 3))
    done = invoke("classify", BLOCK, "--loops", 77, "--starts", 3, "--seed", 5, "--polish", "never",
                  "--dtype", "float32", "--granularity", "sublayer")  # fmt: skip
    assert done.exit_code == 0, done.output
    [(m, starts, options)] = calls
    assert options == {"loops": 77, "polish": "never", "rng": 5, "progress": None}
    assert m.dtype_name == "float32"
    assert m.layer_names[-1] == "block 1 mlp"
    assert starts.shape == (3, 5, 16)
    assert (starts == m.start(5, 3)).all()


def test_json_is_one_strict_document(stub):
    def refuse(name):
        raise AssertionError(name)

    stub(mixed())
    done = invoke("classify", BLOCK, "--json", "--starts", 2)
    document = json.loads(done.stdout, parse_constant=refuse)
    assert done.stderr == ""
    assert document["dynloop"] == dynloop.__version__
    assert document["settings"]["starts"] == 2
    [result] = document["results"]
    assert result["checkpoint"] == BLOCK
    assert result["map"]["layers"] == ["adapter", "block 0", "block 1"]
    assert result["shares"]["CYCLIC"] == pytest.approx(0.75)
    assert result["rate"][0][11] is None


def test_out_keeps_every_record(stub, tmp_path):
    stub(mixed())
    folder = tmp_path / "new" / "results"
    done = invoke("classify", BLOCK, "--out", folder)
    assert done.exit_code == 0, done.output
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    [result] = summary["results"]
    back = dynloop.load(folder / result["file"])
    assert back.summary() == result["summary"] == mixed().summary()
    assert "weights" not in result
    again = invoke("classify", BLOCK, "--out", folder)
    assert again.exit_code == 1
    assert "is not empty" in again.stderr


def test_out_says_which_weights_were_read(stub, tmp_path):
    stub(mixed())
    done = invoke("classify", "demo:hop-plain", "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    [result] = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["results"]
    assert result["weights"] == fingerprint(checkpoint_files("demo:hop-plain"))


def test_ls_names_what_classify_takes():
    done = invoke("ls")
    assert done.exit_code == 0, done.output
    for name in (
        "albert",
        "zoo:henon?a=1.4&b=0.3",
        "NORM: pre, post, huginn, ouro, none",
        "INJECTION: none, add, concat",
    ):
        assert name in done.stdout


def test_version():
    assert invoke("--version").stdout == f"dynloop {dynloop.__version__}\n"


# -- it fails ---------------------------------------------------------------------------------------------------------

FAILURES = [
    (["zoo:henn"], "did you mean henon"),
    (["zoo:henon?c=1"], "it takes a, b"),
    (["zoo:henon?a=x"], "must be a number, such as 1.5; got 'x'"),
    (["zoo:henon?a=1&a=2"], "every parameter once"),
    (["zoo:henon?a"], "every parameter once"),
    (["zoo:henon", "--dtype", "float32"], "leave --dtype"),
    (["zoo:henon", "--prompt", "hello"], "reads no prompt"),
    (["zoo:counter_example"], "no map 'counter_example'"),
    (["synthetic:pre"], "NORM+INJECTION"),
    (["synthetic:pre+glue"], "NORM+INJECTION"),
    (["synthetic:pre+add?layers=1.5"], "must be an integer"),
    (["synthetic:pre+add?causal=perhaps"], "true or false"),
    (["synthetic:pre+add?width=10&heads=3"], "heads must divide width"),
    (["synthetic:pre+add?norm=post"], "no parameter 'norm'"),
    (["no/such/folder"], "no/such/folder"),
    (["model.py"], "never executes files"),
    (["demo:nosuch"], "nosuch"),
    (["zoo:henon", "--prompts", "no.jsonl"], "no such file"),
]


@pytest.mark.parametrize(("arguments", "says"), FAILURES, ids=[" ".join(a) for a, _ in FAILURES])
def test_a_known_failure_is_one_line(arguments, says, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = invoke("classify", *arguments)
    assert done.exit_code == 1, done.output
    assert done.stdout == ""
    assert re.fullmatch(r"dynloop: error: [^\n]+\n", done.stderr), done.stderr
    assert says in done.stderr


USAGE = [
    [],
    ["nosuch"],
    ["classify"],
    ["classify", HENON, "--loops", "0"],
    ["classify", HENON, "--starts", "-1"],
    ["classify", HENON, "--dtype", "int8"],
    ["classify", HENON, "--polish", "maybe"],
    ["classify", HENON, "--granularity", "token"],
    ["classify", HENON, "--prompt", "a", "--prompts", "b.jsonl"],
    ["classify", HENON, "--nosuch"],
    ["classify", HENON, "another"],
]


@pytest.mark.parametrize("arguments", USAGE, ids=" ".join)
def test_wrong_usage_is_2(arguments):
    done = invoke(*arguments)
    assert done.exit_code == 2, done.output
    assert "Traceback" not in done.output


def test_a_bad_prompt_is_named_by_its_line_and_nothing_is_done(tmp_path, stub):
    calls = stub(mixed())
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('"fine"\n{"prompt": 3}\n')
    done = invoke("classify", BLOCK, "--prompts", prompts, "--out", tmp_path / "out")
    assert done.exit_code == 1
    assert "line 2" in done.stderr
    assert calls == []
    assert not (tmp_path / "out").exists()


def test_a_prompt_that_does_not_fit_is_named_by_its_line(tmp_path, stub):
    calls = stub(mixed())
    prompts = tmp_path / "prompts.jsonl"
    prompts.write_text('\n"fine"\n')
    done = invoke("classify", BLOCK, "--prompts", prompts)
    assert done.exit_code == 1
    assert done.stderr.startswith(f"dynloop: error: {prompts}, line 2: ")
    assert calls == []


@pytest.mark.parametrize(
    ("raised", "code", "says"),
    [
        (CheckpointError("two\nlines"), 1, "dynloop: error: two lines\n"),
        (KeyboardInterrupt(), 130, "dynloop: interrupted\n"),
        (OSError(28, "No space left on device", "x.npz"), 1, "dynloop: error: x.npz: no space left on device\n"),
        (MemoryError(), 1, "dynloop: error: not enough memory"),
        (ZeroDivisionError("oops"), 70, "dynloop: defect: ZeroDivisionError: oops"),
    ],
)
def test_whatever_goes_wrong_is_one_line(stub, raised, code, says):
    stub(raised)
    done = invoke("classify", HENON)
    assert done.exit_code == code
    assert done.stderr.startswith(says)
    assert done.stderr.count("\n") == 1


def test_debug_shows_where(stub, monkeypatch):
    monkeypatch.setenv("DYNLOOP_DEBUG", "1")
    stub(CheckpointError("broken"))
    done = invoke("classify", HENON)
    assert isinstance(done.exception, CheckpointError)


def test_a_warning_is_one_line_and_does_not_touch_stdout(monkeypatch):
    import warnings

    def classify(*_, **__):
        warnings.warn("take care", DynloopWarning, stacklevel=1)
        warnings.warn("not for users", DeprecationWarning, stacklevel=1)
        return made([Regime.RAY])

    monkeypatch.setattr("dynloop.orbits.regime.classify", classify)
    done = invoke("classify", HENON, "--json")
    assert done.stderr == "dynloop: warning: take care\n"
    json.loads(done.stdout)


# -- as a process -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_a_process_has_no_traceback_unless_asked():
    done = shell("classify", "model.py")
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    done = shell("classify", "model.py", env={"DYNLOOP_DEBUG": "1"})
    assert done.returncode == 1
    assert "Traceback" in done.stderr
    assert "UnsafeFileError" in done.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ["--help"],
        pytest.param(["ls"], marks=pytest.mark.slow),
        pytest.param(["classify", BLOCK], marks=pytest.mark.slow),
        ["classify", BLOCK, "--json"],
    ],
)
def test_a_reader_that_goes_away(arguments):
    """`dynloop … | true`: whatever the code, nothing is said about the pipe."""
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run([*RUN, *arguments], stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    finally:
        os.close(writing)
    assert done.stderr == ""
    assert done.returncode in (1, 141)


@pytest.mark.slow
def test_no_colour_and_80_columns_without_a_terminal():
    done = shell("classify", BLOCK)
    assert "\x1b" not in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert not any(line.endswith(" ") for line in done.stdout.splitlines())


@pytest.mark.slow
def test_colour_only_where_it_is_wanted():
    terminal = {"FORCE_COLOR": "1", "TERM": "xterm-256color"}
    assert "\x1b[" in shell("classify", BLOCK, env=terminal).stdout
    assert "\x1b[3" not in shell("classify", BLOCK, env=terminal | {"NO_COLOR": "1"}).stdout


def test_help_does_not_import_torch():
    code = (
        "import sys; sys.argv = ['dynloop', '--help']\n"
        "from dynloop.cli import main\n"
        "try: main()\n"
        "except SystemExit as end: assert end.code == 0\n"
        "heavy = {'torch', 'numpy', 'scipy', 'numba', 'transformers'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_help_is_fast():
    """At most 0.3 s of processor time above an empty program, the best of five; a busy machine does not change it."""

    def best(command):
        times = []
        for _ in range(5):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True)
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            times.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
        return min(times)

    assert best([*RUN, "--help"]) - best([sys.executable, "-c", "pass"]) < 0.3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["clasify", "demo"], "No such command 'clasify'"),
        (["classify", HENON, "--nosuch"], "No such option: --nosuch"),
        (["classify", HENON, "--loops", "0"], "--loops"),
        (["classify"], "give CHECKPOINT, --recorded FILE or --resume DIR"),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments, says):
    done = subprocess.run([sys.executable, "-m", "dynloop", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert done.stdout == ""
    [line] = done.stderr.splitlines()
    assert line.startswith("dynloop: error: ")
    assert says in line
    assert "-h` says what can be given" in line


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("clasify", "No such command 'clasify' (did you mean 'classify'?); `dynloop -h` says what can be given"),
        ("study rum", "No such command 'rum' (did you mean 'run'?); `dynloop study -h` says what can be given"),
        (
            "fixed-points zoo:henon --period 0",
            "--period must be at least 1; got '0'; `dynloop fixed-points -h` says what can be given",
        ),
        (
            "classify zoo:henon --loops x",
            "--loops must be a valid integer; got 'x'; `dynloop classify -h` says what can be given",
        ),
        ("classify zoo:henon --loops", "Option '--loops' requires an argument; `dynloop classify -h` says what can"),
        ("basins zoo:henon --extent -1", "--extent must be positive; got -1.0; `dynloop basins -h` says what can be"),
    ],
)
def test_wrong_usage_is_one_sentence_with_the_value_and_the_help(line, says, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["dynloop", *line.split()])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert said.startswith(f"dynloop: error: {says}")
    assert said.count("\n") == 1


@pytest.mark.parametrize("command", ["classify", "basins"])
def test_a_folder_that_cannot_be_made_is_named_with_its_option(command):
    done = invoke(command, HENON, "--out", f"{os.devnull}/x")
    assert done.exit_code == 1
    assert done.stderr == (
        f"dynloop: error: --out: cannot make or read the folder {os.devnull}/x (not a directory); name one that can be "
        "written to\n"
    )
