import os
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from fingerprintlib.data import mapping
from fingerprintlib.data.mapping import Mapped, mapped

SIDE = 64


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (4000, SIDE, SIDE, 3), np.uint8)  # 49 MB


@pytest.fixture
def there(images, tmp_path):
    np.save(tmp_path / "images.npy", images)
    return mapped(tmp_path / "images.npy")


def of_files():
    """Bytes of this process's memory that are those of files."""
    return 1024 * int(re.search(r"^RssFile:\s*(\d+)", Path("/proc/self/status").read_text(), re.MULTILINE)[1])


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="memory is read where Linux tells it")
def test_however_much_is_read_little_stays_in_memory(there, images, monkeypatch):
    def grown():
        there._mmap.madvise(mapping.mmap.MADV_DONTNEED)
        before, most = of_files(), 0
        order = np.random.default_rng(1).permutation(len(there)).reshape(-1, 2)
        for rows in order:
            assert (there[rows] == images[rows]).all()
            most = max(most, of_files() - before)
        return most

    assert grown() > 40e6
    monkeypatch.setattr(mapping, "HELD", 8 << 20)
    assert grown() < 20e6


@pytest.mark.skipif(not Path("/proc/self/io").is_file(), reason="what is read is read where Linux tells it")
@pytest.mark.parametrize("kind", ["scattered", "one by one"])
def test_from_the_disk_no_more_is_read_than_is_asked_for(there, images, kind):
    def read():
        return int(re.search(r"^read_bytes: (\d+)", Path("/proc/self/io").read_text(), re.MULTILINE)[1])

    with open(there.filename, "rb") as file:
        os.fsync(file.fileno())
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    rows = np.random.default_rng(2).permutation(len(there))[:20]
    before = read()
    found = there[rows] if kind == "scattered" else np.stack([there[row] for row in rows.tolist()])
    more = read() - before
    np.testing.assert_array_equal(found, images[rows])
    if more == 0:
        pytest.skip("the file is in memory whatever one does")
    assert more <= 20 * 5 * 4096  # of an image's three pages or four, where 128 KB and more would be read around it


def test_a_part_that_was_taken_before_reads_as_before(there, images, monkeypatch):
    part = there[100:3000]
    monkeypatch.setattr(mapping, "HELD", 1000)
    assert there[5:700].nbytes > 1000
    assert (part == images[100:3000]).all()
    assert not part.flags.writeable


def test_what_is_computed_of_it_is_a_plain_array(there, images):
    assert type(there[:3]) is Mapped
    for made in (there[[5, 2]], there[:3] + 1, there[:9].mean((0, 1)), np.array(there[:2])):
        assert type(made) is np.ndarray
    assert isinstance(there.max(), np.uint8)
    assert there[2, 3, 4, 1] == images[2, 3, 4, 1]
    assert (there[3:9].copy()[1:] == images[4:9]).all()


def test_another_process_maps_it_too(there, images):
    sent = pickle.dumps(there[1000:3000][200:])
    assert len(sent) < 2000
    received = pickle.loads(sent)
    assert isinstance(received, Mapped)
    np.testing.assert_array_equal(received, images[1200:3000])
    scattered = pickle.loads(pickle.dumps(there[:20, ::2]))
    np.testing.assert_array_equal(scattered, images[:20, ::2])
