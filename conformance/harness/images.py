"""Container images, made here: layers, OCI layouts, archives as `docker save` writes them."""

import gzip
import hashlib
import io
import json
import tarfile

TYPE = "application/vnd.oci.image"
AMD64 = {"architecture": "amd64", "os": "linux"}


def sha(data):
    return hashlib.sha256(data).hexdigest()


def entry(name, kind=tarfile.REGTYPE, mode=0o755, **more):
    """The header of a tar entry."""
    info = tarfile.TarInfo(name)
    info.type, info.mode, info.mtime = kind, mode, 1_700_000_000
    for key, value in more.items():
        setattr(info, key, value)
    return info


def layer(files):
    """A layer's archive: name to text, bytes, or a header of something else."""
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, content in files.items():
            if isinstance(content, tarfile.TarInfo):
                archive.addfile(content)
                continue
            data = content.encode() if isinstance(content, str) else content
            info = entry(name, size=len(data))
            archive.addfile(info, io.BytesIO(data))
    return target.getvalue()


class Image:
    """Layers, lowest first, and what is said of how they are run."""

    def __init__(self, layers, platform=AMD64, compress=True, **config):
        self.bare = [layer(files) if isinstance(files, dict) else files for files in layers]
        self.compress = compress
        self.layers = [gzip.compress(bare, mtime=0) if compress else bare for bare in self.bare]
        self.platform = platform
        self.configuration = json.dumps(
            platform
            | {"config": config}
            | {"rootfs": {"type": "layers", "diff_ids": [f"sha256:{sha(bare)}" for bare in self.bare]}}
        ).encode()

    def described(self, kind, data, **more):
        return {"mediaType": f"{TYPE}.{kind}", "digest": f"sha256:{sha(data)}", "size": len(data)} | more

    @property
    def manifest(self):
        kind = "layer.v1.tar+gzip" if self.compress else "layer.v1.tar"
        return json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": f"{TYPE}.manifest.v1+json",
                "config": self.described("config.v1+json", self.configuration),
                "layers": [self.described(kind, data) for data in self.layers],
            }
        ).encode()

    @property
    def digest(self):
        return sha(self.manifest)

    def blobs(self):
        return {sha(data): data for data in [self.manifest, self.configuration, *self.layers]}


def layout(images):
    """The files of an OCI layout with these images by tag."""
    manifests = [
        image.described(
            "manifest.v1+json",
            image.manifest,
            platform=image.platform,
            annotations={"org.opencontainers.image.ref.name": tag},
        )
        for tag, image in images.items()
    ]
    files = {
        "oci-layout": b'{"imageLayoutVersion": "1.0.0"}',
        "index.json": json.dumps({"schemaVersion": 2, "manifests": manifests}).encode(),
    }
    for image in images.values():
        files |= {f"blobs/sha256/{digest}": data for digest, data in image.blobs().items()}
    return files


def saved(images):
    """The files of an archive that `docker save` made before it knew OCI."""
    files, manifest = {}, []
    for tag, image in images.items():
        names = [f"{sha(bare)}/layer.tar" for bare in image.bare]
        files |= dict(zip(names, image.layers))
        config = f"{sha(image.configuration)}.json"
        files[config] = image.configuration
        manifest.append({"Config": config, "RepoTags": [f"app:{tag}"], "Layers": names})
    return files | {"manifest.json": json.dumps(manifest).encode()}


def archive(files):
    return layer(files)


def write(directory, files):
    """Writes files below a directory."""
    for name, data in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return directory
