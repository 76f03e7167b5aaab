"""Writes a package for apk in version 2 of its format: two tar archives, control and data, each as a gzip stream.

    apk.py DIRECTORY FILE < .PKGINFO

DIRECTORY contains the package's files in `data`, and the scripts `post-install`, `post-upgrade` and `pre-deinstall`. Standard
input has the beginning of .PKGINFO. This program appends the size and checksum of the data. doc/apk-v2.5.scd of apk-tools
describes the format.
"""

import gzip
import hashlib
import io
import os
import sys
import tarfile

directory, result = sys.argv[1:]
time = int(os.environ["SOURCE_DATE_EPOCH"])


def member(name, mode):
    info = tarfile.TarInfo(name)
    info.mode, info.mtime, info.uname, info.gname = mode, time, "root", "root"
    return info


def compressed(members, end):
    """Returns a tar archive as a gzip stream. `end` adds the two empty blocks at its end, which a control archive must lack."""
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, content in members:
            tar.addfile(info, content and io.BytesIO(content))
        length = tar.offset
    content = raw.getvalue() if end else raw.getvalue()[:length]
    return gzip.compress(content, 9, mtime=0)


def data():
    root = os.path.join(directory, "data")
    for folder, folders, files in os.walk(root):
        folders.sort()
        for name in folders:
            info = member(os.path.relpath(os.path.join(folder, name), root), 0o755)
            info.type = tarfile.DIRTYPE
            yield info, None
        for name in sorted(files):
            path = os.path.join(folder, name)
            with open(path, "rb") as file:
                content = file.read()
            info = member(os.path.relpath(path, root), os.stat(path).st_mode & 0o755)
            info.size = len(content)
            info.pax_headers = {"APK-TOOLS.checksum.SHA1": hashlib.sha1(content).hexdigest()}
            yield info, content


def control(size, checksum):
    for name in [".PKGINFO", ".post-install", ".post-upgrade", ".pre-deinstall"]:
        if name == ".PKGINFO":
            content = sys.stdin.read() + f"size = {size}\ndatahash = {checksum}\n"
            content = content.encode()
        else:
            with open(os.path.join(directory, name[1:]), "rb") as file:
                content = file.read()
        info = member(name, 0o644 if name == ".PKGINFO" else 0o755)
        info.size = len(content)
        yield info, content


files = list(data())
size = sum(info.size for info, _ in files)
packed = compressed(files, True)
with open(result, "wb") as file:
    file.write(compressed(control(size, hashlib.sha256(packed).hexdigest()), False) + packed)
