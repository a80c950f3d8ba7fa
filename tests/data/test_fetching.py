"""Getting published data sets from a server on this machine that sends tiny archives of the true structure."""

import errno
import io
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections import namedtuple
from dataclasses import replace

import pytest
from click.testing import CliRunner

from fingerprintlib import store
from fingerprintlib.cli import main
from fingerprintlib.data import catalogue, fetching
from fingerprintlib.data.catalogue import PUBLISHED
from fingerprintlib.data.datasets import open_dataset
from fingerprintlib.data.fetching import FetchError, card_of, check, fetch, home, state
from fingerprintlib.data.published import group
from fingerprintlib.errors import UsageError

from ..archives import MAKERS, md5, offer, tar_gz, zipped
from ..conftest import ROOT

HTML = b"<!DOCTYPE html><html><title>Google Drive - Quota exceeded</title></html>"
BY_HAND = (
    r"Or fetch 102flowers\.tgz with a browser from https://www\.robots\S+, put it into {shelf} and run `fingerprints"
)


def files_below(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def visible(folder):
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def refused(shelf, words, name="flowers102", left=()):
    """The sentence of a `fetch` that fails; it is one, and nothing is left but these files."""
    with pytest.raises(FetchError, match=words) as caught:
        fetch(name)
    assert "\n" not in str(caught.value)
    assert visible(shelf) == set(left)
    return str(caught.value)


@pytest.fixture
def flowers(server, monkeypatch):
    return offer(server, "flowers102", monkeypatch)["102flowers.tgz"]


# --- what goes well


@pytest.mark.parametrize("name", MAKERS)
def test_every_data_set_is_fetched_whole_and_its_archives_are_removed(name, shelf, server, monkeypatch):
    made = offer(server, name, monkeypatch)
    assert state(PUBLISHED[name]) == "not here"
    place = fetch(name)
    assert place == shelf / name.replace(":", "-")
    assert visible(shelf) == {place.name}
    expected = {}
    for file, content in made.items():
        if file.endswith(".zip"):
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                expected |= {member: archive.read(member) for member in archive.namelist()}
        elif file.endswith("gz"):
            with tarfile.open(fileobj=io.BytesIO(content)) as archive:
                expected |= {info.name: archive.extractfile(info).read() for info in archive}
        else:
            expected[file] = content
    found = files_below(place)
    assert found.pop("fetched.json")
    assert found == expected
    assert check(name) == len(expected)
    assert card_of(name)["files"].keys() == made.keys()
    assert state(PUBLISHED[name]) == "here"
    asked = len(server.asked)
    assert fetch(name) == place
    assert len(server.asked) == asked == len(made)


def test_the_folder_is_the_readers_or_in_the_caches_but_not_in_the_project(shelf, monkeypatch):
    import platformdirs

    assert home() == shelf
    monkeypatch.delenv("FINGERPRINTS_DATA")
    assert home() == platformdirs.user_cache_path("fingerprints")
    monkeypatch.setenv("HOME", str(shelf))
    monkeypatch.setenv("FINGERPRINTS_DATA", "~/sets")
    assert home() == shelf / "sets"
    for inside in (ROOT / "data", ROOT / "_build" / "sets"):
        monkeypatch.setenv("FINGERPRINTS_DATA", str(inside))
        with pytest.raises(UsageError, match=r"lies in the project\. Set FINGERPRINTS_DATA to a folder elsewhere\."):
            home()


def test_addresses_and_checksums_are_those_that_the_libraries_keep():
    from torchvision.datasets import CIFAR10, STL10, CelebA, Flowers102, LFWPeople

    found = {file.name: file.remote() for one in PUBLISHED.values() for file in one.downloads}
    assert found["cifar-10-python.tar.gz"] == (CIFAR10.url, CIFAR10.tgz_md5)
    assert found["stl10_binary.tar.gz"] == (STL10.url, STL10.tgz_md5)
    assert found["102flowers.tgz"][1] == Flowers102._file_dict["image"][1]
    for number, checksum, name in CelebA.file_list:
        if name in found:
            assert found[name][1] == checksum
            assert f"id={number}&" in found[name][0]
    assert LFWPeople.file_dict["funneled"][1] == "lfw-funneled.tgz"
    for name, (address, checksum) in found.items():
        assert address.startswith(("https://", "http://")), name
        assert len(checksum) in (32, 64)
        int(checksum, 16)
    # Only the paper's own bedrooms have no address in either library.
    assert found["bedroom_train_lmdb.zip"][0].startswith("http://dl.yf.io/lsun/scenes/")


# --- interruptions


def test_a_download_that_was_cut_goes_on_from_its_end(shelf, server, flowers):
    server.cut = len(flowers) // 3
    fetch("flowers102")
    starts = [None, *(f"bytes={k * server.cut}-" for k in range(1, 4))]
    assert [wanted for _, wanted in server.asked] == starts[: len(server.asked)]
    assert len(server.asked) in (3, 4)
    assert check("flowers102") == 50


def test_a_download_that_breaks_off_again_and_again_is_kept_and_goes_on_later(shelf, server, flowers):
    server.cut = len(flowers) // 9
    words = r"The download of 102flowers\.tgz broke off 5 times\. What came is kept: run this again\. " + BY_HAND
    refused(shelf, words.format(shelf=shelf), left={"102flowers.tgz.partial"})
    assert (shelf / "102flowers.tgz.partial").stat().st_size == 5 * server.cut
    assert "interrupted at 0" in state(PUBLISHED["flowers102"])
    with pytest.raises(FetchError, match=r"flowers102 is not in .*: its download was interrupted .*get flowers102"):
        card_of("flowers102")
    server.cut, server.asked = None, []
    fetch("flowers102")
    assert server.asked == [("102flowers.tgz", f"bytes={5 * (len(flowers) // 9)}-")]
    assert visible(shelf) == {"flowers102"}


def test_a_download_that_was_killed_goes_on(shelf, server, flowers):
    """Ctrl-C in the midst of it, of a process of its own."""
    server.cut, name = 1000, "flowers102"
    code = (
        "import os, signal, urllib.request\n"
        "from fingerprintlib.data import fetching, catalogue\n"
        "from dataclasses import replace\n"
        f"one = catalogue.PUBLISHED['{name}']\n"
        f"remote = lambda: ('{server.address}/102flowers.tgz', '{md5(flowers)}')\n"
        f"catalogue.PUBLISHED['{name}'] = replace(one, downloads=(replace(one.downloads[0], remote=remote),))\n"
        "receive = fetching._receive\n"
        "def once(*arguments):\n"
        "    receive(*arguments)\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
        "fetching._receive = once\n"
        f"fetching.fetch('{name}')\n"
    )
    killed = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=os.environ | {"FINGERPRINTS_DATA": str(shelf)})
    assert killed.returncode == -signal.SIGKILL
    assert visible(shelf) - {"102flowers.tgz.partial"} <= {store._beside(shelf / name).name}
    server.cut, server.asked = None, []
    fetch(name)
    assert server.asked == [("102flowers.tgz", "bytes=1000-")]


