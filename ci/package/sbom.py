"""Writes the components of a release to standard output, as a CycloneDX 1.5 document.

    sbom.py VERSION < (cargo tree, a line `name vVERSION ...|LICENCE` per crate)

The components are the crates whose code is linked, which ci/crates lists too, Rust's standard library, and the musl of zig.
The checksums of the crates come from Cargo.lock. Rust's library has the version of the compiler.
"""

import datetime
import json
import os
import re
import subprocess
import sys
import uuid

version = sys.argv[1]
root = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
with open(os.path.join(root, "Cargo.lock")) as file:
    locked = re.findall(r'name = "(.*)"\nversion = "(.*)"\n(?:source.*\n)?(?:checksum = "(.*)"\n)?', file.read())
checksums = {(name, number): checksum for name, number, checksum in locked}


def component(name, number, licence, purl, checksum=None):
    part = {
        "type": "library",
        "bom-ref": purl,
        "name": name,
        "version": number,
        # Old crates have `/` for `OR`.
        "licenses": [{"expression": licence.replace("/", " OR ")}],
        "purl": purl,
    }
    if checksum:
        part["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    return part


parts = {}
for line in sys.stdin:
    crate, licence = line.strip().removesuffix(" (*)").split("|")
    name, number = re.match(r"(\S+) v(\S+)", crate).groups()
    if name.startswith("tcptop"):
        continue
    purl = f"pkg:cargo/{name}@{number}"
    parts[purl] = component(name, number, licence, purl, checksums[name, number])

rustc = subprocess.run(["rustc", "--version"], check=True, capture_output=True, text=True).stdout.split()[1]
zig = os.environ["ziglang"]
time = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
components = [parts[purl] for purl in sorted(parts)]
components.append(component("rust-std", rustc, "MIT OR Apache-2.0", f"pkg:generic/rust-std@{rustc}"))
components.append(component("musl", f"of ziglang {zig}", "MIT", f"pkg:pypi/ziglang@{zig}"))
top = f"pkg:github/tcptop/tcptop@v{version}"
document = {
    "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
    "bomFormat": "CycloneDX",
    "specVersion": "1.5",
    "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, top)}",
    "version": 1,
    "metadata": {
        "timestamp": time.strftime("%Y-%m-%dT%H:%M:%SZ"),
        "component": {
            "type": "application",
            "bom-ref": top,
            "name": "tcptop",
            "version": version,
            "licenses": [{"expression": "MIT OR Apache-2.0"}],
            "purl": top,
        },
    },
    "components": components,
    "dependencies": [{"ref": top, "dependsOn": [part["bom-ref"] for part in components]}],
}
json.dump(document, sys.stdout, indent=1)
print()
