"""Functions that are container images: from a layout, an archive, S3; run as they say, refused when they lie."""

import json
import os
import shutil
import tarfile

import pytest

from harness import images, programs
from harness.clients import Aws
from harness.code import ROLE, package
from harness.images import Image, entry
from harness.registry import Registry
from harness.waiting import eventually

IPV = "InvalidParameterValueException"
REPORT = {"mode": "report"}
ECR = "000000000000.dkr.ecr.us-east-1.amazonaws.com"


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    made = tmp_path_factory.mktemp("images")
    (made / "allowed").mkdir()
    return made


@pytest.fixture(scope="module")
def registry():
    made = Registry()
    try:
        yield made
    finally:
        made.close()


@pytest.fixture(scope="module")
def server_flags(place, registry):
    named = f"{ECR}={registry.address}"
    return ("--image-dir", str(place / "allowed"), "--registry", registry.address, "--registry", named)


def program():
    return (programs.directory() / "test-runtime").read_bytes()


def plain(**config):
    """An image of one layer: the test runtime alone."""
    settings = {"Entrypoint": ["/bin/runtime"]} | config
    return Image([{"bin/runtime": program()}], **settings)


def store(place, name, **tags):
    """An OCI layout below the allowed directory; its name as an ImageUri."""
    images.write(place / "allowed" / name, images.layout(tags))
    return f"oci:{place}/allowed/{name}"


def create(aws, name, uri, settle=True, **more):
    created = aws.functions.create_function(
        FunctionName=name, PackageType="Image", Role=ROLE, Code={"ImageUri": uri}, **more
    )
    if settle:
        aws.settled(name)
    return created


def failed(aws, name):
    """Waits until a function has failed; why."""

    def look():
        found = aws.functions.get_function_configuration(FunctionName=name)
        assert found["State"] != "Active", found
        return found if found["State"] == "Failed" else None

    found = eventually(look, f"{name} has failed")
    return found["StateReasonCode"], found["StateReason"]


def refused(aws, uri, name="refused", **more):
    asked = {"FunctionName": name, "PackageType": "Image", "Role": ROLE, "Code": {"ImageUri": uri}}
    status, error, text = aws.refused("lambda", "create_function", **asked, **more)
    assert (status, error) == (400, IPV), text
    return text


def test_an_image_runs_as_it_says_and_is_shown_as_what_it_is(aws, place):
    image = plain(Cmd=["one", "two"], Env=["FROM_IMAGE=1", "BOTH=image", "PATH=/bin"], WorkingDir="/work")
    image.bare.append(images.layer({"work/here": "x"}))
    image = Image([*image.bare], Entrypoint=["runtime"], Cmd=["one", "two"], WorkingDir="/work",
                  Env=["FROM_IMAGE=1", "BOTH=image", "PATH=/bin"])
    uri = store(place, "plain", v1=image)
    created = create(aws, "plain", f"{uri}:v1", Environment={"Variables": {"BOTH": "function"}})
    assert created["State"] == "Pending" and created["StateReasonCode"] == "Creating"
    assert created["PackageType"] == "Image"
    assert (created["CodeSize"], created["CodeSha256"]) == (0, image.digest)
    for absent in ("Runtime", "Handler", "RuntimeVersionConfig", "ImageConfigResponse", "Layers"):
        assert absent not in created
    found = aws.cli("lambda", "get-function", "--function-name", "plain")
    assert found["Code"] == {
        "RepositoryType": "ECR",
        "ImageUri": f"{uri}:v1",
        "ResolvedImageUri": f"{uri}@sha256:{image.digest}",
    }
    told = aws.invoke("plain", REPORT)
    seen = told.payload
    assert seen["arguments"] == ["/bin/runtime", "one", "two"] and seen["cwd"] == "/work"
    variables = seen["variables"]
    assert (variables["FROM_IMAGE"], variables["BOTH"]) == ("1", "function")
    assert variables["AWS_LAMBDA_RUNTIME_API"] == "127.0.0.1:9001"
    assert variables["AWS_LAMBDA_FUNCTION_NAME"] == "plain"
    for absent in ("_HANDLER", "AWS_EXECUTION_ENV"):
        assert absent not in variables
    assert (seen["uid"], seen["gid"]) == (993, 990)
    assert "INIT_START" not in told.log
    # Warm the second time.
    again = aws.invoke("plain", REPORT).payload["variables"]
    assert again["AWS_LAMBDA_LOG_STREAM_NAME"] == variables["AWS_LAMBDA_LOG_STREAM_NAME"]