@pytest.mark.parametrize("ahead", [0, 10])
def test_a_server_that_sends_no_parts_sends_all_again(ahead, shelf, server, flowers):
    server.heeds = False
    shelf.mkdir()
    (shelf / "102flowers.tgz.partial").write_bytes(b"x" * (len(flowers) + ahead if ahead else 100))
    fetch("flowers102")
    assert check("flowers102") == 50


def test_a_partial_file_that_is_complete_is_not_asked_for_again(shelf, server, flowers):
    shelf.mkdir()
    (shelf / "102flowers.tgz.partial").write_bytes(flowers)
    fetch("flowers102")
    assert server.asked == [("102flowers.tgz", f"bytes={len(flowers)}-")]


def test_what_a_killed_unpacking_left_is_removed(shelf, server, flowers):
    (shelf / "flowers102.partial" / "jpg").mkdir(parents=True)
    (shelf / "flowers102.partial" / "jpg" / "image_00001.jpg").write_bytes(b"half")
    fetch("flowers102")
    assert visible(shelf) == {"flowers102"}
    assert check("flowers102") == 50


# --- what a browser brought


def test_a_file_put_there_by_hand_is_not_downloaded(shelf, server, flowers):
    shelf.mkdir()
    (shelf / "102flowers.tgz").write_bytes(flowers)
    assert state(PUBLISHED["flowers102"]) == "there, but not unpacked"
    server.status = 500
    fetch("flowers102")
    assert server.asked == []
    assert visible(shelf) == {"flowers102"}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: HTML, "is a web page, not the file: a notice of a quota, or a page to log in"),
        (lambda content: b"\n\xef\xbb\xbf <html>" + content, "is a web page"),
        (lambda content: content[:-100], r"has the MD5 \w{32}, not \w{32} \([\d,]+ bytes\): cut short, damaged"),
        (lambda content: b"", r"has the MD5 d41d8\w+, not \w{32} \(0 bytes\)"),
        (lambda content: zipped({"another": b"data set"}), r"has the MD5 .* or another version"),
    ],
)
def test_a_file_by_hand_that_is_not_it_is_refused_and_stays(damage, words, shelf, server, flowers):
    shelf.mkdir()
    (shelf / "102flowers.tgz").write_bytes(damage(flowers))
    said = refused(shelf, rf"^{shelf}/102flowers\.tgz {words}", left={"102flowers.tgz"})
    assert "Remove it and run this again. Or fetch 102flowers.tgz with a browser" in said


