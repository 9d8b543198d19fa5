"""A file is replaced whole or not at all, whatever ends the writing."""

from pathlib import Path

import pytest

from a3c_exp.system.atomic_write import atomic_write, write_atomically, write_json


@pytest.mark.parametrize("durable", [True, False])
def test_an_error_while_writing_leaves_the_earlier_file_and_nothing_else(tmp_path: Path, durable: bool) -> None:
    path = tmp_path / "run.json"
    write_json(path, {"status": "running"})
    with pytest.raises(KeyboardInterrupt), atomic_write(path, durable) as file:
        file.write(b'{"status": "fin')
        raise KeyboardInterrupt
    assert path.read_text() == '{\n  "status": "running"\n}'
    write_atomically(path, "ü", durable)
    assert path.read_bytes() == "ü".encode()
    assert list(tmp_path.iterdir()) == [path]