def test_the_function_s_own_configuration_is_laid_over(aws, place):
    uri = store(place, "config", v1=plain(Cmd=["image"], WorkingDir="/bin"))
    over = {"Command": ["function", "2"], "WorkingDirectory": "/"}
    created = create(aws, "config", uri, ImageConfig=over)
    assert created["ImageConfigResponse"] == {"ImageConfig": over}
    seen = aws.invoke("config", REPORT).payload
    assert seen["arguments"] == ["/bin/runtime", "function", "2"] and seen["cwd"] == "/"
    entry_point = {"EntryPoint": ["runtime", "entry"], "WorkingDirectory": "/bin"}
    changed = aws.functions.update_function_configuration(FunctionName="config", ImageConfig=entry_point)
    assert changed["ImageConfigResponse"] == {"ImageConfig": entry_point}
    aws.settled("config")
    seen = aws.invoke("config", REPORT).payload
    # An entry point of the function's own leaves the image's command out.
    assert seen["arguments"] == ["/bin/runtime", "entry"] and seen["cwd"] == "/bin"
    cleared = aws.functions.update_function_configuration(FunctionName="config", ImageConfig={})
    assert "ImageConfigResponse" not in cleared
    aws.settled("config")
    assert aws.invoke("config", REPORT).payload["arguments"] == ["/bin/runtime", "image"]


def test_layers_cover_each_other_and_only_tmp_can_be_written(aws, place):
    layers = [
        {"bin/runtime": program(), "a": "below", "gone": "x", "dir/old": "x", "shut/old": "x"},
        {"a": "above", ".wh.gone": "", "dir/new": "y", "shut/.wh..wh..opq": "", "shut/new": "y"},
        {
            "link": entry("link", tarfile.SYMTYPE, linkname="/a"),
            "hard": entry("hard", tarfile.LNKTYPE, linkname="file"),
            "out": entry("out", tarfile.SYMTYPE, linkname="/proc/self/../../etc/shadow"),
        },
    ]
    layers[2] = {"file": "content"} | layers[2]
    uri = store(place, "layers", v1=Image(layers, Entrypoint=["/bin/runtime"]))
    create(aws, "layers", uri)

    def read(path):
        return aws.invoke("layers", {"mode": "read-file", "path": path}).payload

    texts = {path: read(path) for path in ("/a", "/dir/old", "/dir/new", "/shut/new", "/link", "/hard")}
    nothing = {path: read(path) for path in ("/gone", "/shut/old", "/out", "/etc/passwd", "/usr/bin/env")}
    assert "above" in json.dumps(texts["/a"]) and "above" in json.dumps(texts["/link"])
    assert "content" in json.dumps(texts["/hard"])
    assert all(text is not None for text in texts.values()), texts
    assert all(text is None for text in nothing.values()), nothing
    looked = aws.invoke("layers", {"mode": "look-at", "paths": ["/", "/bin", "/tmp", "/dir"]}).payload
    writable = {path: seen.get("writable") for path, seen in looked.items()}
    assert writable == {"/": False, "/bin": False, "/tmp": True, "/dir": False}


def test_extensions_of_an_image_run_too(aws, place):
    extension = (programs.directory() / "test-extension").read_bytes()
    layers = [
        {"bin/runtime": program(), "opt/extensions/one": extension, "opt/extensions/two": extension},
        {"opt/extensions/.wh.two": ""},
    ]
    uri = store(place, "extended", v1=Image(layers, Entrypoint=["/bin/runtime"]))
    create(aws, "extended", uri)
    told = aws.invoke("extended", REPORT)
    assert told.error is None
    log = aws.wait_for_log("extended", "Name: one")
    assert "Name: two" not in log