# --- what a server does wrong


def test_without_a_network_the_manual_way_is_said(shelf, server, flowers, monkeypatch):
    one = PUBLISHED["flowers102"]
    gone = replace(one.downloads[0], remote=lambda: ("http://127.0.0.1:9/102flowers.tgz", "0" * 32))
    monkeypatch.setitem(PUBLISHED, "flowers102", replace(one, downloads=(gone,)))
    words = (
        r"102flowers\.tgz cannot be had: no network to http://127\.0\.0\.1:9/102flowers\.tgz \(.*refused\)\. " + BY_HAND
    )
    refused(shelf, words.format(shelf=shelf))
    nowhere = replace(gone, remote=lambda: ("http://nowhere.invalid/102flowers.tgz", "0" * 32))
    monkeypatch.setitem(PUBLISHED, "flowers102", replace(one, downloads=(nowhere,)))
    refused(shelf, r"no network to http://nowhere\.invalid/102flowers\.tgz")


@pytest.mark.parametrize("kind", ["text/html; charset=utf-8", "application/octet-stream"])
def test_a_web_page_in_place_of_the_file_is_not_kept(kind, shelf, server, flowers):
    server.files["102flowers.tgz"], server.types["102flowers.tgz"] = HTML, kind
    words = (
        r"^In place of 102flowers\.tgz came a web page, as servers send it whose quota is used up\. Try .* " + BY_HAND
    )
    refused(shelf, words.format(shelf=shelf))


def test_a_web_page_in_place_of_the_rest_leaves_what_came(shelf, server, flowers):
    shelf.mkdir()
    (shelf / "102flowers.tgz.partial").write_bytes(flowers[:500])
    server.heeds, server.types["102flowers.tgz"] = False, "text/html"
    refused(shelf, "came a web page", left={"102flowers.tgz.partial"})
    assert (shelf / "102flowers.tgz.partial").read_bytes() == flowers[:500]


@pytest.mark.parametrize("status", [403, 404, 429, 503])
def test_a_server_that_refuses_is_quoted(status, shelf, server, flowers):
    server.status = status
    refused(shelf, rf"102flowers\.tgz cannot be had: {server.address}/102flowers\.tgz answers {status} \w+.*browser")


def test_another_file_is_removed_again(shelf, server, flowers):
    server.files["102flowers.tgz"] = flowers[:-1] + b"\0\0"
    refused(shelf, r"^What came for 102flowers\.tgz has the MD5 .* or another version; it was removed\. Run this ")


# --- archives that are not what they should be: their checksum is right, as if their makers had gone astray


def bad_archive(server, monkeypatch, name, content):
    file = PUBLISHED[name].downloads[0].name
    server.files[file] = content
    one = PUBLISHED[name]
    first = replace(one.downloads[0], remote=lambda: (f"{server.address}/{file}", md5(content)))
    monkeypatch.setitem(PUBLISHED, name, replace(one, downloads=(first, *one.downloads[1:])))


