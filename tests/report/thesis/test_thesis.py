"""What a report gives to a thesis: LaTeX that compiles as far as one can see, a paragraph that is true, and what to cite."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from a3c_exp.report.__main__ import main
from a3c_exp.report.aggregate import group_by_configuration
from a3c_exp.report.builder import make_report
from a3c_exp.report.figures.panels import Margins, new_plot
from a3c_exp.report.figures.style import figure_style
from a3c_exp.report.run_reader import read_runs
from a3c_exp.report.sections import Cell, Table, make_row
from a3c_exp.report.thesis.figures import PaperFormats
from a3c_exp.report.thesis.latex import table_latex
from a3c_exp.report.thesis.methods import methods_paragraph
from tests.support.synthetic_runs import write_run

CONFIG = {
    "optimizer": {"_target_": "a3c_exp.optimizers.adam.Adam", "lr": 1e-4},
    "parallelism": {"_target_": "a3c_exp.parallelism.hogwild.hogwild.Hogwild"},
    "model": {"_target_": "a3c_exp.models.recurrent_mlp.RecurrentMLP", "cell": "gru"},
    "max_env_steps": 200_000, "n_step": 5, "gae_lambda": 0.95,
    "evaluation": {"every_env_steps": 10_000, "episodes": 20, "deterministic": True},
}  # fmt: skip


def two_configurations(root: Path) -> Path:
    for workers in (4, 8):
        for seed in range(2):
            write_run(root / f"{workers}_{seed}", workers=workers, seed=seed, episodes=8, config={**CONFIG, "workers": workers})
    return root


@pytest.mark.skipif(None in map(shutil.which, ("pdflatex", "bibtex")), reason="LaTeX is not installed")
@pytest.mark.usefixtures("few_figures")
def test_what_is_made_for_latex_compiles_whatever_the_runs_are_called(tmp_path: Path) -> None:
    notes = (r"a_b & 50 % of $x^2 {#1} \n ~<β>", '"é" \N{EN DASH} … ±≥|')
    for number, note in enumerate(notes):
        write_run(tmp_path / str(number), episodes=8, config={**CONFIG, "note": note}, overrides=[f"note={note}", "seed=0"])
    report = make_report([tmp_path], tmp_path / "page", png=False, thesis=True)
    assert report.notices == () and "50" in (tmp_path / "page" / "figures" / "reward_by_step.pgf").read_text()
    for command in ("pdflatex -draftmode", "bibtex", "pdflatex -draftmode", "pdflatex"):
        options = ["-halt-on-error", "-interaction=nonstopmode"] if "pdflatex" in command else []
        done = subprocess.run([*command.split(), *options, "example"], cwd=tmp_path / "page" / "thesis", capture_output=True)
        assert done.returncode == 0, done.stdout.decode(errors="replace")[-2000:]
    log = (tmp_path / "page" / "thesis" / "example.log").read_text(errors="replace")
    assert not re.search(r"(Citation|Reference) .* undefined", log)
    methods = (tmp_path / "page" / "thesis" / "methods.tex").read_text()
    assert "object at" not in methods and "workers was" in methods


def test_without_latex_a_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    paper = PaperFormats()
    with figure_style():
        figure, _ = new_plot("title", "x", 50.0, Margins())
        assert paper.save(figure).keys() == {"pdf"}
    (line,) = paper.notices
    assert "no LaTeX is installed. Install TeX Live" in line


@pytest.mark.usefixtures("few_figures")
def test_the_command_writes_files_for_latex_and_takes_them_away_again(tmp_path: Path) -> None:
    runs, out = two_configurations(tmp_path / "runs"), tmp_path / "page"
    assert main([str(runs), "--out", str(out), "--no-png", "--thesis"]) == 0
    assert (out / "figures" / "reward_by_step.pdf").read_bytes().startswith(b"%PDF")
    assert {path.stem for path in (out / "tables").glob("*.csv")} == {path.stem for path in (out / "tables").glob("*.tex")}
    methods, references = ((out / "thesis" / name).read_text() for name in ("methods.tex", "references.bib"))
    cited = set(re.findall(r"\\cite\{(\w+)\}", methods))
    assert cited <= set(re.findall(r"^@\w+\{(\w+),", references, re.MULTILINE))
    assert {"mnih2016", "recht2011", "kingma2015", "schulman2016"} <= cited
    assert "cho2014" in references and "yuen1974" not in references and "tieleman2012" not in references
    assert references.count("{") == references.count("}")
    shown = (out / "thesis" / "example.tex").read_text()
    assert all(path.stem in shown for path in [*out.glob("figures/*.pdf"), *out.glob("tables/*.tex")])
    assert main([str(runs), "--out", str(out), "--no-png"]) == 0
    assert not [path for path in out.rglob("*") if path.suffix in (".pdf", ".pgf", ".tex", ".bib")]


def test_the_paragraph_says_what_the_runs_did(tmp_path: Path) -> None:
    root = two_configurations(tmp_path)
    write_run(root / "failed", workers=8, seed=2, episodes=4, status="failed", config={**CONFIG, "workers": 8})
    text = methods_paragraph(group_by_configuration(read_runs([root]), ()), has_verdicts=True)
    for words in ("Pendulum-v1", "number of workers was 4 to 8", "Each of the 2 configurations was trained with 2 random seeds",
                  "200,000 environment steps", "1 of 5 runs did not finish", "Every 10,000 environment steps",
                  "20 held-out episodes", "the most likely actions", "Yuen's test",
                  r"We used a3c\_exp 0.1.0 (commit 0123456789ab), python 3.11.2"):  # fmt: skip
        assert words in text, words
    assert not re.search(r"(?<!\\)[_&#]", "".join(text.splitlines(keepends=True)[1:]))


def test_a_table_is_a_tabular_whose_texts_latex_prints_as_they_are() -> None:
    rows = (make_row("a_b & 50 %", Cell("\N{MINUS SIGN}3", "[-4, 1]")), make_row(Cell("[x]"), "\N{EN DASH}"))
    text = table_latex(Table("What_is", ("name", "end"), 1, rows))
    assert r"\begin{tabular}{lr}" in text and r"\toprule" in text and r"\bottomrule" in text
    assert r"a\_b \& 50 \% & $-$3 {\footnotesize [$-$4, 1]} \\" in text
    assert r"{[x]} & -- \\" in text