def test_an_archive_and_s3_hold_images_too(aws, place):
    image = plain(Cmd=["saved"])
    other = plain(Cmd=["other"])
    docker = images.archive(images.saved({"v1": image, "v2": other}))
    oci = images.archive(images.layout({"v1": image, "v2": other}))
    bare = images.archive(images.saved({"v1": Image(image.bare, compress=False, Entrypoint=["/bin/runtime"])}))
    allowed = place / "allowed"
    (allowed / "docker.tar").write_bytes(docker)
    s3 = aws.client("s3")
    s3.create_bucket(Bucket="images")
    for key, data in {"docker.tar": docker, "a/oci.tar": oci, "bare.tar": bare}.items():
        s3.put_object(Bucket="images", Key=key, Body=data)
    for number, (uri, command) in enumerate(
        [
            (f"docker-archive:{allowed}/docker.tar:v1", ["saved"]),
            (f"docker-archive:{allowed}/docker.tar:v2", ["other"]),
            ("s3://images/docker.tar#v1", ["saved"]),
            ("s3://images/a/oci.tar#v2", ["other"]),
            ("s3://images/bare.tar", []),
        ]
    ):
        name = f"archive{number}"
        create(aws, name, uri)
        assert aws.invoke(name, REPORT).payload["arguments"] == ["/bin/runtime", *command], uri
    assert "several images" in refused(aws, "s3://images/docker.tar")
    assert "does not exist" in refused(aws, "s3://images/none.tar")
    assert "does not exist" in refused(aws, "s3://nowhere/x.tar")
    assert "no image named" in refused(aws, "s3://images/docker.tar#v9")
    s3.put_object(Bucket="images", Key="zip", Body=package({"app.py": "x"}))
    assert "is not valid" in refused(aws, "s3://images/zip")


def test_an_image_is_pulled_from_a_registry_that_the_operator_names(aws, registry):
    image = plain(Cmd=["pulled"])
    arm = Image([{"a": "b"}], platform={"architecture": "arm64", "os": "linux"})
    manifests = [
        it.described("manifest.v1+json", it.manifest, platform=it.platform) for it in (arm, image)
    ]
    index = json.dumps({"schemaVersion": 2, "manifests": manifests}).encode()
    plainly = registry.push("team/app", "v1", image)
    by_digest = f"{registry.address}/team/app@sha256:{image.digest}"
    indexed = registry.push("indexed", "latest", image, index)
    for number, uri in enumerate([plainly, by_digest, indexed, f"{ECR}/team/app:v1"]):
        created = create(aws, f"pulled{number}", uri)
        assert created["CodeSha256"] == image.digest
        seen = aws.invoke(f"pulled{number}", REPORT).payload
        assert seen["arguments"] == ["/bin/runtime", "pulled"]
    found = aws.functions.get_function(FunctionName="pulled3")["Code"]
    assert found["ResolvedImageUri"] == f"{ECR}/team/app@sha256:{image.digest}"
    layer = f"/v2/team/app/blobs/sha256:{images.sha(image.layers[0])}"
    assert registry.asked.count(layer) <= 1, "a layer that is here is not pulled again"


def test_what_a_registry_does_not_give_is_told(aws, registry):
    image = plain(Cmd=["not given"])
    name = registry.push("broken", "v1", image)
    assert "no such image" in refused(aws, f"{registry.address}/broken:v2")
    assert "--registry" in refused(aws, "127.0.0.1:1/x:1")
    registry.login = True
    assert "wants a login" in refused(aws, name)
    registry.login = False
    layer = f"/v2/broken/blobs/sha256:{images.sha(image.layers[0])}"
    whole = registry.documents.pop(layer)
    # Only this test has the layer: its content is its own.
    image = Image([{"only": "here"}], Entrypoint=["/x"])
    name = registry.push("broken", "v3", image)
    layer = f"/v2/broken/blobs/sha256:{images.sha(image.layers[0])}"
    registry.documents[layer] = whole
    create(aws, "other-bytes", name, settle=False)
    code, text = failed(aws, "other-bytes")
    assert code == "InvalidImage" and "layer 0" in text
    del registry.documents[layer]
    create(aws, "no-bytes", name, settle=False)
    assert failed(aws, "no-bytes")[0] == "ImageDeleted"
    lying = f"{registry.address}/broken@sha256:{'0' * 64}"
    registry.documents[f"/v2/broken/manifests/sha256:{'0' * 64}"] = image.manifest
    assert "another image" in refused(aws, lying)
    registry.documents["/v2/broken/manifests/large"] = b" " * ((4 << 20) + 1)
    assert "too large" in refused(aws, f"{registry.address}/broken:large")