def link(name, target, kind=tarfile.SYMTYPE):
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (lambda: tar_gz({"../outside.jpg": b"x"}), r"holds '\.\./outside\.jpg', which would lie elsewhere"),
        (lambda: tar_gz({"/tmp/outside.jpg": b"x"}), "which would lie elsewhere"),
        (lambda: tar_gz({"jpg/a:b.jpg": b"x"}), "which would lie elsewhere"),
        (lambda: tar_gz({"jpg\\a.jpg": b"x"}), "which would lie elsewhere"),
        (
            lambda: tar_gz({"jpg/a.jpg": b"x"}, [link("jpg/b.jpg", "/etc/passwd")]),
            "which is no plain file",
        ),
        (lambda: tar_gz({"jpg/a.jpg": b"x"}, [link("b", "jpg/a.jpg", tarfile.LNKTYPE)]), "which is no plain file"),
        (lambda: tar_gz({}, [link("pipe", "", tarfile.FIFOTYPE)]), "which is no plain file"),
        (lambda: b"\x1f\x8b" + bytes(300), "is damaged"),
        (lambda: zipped({"a": b"b"}), "is damaged"),
        (lambda: tar_gz({"jpg/a.jpg": os.urandom(40_000)})[:20_000], "is damaged"),
    ],
)
def test_an_archive_is_unpacked_in_its_folder_or_not_at_all(content, words, shelf, server, flowers, monkeypatch):
    bad_archive(server, monkeypatch, "flowers102", content())
    refused(shelf, words, left={"102flowers.tgz"})
    assert not (shelf.parent / "outside.jpg").exists()


def test_an_archive_that_would_fill_the_disk_is_stopped(shelf, server, flowers, monkeypatch):
    monkeypatch.setitem(PUBLISHED, "flowers102", replace(PUBLISHED["flowers102"], unpacked=1_000_000))
    bad_archive(server, monkeypatch, "flowers102", tar_gz({f"jpg/{k}.jpg": bytes(500_000) for k in range(5)}))
    refused(shelf, "would unpack to far more than it should", left={"102flowers.tgz"})


