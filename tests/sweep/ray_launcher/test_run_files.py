"""A run directory on its way from a machine to another one."""

from pathlib import Path

from a3c_exp.sweep.ray_launcher.run_files import read_changed, write_files


def test_a_copy_follows_at_each_checkpoint_and_at_the_end(tmp_path: Path) -> None:
    there, here = tmp_path / "there", tmp_path / "here"
    (there / "checkpoints").mkdir(parents=True)
    known: dict[str, tuple[int, int]] = {}

    def copy(everything: bool) -> None:
        write_files(str(here), read_changed(str(there), known, everything))

    def content(folder: Path) -> dict[str, str]:
        files = (path for path in folder.rglob("*") if path.is_file() and path.name != ".lease")
        return {path.relative_to(folder).as_posix(): path.read_text() for path in files}

    (there / ".lease").write_text("who works there")
    (there / "episodes.jsonl").write_text("1\n")
    copy(everything=False)
    assert content(here) == {}, "nothing to go on from yet"
    (there / "checkpoints" / "step_1.pt").write_text("one")
    copy(everything=False)
    assert content(here) == content(there) and not (here / ".lease").exists()
    (there / "episodes.jsonl").write_text("1\n2\n")
    (there / "checkpoints" / ".step_2.pt.123.part").write_text("half of")
    copy(everything=False)
    assert content(here)["episodes.jsonl"] == "1\n"
    (there / "checkpoints" / ".step_2.pt.123.part").rename(there / "checkpoints" / "step_2.pt")
    (there / "checkpoints" / "step_1.pt").unlink()
    copy(everything=False)
    assert content(here) == content(there)
    (there / "summary.json").write_text("{}")
    copy(everything=True)
    assert content(here) == content(there)