def test_code_and_package_type_go_together(aws, place, python):
    uri = store(place, "types", v1=plain(Cmd=["1"]), v2=plain(Cmd=["2"]))
    create(aws, "types", f"{uri}:v1")
    changed = aws.functions.update_function_code(FunctionName="types", ImageUri=f"{uri}:v2")
    assert changed["LastUpdateStatus"] == "InProgress"
    aws.settled("types")
    assert aws.invoke("types", REPORT).payload["arguments"] == ["/bin/runtime", "2"]
    update = aws.refused("lambda", "update_function_code", FunctionName="types", ZipFile=package({"a": "b"}))
    text = "Please provide ImageUri when updating a function with packageType Image."
    assert update == (400, IPV, text)
    aws.create("zipped", "def handler(event, context): return 1\n", python)
    update = aws.refused("lambda", "update_function_code", FunctionName="zipped", ImageUri=uri)
    text = "Please don't provide ImageUri when updating a function with packageType Zip."
    assert update == (400, IPV, text)
    text = (
        "Please don't provide Handler or Runtime or Layer when the intended function PackageType is Image."
    )
    for more in ({"Runtime": python}, {"Handler": "a.b"}):
        update = aws.refused("lambda", "update_function_configuration", FunctionName="types", **more)
        assert update == (400, IPV, text)
        assert refused(aws, f"{uri}:v1", **more) == text


def test_versions_of_images_keep_what_they_were(aws, place):
    uri = store(place, "versions", v1=plain(Cmd=["1"]), v2=plain(Cmd=["2"]))
    create(aws, "versions", f"{uri}:v1", Publish=True)
    aws.functions.update_function_code(FunctionName="versions", ImageUri=f"{uri}:v2", Publish=True)
    aws.settled("versions")
    for qualifier, argument in {"1": "1", "2": "2", "$LATEST": "2"}.items():
        seen = aws.invoke("versions", REPORT, Qualifier=qualifier).payload
        assert seen["arguments"] == ["/bin/runtime", argument]


def test_what_is_no_image_that_can_be_had_is_refused(aws, place):
    uri = store(place, "refuses", v1=plain(), v2=plain(Cmd=["2"]))
    (place / "outside").mkdir()
    images.write(place / "outside", images.layout({"v1": plain()}))
    (place / "allowed" / "link").symlink_to(place / "outside")
    (place / "allowed" / "empty").mkdir()
    for wrong, reason in [
        ("111111111111.dkr.ecr.us-east-1.amazonaws.com/x:1", "--registry"),
        ("app", "--registry"),
        (f"oci:{place}/outside", "--image-dir"),
        (f"oci:{place}/allowed/../outside", "--image-dir"),
        (f"oci:{place}/allowed/link", "symbolic link"),
        (f"oci:{place}/allowed/none", "does not exist"),
        (f"oci:{place}/allowed/empty", "is missing"),
        (uri, "several images"),
        (f"{uri}:v3", "no image named"),
        (f"docker-archive:{place}/allowed/none.tar", "is missing"),
    ]:
        text = refused(aws, wrong)
        assert text.startswith(f"Source image {wrong} ") and "Provide a valid source image." in text
        assert reason in text, (wrong, text)
    arm = Image([{"a": "b"}], platform={"architecture": "arm64", "os": "linux"})
    assert "it is for linux/arm64" in refused(aws, store(place, "arm", v1=arm))
    many = Image([{f"f{number}": "x"} for number in range(65)])
    assert "more than 64 layers" in refused(aws, store(place, "many", v1=many))
    large = plain(Env=[f"A={'x' * 20_000}"])
    assert "more than 16384 bytes of settings" in refused(aws, store(place, "large", v1=large))
    damaged = store(place, "damaged", v1=plain())
    index = place / "allowed" / "damaged" / "index.json"
    index.write_bytes(b"{" + index.read_bytes())
    assert "index is malformed" in refused(aws, damaged)
    lying = store(place, "lying", v1=plain())
    [manifest] = [place / "allowed" / "lying" / "blobs" / "sha256" / plain().digest]
    manifest.write_bytes(manifest.read_bytes() + b" ")
    assert "is damaged" in refused(aws, lying)
    assert aws.refused("lambda", "get_function", FunctionName="refused")[0] == 404