@pytest.mark.parametrize("kind", ["link", "outside", "cut", "no zip"])
def test_a_zip_is_unpacked_in_its_folder_or_not_at_all(kind, shelf, server, monkeypatch):
    made = offer(server, "celeba", monkeypatch)["img_align_celeba.zip"]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("img_align_celeba/000001.jpg" if kind == "link" else "../000001.jpg")
        info.external_attr = (0o120777 if kind == "link" else 0o100644) << 16
        archive.writestr(info, "/etc/passwd")
    content = {"cut": made[: len(made) // 2], "no zip": b"x" * 999}.get(kind, buffer.getvalue())
    bad_archive(server, monkeypatch, "celeba", content)
    words = {"link": "no plain file", "outside": "would lie elsewhere"}.get(kind, "is damaged")
    refused(shelf, words, "celeba", left={"img_align_celeba.zip", "identity_CelebA.txt"})


# --- the disk


def test_a_full_disk_is_refused_before_anything_is_written(shelf, server, flowers, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda path: usage(10**9, 10**9, 1000))
    refused(shelf, rf"{shelf} has 0\.0 GB free, and 0\.0 GB are needed\. Make room there, or set FINGERPRINTS_DATA")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no /dev/full here")
def test_a_disk_that_becomes_full_is_said_to_be(shelf, server, flowers):
    shelf.mkdir()
    (shelf / "102flowers.tgz.partial").symlink_to("/dev/full")
    with pytest.raises(FetchError, match=rf"could not be written to {shelf} \((No space|Invalid).*\)\. Make room"):
        fetch("flowers102")
    assert visible(shelf) == {"102flowers.tgz.partial"}


def test_a_disk_that_becomes_full_while_it_unpacks_has_nothing_half_unpacked(shelf, server, flowers, monkeypatch):
    write, written = fetching._write, []

    def full(source, target):
        written.append(target)
        if len(written) > 20:
            raise OSError(errno.ENOSPC, "No space left on device", str(target))
        write(source, target)

    monkeypatch.setattr(fetching, "_write", full)
    words = rf"flowers102 could not be written to {shelf} \(No space left on device\)\. Make room there, or set FINGERP"
    refused(shelf, words, left={"102flowers.tgz"})
    assert len(written) == 21
    monkeypatch.undo()


@pytest.mark.parametrize("number", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_is_said_to_be(number, shelf, server, flowers, monkeypatch):
    def closed(*arguments, **options):
        raise OSError(number, os.strerror(number), str(shelf))

    monkeypatch.setattr("pathlib.Path.mkdir", closed)
    refused(shelf, rf"could not be written to {shelf} \({os.strerror(number)}\).*where you may write\.")
    monkeypatch.undo()


def test_what_is_whole_needs_no_right_to_write(shelf, server, flowers, monkeypatch):
    place = fetch("flowers102")
    group("flowers102")
    written = {path: path.stat().st_mtime_ns for path in [shelf, place, *place.iterdir()]}

    def closed(*arguments, **options):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    for function in ("pathlib.Path.mkdir", "os.replace", "filelock.FileLock.acquire"):
        monkeypatch.setattr(function, closed)
    assert fetch("flowers102") == place
    assert open_dataset("flowers102", 64).split("gan").image(0).shape == (64, 64, 3)
    assert {path: path.stat().st_mtime_ns for path in [shelf, place, *place.iterdir()]} == written


def test_a_folder_below_a_file_is_refused(shelf, server, flowers):
    shelf.write_text("a file")
    with pytest.raises(FetchError, match=r"could not be written to .*\(.*\)\. Make room there, or set"):
        fetch("flowers102")


# --- what lies there


def test_something_else_under_the_name_is_left_alone(shelf, server, flowers):
    (shelf / "flowers102" / "mine").mkdir(parents=True)
    refused(shelf, r"flowers102 holds mine, which is not how .* unpacked\. Move it away", left={"flowers102"})
    assert server.asked == []


def test_check_names_what_is_missing_altered_or_new(shelf, server, flowers):
    place = fetch("flowers102") / "jpg"
    (place / "image_00001.jpg").unlink()
    (place / "image_00002.jpg").write_bytes(b"another")
    (place / "image_99999.jpg").write_bytes(b"new")
    named = r"jpg/image_00001\.jpg, jpg/image_00002\.jpg, jpg/image_99999\.jpg\. "
    with pytest.raises(FetchError, match=rf"missing, altered or there in addition: {named}Remove {shelf}/flowers"):
        check("flowers102")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"files": 3, "contents": {}}'])
def test_a_damaged_card_is_said_to_be(text, shelf, server, flowers):
    (fetch("flowers102") / "fetched.json").write_text(text)
    with pytest.raises(FetchError, match=r"fetched\.json cannot be read .*Remove .* and run `fingerprints data get"):
        card_of("flowers102")


def test_an_unknown_data_set_is_refused_with_the_nearest(shelf):
    for function in (fetch, check, card_of):
        with pytest.raises(UsageError, match=r"Unknown published data set 'celebA'\. Did you mean 'celeba'\?"):
            function("celebA")


# --- the commands


def run(*arguments):
    return CliRunner().invoke(main, ["data", *arguments])


def test_the_list_tells_all_there_is_to_know(shelf, server, flowers):
    fetch("flowers102")
    result = run("list")
    assert result.exit_code == 0
    rows = {line.split()[0]: line for line in result.output.splitlines()[1:7]}
    assert list(rows) == list(catalogue.PUBLISHED)
    assert rows["flowers102"].split()[1:3] == ["8,189", "256"]
    assert rows["flowers102"].endswith("  here")
    assert rows["celeba"].endswith("  not here")
    for one in catalogue.PUBLISHED.values():
        assert f"\n  terms: {one.terms}\n" in result.output
        assert one.page in result.output
    assert "celeba" in result.output
    assert "non-commercial research only" in result.output
    assert result.output.endswith(f"They are kept in {shelf}\n")


def test_get_and_check_say_what_is_there(shelf, server, flowers):
    result = run("get", "flowers102")
    assert result.exit_code == 0, result.output
    assert result.stdout.splitlines() == [
        "flowers102: 50 images in 48 groups; the largest has 2",
        str(shelf / "flowers102"),
    ]
    assert "about 345 MB to download. Terms of use: no licence is stated" in result.stderr
    result = run("check", "flowers102")
    assert result.exit_code == 0
    assert result.stdout.startswith("flowers102: 50 files are as they were unpacked\n")


@pytest.mark.parametrize("command", ["get", "check"])
def test_the_commands_refuse_in_a_sentence(command, shelf, server, flowers):
    server.status = 404
    result = run(command, "flowers102")
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].startswith("Error: ")
    assert run(command, "celebs").exit_code == 2
    assert visible(shelf) == set()


@pytest.mark.parametrize("command", ["list", "get", "check", "make"])
def test_every_command_explains_itself(command):
    assert f"\n  {command} " in run("--help").output
    assert "FINGERPRINTS_DATA" in run("--help").output
    assert len(run(command, "--help").output) > 150
