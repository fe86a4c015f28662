"""What is kept beside a function and is configuration only: told as AWS tells it, and kept."""

import pytest

from harness.clients import Aws
from harness.code import ECHO

IPV = "InvalidParameterValueException"
RNF = "ResourceNotFoundException"
VALIDATION = "ValidationException"
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
NOT_THERE = 404, RNF, "The resource you requested does not exist."


@pytest.fixture(scope="module")
def there(aws, python):
    """A function that is there."""
    return aws.create("there", ECHO, python)


def absent(name="absent"):
    return 404, RNF, f"Function not found: {ARN}{name}"


def kept(server, look):
    """What is looked at is the same after the process was killed."""
    before = look(Aws(server))
    server.kill()
    server.restart()
    assert look(Aws(server)) == before
    return before


def without_metadata(answer):
    return {key: value for key, value in answer.items() if key != "ResponseMetadata"}


def status(answer):
    return answer["ResponseMetadata"]["HTTPStatusCode"]


def test_tags_are_added_removed_and_shown(aws, python):
    aws.create("tagged", ECHO, python, Tags={"a": "1", "b": "2"})
    revision = aws.functions.get_function_configuration(FunctionName="tagged")["RevisionId"]
    arn = ARN + "tagged"
    assert status(aws.functions.tag_resource(Resource=arn, Tags={"b": "3", "c d": "ü=/"})) == 204
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {"a": "1", "b": "3", "c d": "ü=/"}
    assert status(aws.functions.untag_resource(Resource=arn, TagKeys=["a", "c d", "none"])) == 204
    found = aws.functions.get_function(FunctionName="tagged")
    assert found["Tags"] == {"b": "3"}
    assert found["Configuration"]["RevisionId"] == revision
    aws.functions.untag_resource(Resource=arn, TagKeys=["b"])
    assert aws.functions.list_tags(Resource=arn)["Tags"] == {}
    assert "Tags" not in aws.functions.get_function(FunctionName="tagged")


def test_wrong_tags_are_refused_and_change_nothing(aws, there):
    arn = ARN + there

    def refused(resource=arn, **tags):
        return aws.refused("lambda", "tag_resource", Resource=resource, Tags=tags)

    for qualified in (f"{arn}:1", f"{arn}:$LATEST"):
        text = "Tags on function aliases and versions are not supported. Please specify a function ARN."
        assert refused(qualified, a="b") == (400, IPV, text)
    assert refused(ARN + "absent", a="b") == absent()
    assert aws.refused("lambda", "list_tags", Resource=ARN + "absent") == absent()
    assert aws.refused("lambda", "untag_resource", Resource=ARN + "absent", TagKeys=["a"]) == absent()
    assert refused() == (400, IPV, "An error occurred and the request cannot be processed.")
    many = 400, IPV, "Number of tags exceeds resource tag limit."
    assert refused(**{str(n): "v" for n in range(51)}) == many
    aws.functions.tag_resource(Resource=arn, Tags={str(n): "v" for n in range(50)})
    assert refused(one_more="v") == many
    got = refused(**{"aws:mine": "v"})
    assert got[:2] == (400, IPV)
    got = refused("arn:aws:s3:::bucket", a="b")
    assert got[:2] == (400, VALIDATION) and "at 'resource' failed to satisfy constraint" in got[2]
    assert len(aws.functions.list_tags(Resource=arn)["Tags"]) == 50
    aws.functions.untag_resource(Resource=arn, TagKeys=[str(n) for n in range(50)])


def test_tags_survive_a_kill_and_not_the_function(servers, python):
    server = servers().start()
    aws = Aws(server)
    aws.create("tagged", ECHO, python)
    aws.functions.tag_resource(Resource=ARN + "tagged", Tags={"a": "1"})
    assert kept(server, lambda aws: aws.functions.list_tags(Resource=ARN + "tagged")["Tags"]) == {"a": "1"}
    aws = Aws(server)
    aws.functions.delete_function(FunctionName="tagged")
    aws.create("tagged", ECHO, python)
    assert aws.functions.list_tags(Resource=ARN + "tagged")["Tags"] == {}