def test_layers_that_lie_or_lead_out_fail_the_function(aws, place):
    fifo = entry("fifo", tarfile.FIFOTYPE)
    device = entry("disk", tarfile.BLKTYPE, devmajor=8, devminor=0)
    for name, files, reason in [
        ("upwards", {"../out": "x"}, "leads upwards"),
        ("deep", {"a/../../out": "x"}, "leads upwards"),
        ("fifo", {"fifo": fifo}, "device or a FIFO"),
        ("device", {"disk": device}, "device or a FIFO"),
        (
            "through",
            {"l": entry("l", tarfile.SYMTYPE, linkname="/tmp"), "l/file": "x"},
            "lies below what is no directory",
        ),
        ("hard", {"h": entry("h", tarfile.LNKTYPE, linkname="../../etc/shadow")}, "leads upwards"),
        ("absent", {"h": entry("h", tarfile.LNKTYPE, linkname="etc/shadow")}, "another name for nothing"),
    ]:
        uri = store(place, f"hostile-{name}", v1=Image([files], Entrypoint=["/x"]))
        create(aws, f"hostile-{name}", uri, settle=False)
        code, text = failed(aws, f"hostile-{name}")
        assert code == "InvalidImage" and reason in text, (name, text)
    garbage = Image([b"garbage" * 200], Entrypoint=["/x"])
    create(aws, "garbage", store(place, "garbage", v1=garbage), settle=False)
    code, text = failed(aws, "garbage")
    assert code == "InvalidImage" and "not a tar archive" in text
    # A layer with other bytes than its name says.
    image = Image([{"bin/other": b"1" * 100}], Entrypoint=["/x"])
    uri = store(place, "swapped", v1=image)
    blob = place / "allowed" / "swapped" / "blobs" / "sha256" / images.sha(image.layers[0])
    blob.write_bytes(bytes(len(image.layers[0])))
    create(aws, "swapped", uri, settle=False)
    code, text = failed(aws, "swapped")
    assert code == "InvalidImage" and "layer 0" in text
    blob.unlink()
    create(aws, "gone", uri, settle=False)
    code, _ = failed(aws, "gone")
    assert code == "ImageDeleted"
    # A failed function starts over with other code.
    blob.write_bytes(image.layers[0])
    aws.functions.update_function_code(FunctionName="gone", ImageUri=uri)
    aws.settled("gone")


def test_a_program_that_is_not_there_is_lambda_s_error(aws, place):
    create(aws, "nowhere", store(place, "nowhere", v1=plain(Entrypoint=["/not/there"])))
    answer = aws.invoke("nowhere")
    assert answer.error == "Unhandled" and answer.payload["errorType"] == "Runtime.InvalidEntrypoint"


def test_setuid_is_dropped_and_modes_are_kept(aws, place):
    layers = [
        {"bin/runtime": program()},
        {"set": entry("set", mode=0o6755), "secret": entry("secret", mode=0o600)},
    ]
    create(aws, "modes", store(place, "modes", v1=Image(layers, Entrypoint=["/bin/runtime"])))
    looked = aws.invoke("modes", {"mode": "look-at", "paths": ["/set", "/secret"]}).payload
    assert [looked[path]["mode"] for path in ("/set", "/secret")] == ["755", "600"]
    assert aws.invoke("modes", {"mode": "read-file", "path": "/secret"}).payload is None


def test_a_killed_server_starts_over_and_needs_the_source_no_more(servers, tmp_path):
    (tmp_path / "allowed").mkdir()
    server = servers("--image-dir", str(tmp_path / "allowed")).start()
    aws = Aws(server)
    # Large enough that pulling takes a while.
    filler = {f"filler{number}": os.urandom(8 << 20) for number in range(4)}
    image = Image([{"bin/runtime": program()}, filler], compress=False, Entrypoint=["/bin/runtime"])
    images.write(tmp_path / "allowed" / "big", images.layout({"v1": image}))
    create(aws, "big", f"oci:{tmp_path}/allowed/big", settle=False)
    server.kill()
    aws = Aws(server.start())
    aws.settled("big")
    assert aws.invoke("big", REPORT).error is None
    shutil.rmtree(tmp_path / "allowed" / "big")
    server.kill()
    aws = Aws(server.start())
    assert aws.invoke("big", REPORT).error is None
    # What nothing needs any more is removed at a start.
    layers = server.data_dir / "worker" / "layers"
    assert {path.name for path in layers.iterdir()} == {images.sha(data) for data in image.layers}
    aws.functions.delete_function(FunctionName="big")
    server.stop()
    server.start()
    assert list(layers.iterdir()) == []


def test_layers_are_unpacked_once_however_many_images_have_them(aws, place, server):
    shared = {"bin/runtime": program(), "shared": "once"}
    for number in range(3):
        image = Image([shared, {"own": str(number)}], Entrypoint=["/bin/runtime"])
        create(aws, f"shared{number}", store(place, f"shared{number}", v1=image))
    bottom = images.sha(image.layers[0])
    found = [path for path in (server.data_dir / "worker" / "layers").iterdir() if path.name == bottom]
    assert len(found) == 1
    for number in range(3):
        text = aws.invoke(f"shared{number}", {"mode": "read-file", "path": "/own"}).payload
        assert str(number) in json.dumps(text)
